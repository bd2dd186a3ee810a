"""References that an earlier run has cut are taken over when they would come out the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from voiceclone_cli.casting.references import STAGE, cast
from voiceclone_cli.casting.renaming import rename_references
from voiceclone_cli.fingerprints import file_sha256, text_sha256
from voiceclone_cli.rundir.stages import Stages
from voiceclone_cli.types import Diarization, Progress, ProgressEvent, Recording, Reference, Turn, Word


def cast_or_recall(
    recording: Recording,
    diarization: Diarization,
    words: Sequence[Word],
    *,
    out: Path,
    given: Mapping[str, Path],
    speakers: Sequence[str],
    first_names: Mapping[str, str],
    stages: Stages,
    progress: Progress,
) -> dict[str, Reference]:
    """As :func:`cast`, which says what it takes and raises.

    ``first_names``: what those speakers were called who were renamed since. References are known again by
    these, and folders of ``out`` move to the names of today.
    """
    first = partial(_first_named, first_names)
    made_from = {
        "turns": [asdict(first(turn)) for turn in diarization.turns],
        "exclusive": [asdict(first(turn)) for turn in diarization.exclusive],
        "words": [asdict(word) for word in words],
        "given": {first_names.get(name, name): _given_sha256(path) for name, path in given.items()},
        "speakers": [first_names.get(name, name) for name in speakers],
    }
    known = stages.recall(STAGE, made_from)
    if known is not None:
        progress(
            ProgressEvent(STAGE, len(known["references"]), len(known["references"]), note="kept from before")
        )
        remembered = [_reference(row, out) for row in known["references"]]
        if [reference.speaker for reference in remembered] != list(speakers):
            remembered = rename_references(remembered, speakers, out, stages)
            _remember(stages, made_from, remembered)
        return {reference.speaker: reference for reference in remembered}
    references = cast(
        recording,
        diarization,
        words,
        out=out,
        given=given,
        speakers=speakers,
        progress=progress,
    )
    _remember(stages, made_from, list(references.values()))
    return references


def _first_named(first_names: Mapping[str, str], turn: Turn) -> Turn:
    return replace(turn, speaker=first_names.get(turn.speaker, turn.speaker))


def _remember(stages: Stages, made_from: Mapping[str, Any], references: Sequence[Reference]) -> None:
    files: dict[Path, str] = {}
    for reference in references:
        files[reference.audio] = file_sha256(reference.audio)
        files[reference.audio.with_suffix(".txt")] = text_sha256(reference.text + "\n")
    rows = [{**asdict(reference), "audio": reference.audio.name} for reference in references]
    stages.keep(STAGE, made_from, {"references": rows}, files)


def _given_sha256(path: Path) -> list[str | None]:
    """Of a given voice and of the words beside it; None for what cannot be read, which ``cast`` will tell."""
    return [file_sha256(p) if p.is_file() else None for p in (path, path.with_suffix(".txt"))]


def _reference(row: Mapping[str, Any], out: Path) -> Reference:
    return Reference(
        speaker=row["speaker"],
        audio=out / row["speaker"] / row["audio"],
        text=row["text"],
        seconds=row["seconds"],
        spans=tuple((start, end) for start, end in row["spans"]),
        warnings=tuple(row["warnings"]),
    )

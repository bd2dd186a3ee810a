"""Gates of an evaluation: limits of its measurements, and comparison with an earlier run."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from voiceclone_cli.errors import InputError
from voiceclone_cli.evaluation import model
from voiceclone_cli.rundir.manifest import CHECK_SCHEMA

_MAX_BYTES = 200 * 2**20
_TOLERANCES = {
    # measure: (1 where more is better, else -1; tolerance of a segment; tolerance of the run)
    "similarity": (1, 0.10, 0.03),
    "margin": (1, 0.10, 0.03),
    "mos": (1, 0.30, 0.10),
    "wer": (-1, 0.15, 0.03),
}
"""How much worse than in the baseline a measurement may be."""
_MAX_SLIPS = 1
"""Wrong words of a segment that are as likely the recogniser's mistake as the clone's; they count in the whole run."""
_RANGES = {"min_similarity": (-1, 1), "min_margin": (-2, 2), "max_wer": (0, 100), "min_mos": (1, 5)}
_UNUSABLE = {
    model.Flag.FAILED: "was not synthesized",
    model.Flag.UNREADABLE: "cannot be read",
    model.Flag.SILENT: "is silent",
}


def read_baseline(path: Path) -> dict[str, Any]:
    """Return the check.json of an earlier run: this file, or the one beside its run.json or in its directory.

    Raises InputError where it is missing, with the command that makes it, or damaged.
    """
    folder = path if path.is_dir() else path.parent
    file = path if path.is_file() and path.name != "run.json" else folder / "check.json"
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise ValueError("it is larger than 200 MB")
        document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if document["schema"] != CHECK_SCHEMA:
            raise ValueError(f"its schema is {document['schema']!r:.40}")
        for row in document["segments"]:
            _check(row, ("id", "speaker", "sha256"))
        _check(document["summary"], ())
    except OSError as error:
        raise InputError(
            f"--baseline {path}: {file} cannot be read ({error.strerror}); `voiceclone check {folder}` makes it",
            code="baseline_missing",
        ) from error
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise InputError(
            f"--baseline {path}: {file} is damaged or of another version ({type(error).__name__}: {error}); "
            f"`voiceclone check {folder}` makes it again",
            code="baseline_damaged",
        ) from error
    return document


def _check(row: Mapping[str, Any], needed: Sequence[str]) -> None:
    """Raise KeyError, TypeError, ValueError or AttributeError for a row that no evaluation writes."""
    for name in needed:
        row[name]
    for measure in _TOLERANCES:
        value = row.get(measure)
        if value is not None and not math.isfinite(value):
            raise ValueError(f"{measure} is {value!r:.40}")


def compare_with_baseline(
    rows: Sequence[model.SegmentScore], summary: model.EvaluationSummary, baseline: Mapping[str, Any]
) -> tuple[model.GateFailure, ...]:
    """Return what has become worse by more than the tolerance, or is missing now.

    Segments are the same when id and speaker are; new ones only count in the whole run.
    """
    failures = []
    for measure, (sign, _, tolerance) in _TOLERANCES.items():
        before, now = baseline["summary"].get(measure), getattr(summary, measure)
        if measure == "wer" and now is None and any(row.words_not_scored for row in rows):
            continue
        if _loss(sign, before, now) > tolerance:
            failures.append(_worse(None, None, measure, before, now))
    current = {(row.id, row.speaker): row for row in rows}
    previous = {(str(row["id"]), str(row["speaker"])): row for row in baseline["segments"]}
    for identity, before_row in previous.items():
        failures += _segment_losses(identity, before_row, current.get(identity))
    return tuple(failures)


def _segment_losses(
    identity: tuple[str, str], before: Mapping[str, Any], row: model.SegmentScore | None
) -> Iterator[model.GateFailure]:
    if before["sha256"] is None:
        return
    if row is None:
        yield model.GateFailure("baseline", *identity, "is in the baseline, and not in this run")
        return
    if set(_UNUSABLE) & set(row.flags):
        return  # it misses every gate, and is reported once
    if not row.scored or not before.get("judged"):
        return
    for measure, (sign, tolerance, _) in _TOLERANCES.items():
        if measure == "wer" and row.words_not_scored:
            continue
        more_errors = (row.word_errors or 0) - (before.get("word_errors") or 0)
        value = getattr(row, measure)
        is_slip = measure == "wer" and more_errors <= _MAX_SLIPS
        if not is_slip and _loss(sign, before.get(measure), value) > tolerance:
            yield _worse(*identity, measure, before.get(measure), value)


def _loss(sign: int, before: float | None, now: float | None) -> float:
    """Return by how much a measurement is worse; infinity for one that is missing now, as silence has no voice."""
    if before is None:
        return -math.inf
    return math.inf if now is None else sign * (before - now)


def _worse(
    id: str | None, speaker: str | None, measure: str, before: float | None, now: float | None
) -> model.GateFailure:
    is_now = "cannot be measured now" if now is None else f"is {now:.3f}"
    return model.GateFailure(
        "baseline", id, speaker, f"{measure} was {before:.3f} in the baseline and {is_now}"
    )


def check_gates(gates: model.GateLimits) -> None:
    """Raise InputError for a limit that nothing could miss, or that nothing could keep."""
    for name, (lowest, highest) in _RANGES.items():
        value = getattr(gates, name)
        # NaN is within no range.
        if value is not None and not lowest <= value <= highest:
            raise InputError(
                f"--{name.replace('_', '-')} must be a number from {lowest} to {highest}, not {value}",
                code="bad_gate",
            )


def find_gate_failures(
    gates: model.GateLimits,
    rows: Sequence[model.SegmentScore],
    voices: Sequence[model.SpeakerScore],
    summary: model.EvaluationSummary,
) -> tuple[model.GateFailure, ...]:
    """Return the gates that were missed: first by speakers, then by the run, then by segments in their order.

    A segment that was not synthesized, cannot be read or is silent misses every gate; one that is too short for
    reliable measurements misses no other, but counts in its speaker and in the run.
    """
    if not gates.are_set:
        return ()
    failures = [failure for voice in voices if voice.scored for failure in _too_low(gates, voice)]
    if gates.max_wer is not None and summary.wer is not None and summary.wer > gates.max_wer:
        message = f"{summary.error_rate.lower()} {summary.wer:.2f} over all segments, wanted at most {gates.max_wer:g}"
        failures.append(model.GateFailure("max_wer", None, None, message))
    return (*failures, *(failure for row in rows for failure in _segment_failures(gates, row)))


def _segment_failures(gates: model.GateLimits, row: model.SegmentScore) -> Iterator[model.GateFailure]:
    for flag, problem in _UNUSABLE.items():
        if flag in row.flags:
            reason = f": {row.error['message']}" if row.error else ""
            yield model.GateFailure(flag.value, row.id, row.speaker, f"{problem}{reason}")
            return
    if not row.scored:
        return
    yield from _too_low(gates, row)
    is_slip = (row.word_errors or 0) <= _MAX_SLIPS and model.Flag.WRONG_WORDS not in row.flags
    if gates.max_wer is not None and row.wer is not None and row.wer > gates.max_wer and not is_slip:
        recognised = f"{row.transcript!r:.80}" if row.transcript else "no words"
        message = f"{row.error_rate.lower()} {row.wer:.2f}, wanted at most {gates.max_wer:g}: recognised {recognised}"
        yield model.GateFailure("max_wer", row.id, row.speaker, message)


def _too_low(
    gates: model.GateLimits, row: model.SegmentScore | model.SpeakerScore
) -> Iterator[model.GateFailure]:
    margin = f"margin over {row.nearest_other}" if row.nearest_other else "margin"
    measures = [
        ("min_similarity", "similarity", row.similarity, gates.min_similarity),
        ("min_margin", margin, row.margin, gates.min_margin),
    ]
    if isinstance(row, model.SegmentScore):
        measures.append(("min_mos", "mos", row.mos, gates.min_mos))
    for gate, name, value, limit in measures:
        if limit is not None and value is not None and value < limit:
            id = row.id if isinstance(row, model.SegmentScore) else None
            yield model.GateFailure(gate, id, row.speaker, f"{name} {value:.3f}, wanted at least {limit:g}")

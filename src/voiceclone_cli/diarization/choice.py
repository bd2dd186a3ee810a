"""Which diarization stack to use, and where its files are."""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from voiceclone_cli.diarization import embedded
from voiceclone_cli.errors import InputError, PreflightError
from voiceclone_cli.redaction import redacted
from voiceclone_cli.settings import expanded

if typing.TYPE_CHECKING:
    from pyannote.audio import Pipeline

AUTO = "auto"
EMBEDDED = "embedded"
COMMUNITY = "community-1"

Models = Callable[[Sequence[str]], Mapping[str, Path]]
"""Gives the folder of each registry entry, fetching what is missing. Raises PreflightError."""


@dataclass(frozen=True, slots=True)
class Stack:
    """A diarization stack that was chosen; ``folders`` holds its registry entries, or its one folder."""

    name: str
    folders: Mapping[str, Path]
    why: str


def nothing_at_hand(name: str) -> bool:
    """The ``at_hand`` of a caller whose stack is chosen already: only "auto" asks."""
    return False


def choose(
    diarizer: str,
    *,
    models: Models,
    token: str | None,
    at_hand: Callable[[str], bool] = nothing_at_hand,
) -> Stack:
    """The stack that ``diarizer`` asks for: "auto", "embedded", "community-1" or a folder with a pyannote
    config.yaml.

    ``models`` gives the folders of registry entries and may fetch them; ``at_hand`` says, without any
    network, whether an entry's files are here.
    "auto" is community-1 where its files are at hand or a token can fetch them, else embedded.
    Raises InputError for a name that is none of these, PreflightError when files cannot be had.
    """
    if diarizer == EMBEDDED:
        return _embedded(models, "it was asked for")
    if diarizer == COMMUNITY:
        return Stack(COMMUNITY, models([COMMUNITY]), "it was asked for")
    if diarizer != AUTO:
        return _folder(diarizer)
    if not at_hand(COMMUNITY) and not token:
        return _embedded(models, "community-1 is not on this machine, and there is no hub token to fetch it")
    try:
        return Stack(COMMUNITY, models([COMMUNITY]), "its files are here or the token fetched them")
    except PreflightError as error:
        return _embedded(models, f"community-1 cannot be had: {error.message}")


def load(stack: Stack, token: str | None) -> Pipeline:
    """The pipeline of a stack. Raises InputError when a folder does not hold one that works."""
    from pyannote.audio import Pipeline

    if stack.name == EMBEDDED:
        return embedded.load(stack.folders)
    (folder,) = stack.folders.values()
    try:
        pipeline = Pipeline.from_pretrained(folder, token=token)
    except Exception as error:  # a folder of the user's own can fail in any way its code likes
        reason = redacted(str(error).strip().split("\n")[0], token) or type(error).__name__
        raise InputError(
            f"The diarization pipeline in {folder} cannot be loaded ({reason}); "
            "look at its config.yaml or choose --diarizer embedded.",
            code="diarizer_unusable",
        ) from None  # its cause may quote the token
    return typing.cast(Pipeline, pipeline)


def _embedded(models: Models, why: str) -> Stack:
    return Stack(EMBEDDED, models(embedded.MODELS), why)


def _folder(diarizer: str) -> Stack:
    folder = expanded(diarizer)
    if not (folder / "config.yaml").is_file():
        raise InputError(
            f'Diarizer "{diarizer}" is neither auto, embedded, community-1 nor a folder '
            "with a pyannote config.yaml; choose one of these.",
            code="unknown_diarizer",
        )
    return Stack(str(folder), {diarizer: folder}, "it was asked for")

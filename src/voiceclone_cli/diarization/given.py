"""Turns that the user gives, as RTTM: nobody has to find them."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from voiceclone_cli.diarization.rttm import read_rttm
from voiceclone_cli.errors import InputError
from voiceclone_cli.types import Diarization, Turn

_MAX_BYTES = 50 * 2**20


def given_turns(path: Path, seconds: float) -> Diarization:
    """The turns of an RTTM file, for a recording that lasts ``seconds``.

    Raises InputError when the file cannot be read, is no RTTM, or has no turn within the recording.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise InputError(f"--turns {path} is larger than 50 MB, which is no RTTM.", code="bad_rttm")
        found = read_rttm(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise InputError(f"--turns {path} is not UTF-8 text.", code="bad_rttm") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(
            f"--turns {path} cannot be read ({reason}); check the path.",
            code="turns_unreadable",
        ) from error
    except InputError as error:
        raise InputError(f"--turns {path}: {error.message}", code=error.code) from error
    end = round(seconds, 3)
    turns = tuple(replace(turn, end=min(turn.end, end)) for turn in found if turn.start < end)
    if not turns:
        raise InputError(
            f"--turns {path} has no turn within the recording, which lasts {seconds:.1f} s; "
            "check that it is the right file.",
            code="no_speech",
        )
    return Diarization(turns, exclusive_turns(turns), "given", f"{path} was given")


def exclusive_turns(turns: Iterable[Turn]) -> tuple[Turn, ...]:
    """The same turns without overlaps: whoever began first keeps the floor until their turn ends."""
    # From when on a turn may have the floor, since when it lasts, its end, its speaker.
    waiting = sorted((turn.start, turn.start, turn.end, turn.speaker) for turn in turns)
    heapq.heapify(waiting)
    exclusive: list[Turn] = []
    reached = 0.0
    while waiting:
        start, began, end, speaker = heapq.heappop(waiting)
        if start >= reached:
            exclusive.append(Turn(start, end, speaker))
            reached = end
        elif end > reached:
            # What is left of it waits until the floor is free.
            heapq.heappush(waiting, (reached, began, end, speaker))
    return tuple(exclusive)

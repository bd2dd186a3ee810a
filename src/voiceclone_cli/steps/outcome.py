"""What a run came to, in a word and as an exit code."""

from __future__ import annotations

from voiceclone_cli.errors import PreflightError
from voiceclone_cli.steps.speaking import Spoken

SUCCESS, PARTIAL, ERROR, PLANNED = "success", "partial", "error", "planned"
EXIT_CODES = {SUCCESS: 0, PARTIAL: 3, ERROR: 1, PLANNED: 0}


def status(spoken: Spoken, planned: int) -> str:
    """Of a run with so many segments; those that have no row were not begun with, as nobody asked for it."""
    done = len(spoken.done)
    if done == len(spoken.rows) and not spoken.errors and not spoken.stopped:
        return SUCCESS if done and done == planned else PLANNED
    return PARTIAL if done else ERROR


def exit_code(spoken: Spoken) -> int:
    """What the command ends with. Work that was stopped as a whole before anything was spoken lacked
    something: an interpreter, a package, a checkpoint that loads."""
    if spoken.stopped is not None:
        return spoken.stopped.exit_code
    outcome = status(spoken, len(spoken.rows))
    if outcome == ERROR and spoken.errors:
        return PreflightError.exit_code
    return EXIT_CODES[outcome]

"""What somebody who clones voices should have read once: what the law asks, and what a licence forbids."""

from __future__ import annotations

from voiceclone_cli.machine.state import remember, state_file
from voiceclone_cli.types import Progress, ProgressEvent, no_progress

_LAW = (
    "Clone only voices of people who agreed to it (--consent keeps a record), and say that the voices are "
    "synthetic where the law asks for it, as the EU AI Act does (Article 50); this is no legal advice."
)
_LICENCES = {
    "kokoro": "Kokoro's weights are free for any use (Apache-2.0).",
    "fish": (
        "The published weights of openaudio-s1-mini are licensed for non-commercial use only (CC-BY-NC-SA-4.0, "
        "https://creativecommons.org/licenses/by-nc-sa/4.0/)."
    ),
}
_ONCE = "(Said once on this machine.)"


def tell_first_run(engine: str, progress: Progress) -> None:
    """Tell the notice as a note of the progress, if there is one. It waits for a caller who looks."""
    if progress is no_progress:
        return
    notice = first_run_notice(engine)
    if notice is not None:
        progress(ProgressEvent("note", 1, 1, note=notice))


def first_run_notice(engine: str) -> str | None:
    """The notice for whoever speaks with this engine for the first time on this machine; None when it was told
    before, and for an engine that makes no speech.

    It counts as told from now on. Where that cannot be written down, it is told again the next time.
    """
    if engine not in _LICENCES:
        return None
    told = {name for name in _LICENCES if state_file(f"notice-{name}.txt").is_file()}
    if engine in told:
        return None
    # Who has read of the law with one engine only lacks the licence of the other.
    notice = " ".join([*([] if told else [_LAW]), _LICENCES[engine], _ONCE])
    remember(state_file(f"notice-{engine}.txt"), notice + "\n")
    return notice

"""What a shell offers after an option when Tab is pressed. Nothing heavy: a shell asks at every Tab."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from voiceclone_cli.settings import BACKGROUNDS, ENGINES, LOCAL, PARALLEL, PRECISIONS, RAY, SEQUENTIAL

Completer = Callable[[str], Iterator[str]]


def _words(*words: str) -> Completer:
    def complete(incomplete: str) -> Iterator[str]:
        return (word for word in words if word.startswith(incomplete))

    return complete


engines = _words(*ENGINES)
modes = _words(SEQUENTIAL, PARALLEL)
devices = _words("auto", "cpu", "cuda", "mps")
precisions = _words(*PRECISIONS)
diarizers = _words("auto", "embedded", "community-1")
backgrounds = _words(*BACKGROUNDS)
executors = _words(LOCAL, RAY)


def models(incomplete: str) -> Iterator[str]:
    """Every model that the registry knows."""
    from voiceclone_cli.models import entries

    return (entry.name for entry in entries() if entry.name.startswith(incomplete))


def recognisers(incomplete: str) -> Iterator[str]:
    """Those of them that recognise speech."""
    return (name for name in models(incomplete) if name.startswith("whisper"))

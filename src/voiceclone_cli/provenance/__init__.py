"""Cloned speech says that it is: an inaudible mark, tags, hashes, and a record of who agreed."""

WATERMARK = "perth"
"""The mark's name in notes and manifests, and its model's in the registry."""

SPEAKING_ENGINES = frozenset({"fish", "kokoro"})
"""Whose segments are somebody's voice. The echo engine's are tones: there is nothing to mark."""


def mark_of(engine: str, *, wanted: bool) -> str | None:
    """The mark that this engine's segments carry: none where it is not wanted, or nothing is speech."""
    return WATERMARK if wanted and engine in SPEAKING_ENGINES else None

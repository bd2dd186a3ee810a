"""Cloned speech says that it is: an inaudible mark, tags, hashes, and a record of who agreed."""

WATERMARK = "perth"
"""The mark's name in notes and manifests, and its model's in the registry."""

SPEAKING_ENGINES = frozenset({"fish", "kokoro"})
"""Whose segments are somebody's voice. The echo engine's are tones: there is nothing to mark."""

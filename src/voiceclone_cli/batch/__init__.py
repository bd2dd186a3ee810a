"""Many recordings in one command: which they are, where each goes, and what the whole came to."""

from voiceclone_cli.batch.gathering import DEFAULT_ROOT, gather, is_single
from voiceclone_cli.batch.types import Batch, BatchItem, BatchOutcome, ItemEnd

__all__ = ["DEFAULT_ROOT", "Batch", "BatchItem", "BatchOutcome", "ItemEnd", "gather", "is_single"]

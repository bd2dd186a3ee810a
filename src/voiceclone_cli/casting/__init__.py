"""Casting: for each speaker a reference, some seconds of their own clean speech and its words."""

from voiceclone_cli.casting.memory import cast_or_recall
from voiceclone_cli.casting.references import cast

__all__ = ["cast", "cast_or_recall"]

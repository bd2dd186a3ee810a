"""Casting: for each speaker a reference, some seconds of their own clean speech and its words."""

from voiceclone_cli.casting.references import cast

__all__ = ["cast"]

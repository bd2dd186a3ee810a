"""Corrections: what a user has changed of a run since, kept beside it, applied by every run after it."""

from voiceclone_cli.correcting.history import History, read_history, write_history
from voiceclone_cli.correcting.lines import correct_lines
from voiceclone_cli.correcting.names import Names
from voiceclone_cli.correcting.wishes import Wish

__all__ = ["History", "Names", "Wish", "correct_lines", "read_history", "write_history"]

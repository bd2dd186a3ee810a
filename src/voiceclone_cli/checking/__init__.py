"""Is it the right voice, do they say the right words, does it sound well: a finished run, measured."""

from voiceclone_cli.checking.document import to_document
from voiceclone_cli.checking.model import Against, Check, Flag, Gates, Offence, Row, Summary, Voice
from voiceclone_cli.checking.story import check, write_check, write_junit

__all__ = [
    "Against",
    "Check",
    "Flag",
    "Gates",
    "Offence",
    "Row",
    "Summary",
    "Voice",
    "check",
    "to_document",
    "write_check",
    "write_junit",
]

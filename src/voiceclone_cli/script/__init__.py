"""Script files: what is to be spoken, by whom and when.

Subtitles (SRT, WebVTT, ASS, SSA), JSON and CSV are read; JSON and SRT are written, and read back without loss.
"""

from voiceclone_cli.script.reading import read
from voiceclone_cli.script.writing import check_format, to_json, write

__all__ = ["check_format", "read", "to_json", "write"]

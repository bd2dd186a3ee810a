"""What a line, or a speaker's name, may be corrected to: the rules of script files and of RTTM."""

from __future__ import annotations

from voiceclone_cli.errors import InputError
from voiceclone_cli.names import check_speakers, shown
from voiceclone_cli.script.line import clean_text
from voiceclone_worker.contract import MAX_TEXT, is_unicode


def check_text(text: str) -> str:
    """The text on one line. Raises InputError for one that cannot be spoken."""
    if not is_unicode(text):
        raise InputError("the new text is not Unicode; write it anew.", code="script_text")
    clean = clean_text(text)
    if not any(character.isalnum() for character in clean):
        raise InputError(
            "the new text has nothing to speak; give words, or take the line out of script.json.",
            code="script_text",
        )
    if len(clean) > MAX_TEXT:
        raise InputError(
            f"the new text has {len(clean):,} characters, more than {MAX_TEXT:,}.", code="script_text"
        )
    return clean


def check_name(name: str) -> None:
    """Raises InputError for a name that no folder, or no line of RTTM, can hold."""
    check_speakers([name])
    if name.split() != [name]:
        raise InputError(
            f"the speaker name {shown(name)} holds a blank, which diarization.rttm cannot; write "
            f"{shown('_'.join(name.split()))}.",
            code="unsafe_name",
        )

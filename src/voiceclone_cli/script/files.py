"""The text of a script file, whatever Unicode encoding it was saved in."""

from __future__ import annotations

import codecs
from pathlib import Path

from voiceclone_cli.errors import InputError

MAX_BYTES = 32 * 2**20
MAX_ROWS = 1_000_000
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def read_text(path: Path) -> str:
    """The file's text with line ends as ``\\n``: UTF-8, or what its byte order mark says.

    Raises InputError when there is no such file, or it is no text, or larger than MAX_BYTES or MAX_ROWS.
    """
    if path.is_dir():
        raise InputError("is a folder; give a script file.", code="script_unreadable")
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise InputError("there is no such file; check the path.", code="script_not_found") from error
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read ({error}).", code="script_unreadable") from error
    if len(data) > MAX_BYTES:
        raise InputError(
            f"is larger than {MAX_BYTES // 2**20} MB, which is no script; split it.", code="script_too_long"
        )
    text = _decode(data).replace("\r\n", "\n").replace("\r", "\n")
    if text.count("\n") > MAX_ROWS:
        raise InputError(
            f"has more than {MAX_ROWS:,} rows, which is no script; split it.", code="script_too_long"
        )
    return text


def _decode(data: bytes) -> str:
    mark, encoding = next((pair for pair in _MARKS if data.startswith(pair[0])), (b"", "utf-8"))
    try:
        text = data[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        raise _not_unicode() from error
    # Zero characters are what UTF-16 without its mark looks like as UTF-8.
    if "\0" in text:
        raise _not_unicode()
    return text


def _not_unicode() -> InputError:
    return InputError("is not UTF-8 text; save it as UTF-8.", code="script_encoding")

"""Which recordings the arguments of a command name: files, folders, and patterns that no shell has filled in."""

from __future__ import annotations

import codecs
import csv
import glob
import hashlib
import io
import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from voiceclone_cli.analysis.diarization import SpeakerCount
from voiceclone_cli.batch.model import Batch, BatchItem, earlier_names
from voiceclone_cli.config import SETTINGS, redact
from voiceclone_cli.errors import InputError
from voiceclone_cli.pipeline.request import RunRequest
from voiceclone_cli.rundir.manifest import MANIFEST, OWNER
from voiceclone_worker.validation import ContractError, file_key, name_fault, parse_json, shown

_SUFFIXES = (
    ".3gp .aac .ac3 .aif .aifc .aiff .ape .asf .au .avi .caf .dts .dv .eac3 .flac .flv .gxf .m2ts .m4a .m4b "
    ".m4v .mka .mkv .mov .mp2 .mp3 .mp4 .mpeg .mpg .mts .mxf .nut .oga .ogg .ogv .opus .rf64 .rm .spx .tak "
    ".ts .tta .vob .w64 .wav .webm .wma .wmv .wtv .wv"
)
MEDIA_SUFFIXES = frozenset(_SUFFIXES.split())
"""What a recording in a folder is called. A file that is named itself needs none of them."""


def names_many(argument: Path) -> bool:
    """Whether this is a folder or a pattern, and not a file (that may be missing)."""
    return argument.is_dir() or _is_pattern(argument)


def find_inputs(arguments: Iterable[Path]) -> Iterator[Path]:
    """The recordings, those of a folder or a pattern in the order of their paths.

    Folders are searched to their depths for files with a known suffix. Hidden files and whatever lies in a
    run directory are left out. A file that is named itself is taken as it is, also where it is missing: that
    is found out when its turn comes. Raises InputError for a folder or a pattern that holds no recording.
    """
    for argument in arguments:
        if not names_many(argument):
            yield argument
            continue
        is_folder = argument.is_dir()
        found = sorted(_in_folder(argument) if is_folder else _fitting(argument))
        if not found:
            raise _nothing_in_folder(argument) if is_folder else _nothing_fits(argument)
        yield from found


def _is_pattern(argument: Path) -> bool:
    """A file may be called ``talk [1].wav``: then it is meant."""
    return glob.has_magic(str(argument)) and not os.path.lexists(argument)


def _is_run_dir(folder: Path) -> bool:
    return (folder / MANIFEST).is_file() or (folder / OWNER).is_file()


def _in_folder(folder: Path) -> Iterator[Path]:
    if _is_run_dir(folder):
        return

    def refuse(error: OSError) -> None:
        raise InputError(
            f"the folder {error.filename} cannot be read ({error.strerror}): check its permissions.",
            code="folder_unreadable",
        ) from error

    for parent, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if name[0] != "." and not _is_run_dir(Path(parent, name))]
        yield from (Path(parent, name) for name in files if name[0] != "." and _is_media(name))


def _is_media(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in MEDIA_SUFFIXES


def _fitting(pattern: Path) -> Iterator[Path]:
    """What fits it, as a shell would tell; of a pattern that leaves the suffix open, recordings only."""
    takes_any_file = bool(pattern.suffix) and not glob.has_magic(pattern.suffix)
    fixed = _fixed_part(pattern)
    made_by_us: dict[Path, bool] = {}
    for found in map(Path, glob.iglob(str(pattern), recursive=True)):
        # ``x/**`` also fits x itself, whether or not it is there.
        if found == fixed or _lies_in_run_dir(found.parent, fixed, made_by_us):
            continue
        if found.is_dir():
            # ``**`` goes down by itself.
            yield from () if "**" in pattern.parts else _in_folder(found)
        elif takes_any_file or _is_media(found.name):
            yield found


def _fixed_part(pattern: Path) -> Path:
    """The folders before the first wildcard: what is named there is meant, a run directory too."""
    magic = next(n for n, part in enumerate(pattern.parts) if glob.has_magic(part))
    return Path(*pattern.parts[:magic])


def _lies_in_run_dir(folder: Path, fixed: Path, known: dict[Path, bool]) -> bool:
    if folder == fixed:
        return False
    if folder not in known:
        known[folder] = _is_run_dir(folder) or _lies_in_run_dir(folder.parent, fixed, known)
    return known[folder]


def _nothing_in_folder(folder: Path) -> InputError:
    if _is_run_dir(folder):
        return InputError(
            f"{folder} is the run directory of an earlier run: name the recordings themselves.",
            code="run_directory_as_input",
        )
    return InputError(
        f"the folder {folder} holds no audio or video file: check the path, or name the files themselves.",
        code="no_input",
    )


def _nothing_fits(pattern: Path) -> InputError:
    return InputError(f"no audio or video file fits {pattern}: check the pattern.", code="no_input")


# What the run directories of a batch are called: after their recordings, and each by a name of its own.


RESERVED = ("batch.json", "logs", "tasks")
"""Names in the root that no run directory may have."""
_MOST_PARENTS = 3
_DIGITS = (8, 32)
"""Of the SHA-256 of a path, where nothing else tells two recordings apart."""
_LEVELS = 2 + _MOST_PARENTS + len(_DIGITS)
_LONGEST = 80
"""Characters of a name that was cut; the contract allows 100, and 200 bytes."""


def give_names(paths: Sequence[Path], earlier: Mapping[str, str], taken: Collection[str]) -> list[str]:
    """A name for each of these different absolute paths, the same whatever their order.

    It is the file's name without its suffix where no other has that; else the first of these that is unique:
    the whole file name, the name with one, two or three folders before it, the name with digits of the path's
    SHA-256. ``earlier`` holds the names of an earlier batch by path: they are kept, and given to no other.
    ``taken`` are names that cannot be had.
    """
    used = {file_key(name) for name in (*RESERVED, *taken)}
    names = _kept(paths, earlier, used)
    used.update(map(file_key, earlier.values()))
    for level in range(_LEVELS):
        proposed = {path: _proposal(path, level) for path in paths if path not in names}
        wanted = Counter(map(file_key, proposed.values()))
        for path, name in proposed.items():
            key = file_key(name)
            if wanted[key] == 1 and key not in used:
                names[path] = name
                used.add(key)
    return [names[path] for path in paths]


def _kept(paths: Sequence[Path], earlier: Mapping[str, str], used: set[str]) -> dict[Path, str]:
    """The names that stay. One that a list once gave is no name of the file itself, and is not kept."""
    names = {}
    for path in paths:
        name = earlier.get(str(path))
        if name is None or file_key(name) in used:
            continue
        if any(name == _proposal(path, level) for level in range(_LEVELS)):
            names[path] = name
            used.add(file_key(name))
    return names


def _proposal(path: Path, level: int) -> str:
    if level == 0:
        return _safe(path.stem)
    if level == 1:
        return _safe(path.name)
    parents = level - 1
    if parents <= _MOST_PARENTS:
        return _safe("-".join([*path.parts[1:-1][-parents:], path.stem]))
    digits = hashlib.sha256(os.fsencode(path)).hexdigest()
    return f"{_safe(path.stem)[:60]}-{digits[: _DIGITS[parents - _MOST_PARENTS - 1]]}"


def _safe(name: str) -> str:
    """The name, or the nearest to it that can name a folder on every system."""
    if name_fault(name) is None:
        return name
    allowed = "".join(character if name_fault(f"a{character}a") is None else "_" for character in name)
    cut = allowed.strip(" .")[:_LONGEST]
    while len(cut.encode()) > 2 * _LONGEST:
        cut = cut[:-1]
    cut = cut.strip(" .") or "recording"
    return cut if name_fault(cut) is None else f"_{cut}"


# A list of recordings, a row each, with what holds for that one only: CSV, or JSON Lines.


_COUNTS = {"speakers": "exactly", "min_speakers": "least", "max_speakers": "most"}
_FILES = ("script", "turns", "consent")
_SETTINGS = ("diarizer", "language", "max_stretch", "background", "watermark", "seed")
COLUMNS = ("input", "name", *_FILES, *_COUNTS, *_SETTINGS, "references")
_DELIMITERS = ",;\t"
_MOST_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True)
class ListRow:
    """A recording of a list."""

    where: str
    """For messages: "row 3", counted as an editor counts lines."""
    request: RunRequest
    name: str | None
    """That the list gives it."""


def read_list(path: Path, common: RunRequest) -> list[ListRow]:
    """The rows of a list: the request that holds for all, changed by what each says.

    Paths are relative to the list's folder. Empty cells and missing keys leave what is common. Raises
    InputError that names the row and the column.
    """
    kinds = {".csv": _csv_rows, ".tsv": _csv_rows, ".jsonl": _json_rows, ".ndjson": _json_rows}
    read = kinds.get(path.suffix.lower())
    if read is None:
        raise InputError(f"the list {path} must be called .csv or .jsonl.", code="list_format")
    try:
        rows = [_row(where, cells, path.parent, common) for where, cells in read(_text(path))]
        if not rows:
            raise InputError("it has no row; give one for each recording.", code="list_format")
        _check_names(rows)
    except InputError as error:
        raise InputError(f"the list {path}: {error.message}", code=error.code) from error
    return rows


def _text(path: Path) -> str:
    """UTF-8 with or without its mark, or the UTF-16 that some spreadsheets write."""
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a name with a null character
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"it cannot be read ({reason}): check the path.", code="list_unreadable") from error
    if len(data) > _MOST_BYTES:
        raise InputError(f"it is larger than {_MOST_BYTES // 2**20} MB; split it.", code="list_unreadable")
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError("it is not UTF-8 text; save it as UTF-8.", code="list_unreadable") from error


def _csv_rows(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    lines = io.StringIO(text, newline="")
    delimiter = max(_DELIMITERS, key=next((line for line in lines if line.strip()), "").count)
    lines.seek(0)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    columns: list[str] | None = None
    try:
        for cells in reader:
            where = f"row {reader.line_num}"
            if not any(cell.strip() for cell in cells):
                continue
            if columns is None:
                columns = _columns(cells)
            elif any(cell.strip() for cell in cells[len(columns) :]):
                raise InputError(
                    f"{where} has more cells than the first row; put what holds the delimiter in quotes.",
                    code="list_format",
                )
            else:
                yield where, dict(zip(columns, map(str.strip, cells), strict=False))
    except csv.Error as error:
        raise InputError(f"row {reader.line_num} is not one of CSV ({error}).", code="list_format") from error


def _columns(header: list[str]) -> list[str]:
    names = [cell.strip().casefold() for cell in header]
    while names and not names[-1]:  # spreadsheets keep columns that once held something
        names.pop()
    doubled = next((name for name in names if names.count(name) > 1), None)
    if doubled is not None:
        raise InputError(f"it has more than one column {shown(doubled)}.", code="list_format")
    if "input" not in names:
        raise InputError(
            'the first row must name the columns, and one of them "input": the recording\'s path.',
            code="list_format",
        )
    _check_known(names, "the first row")
    return names


def _json_rows(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"row {number}"
        try:
            cells = parse_json(line)
        except ContractError as error:
            raise InputError(f"{where} is not JSON ({error}).", code="list_format") from error
        if not isinstance(cells, dict):
            raise InputError(f"{where} must be an object, not {shown(cells)}.", code="list_format")
        _check_known(list(cells), where)
        yield where, {key: value for key, value in cells.items() if value is not None}


def _check_known(names: list[str], where: str) -> None:
    unknown = next((name for name in names if name not in COLUMNS), None)
    if unknown is not None:
        raise InputError(
            f"{where}: there is no column {shown(unknown)}; there are {', '.join(COLUMNS)}.",
            code="list_column",
        )


def _row(where: str, cells: Mapping[str, Any], folder: Path, common: RunRequest) -> ListRow:
    given = {column: value for column, value in cells.items() if value != ""}
    texts = {
        column: _as_text(value, where, column) for column, value in given.items() if column != "references"
    }
    if "input" not in texts:
        raise _bad_value(where, "input", "must be the recording's path, and is empty")
    changes: dict[str, Any] = {"input": folder / texts["input"]}
    changes |= {column: folder / texts[column] for column in _FILES if column in texts}
    if "references" in given:
        changes["references"] = _references(given["references"], where, folder)
    counted = {field: texts[column] for column, field in _COUNTS.items() if column in texts}
    if counted:
        changes["speakers"] = _count(counted, where)
    set_here = {column: _setting(column, texts[column], where) for column in _SETTINGS if column in texts}
    if set_here:
        sources = {**common.settings.sources, **dict.fromkeys(set_here, "list")}
        changes["settings"] = replace(common.settings, **set_here, sources=sources)
    name = texts.get("name")
    if name is not None:
        _check_name(name, where)
    return ListRow(where, replace(common, **changes), name)


def _as_text(value: object, where: str, column: str) -> str:
    """A cell as the command line would give it."""
    if isinstance(value, (str, bool, int, float)):
        text = str(value).strip()
        if "\0" not in text and text:
            return text
    raise _bad_value(where, column, f"must be a text or a number, not {shown(value)}")


def _setting(column: str, text: str, where: str) -> Any:
    try:
        return SETTINGS[column].parse(text)
    except ValueError as error:
        raise _bad_value(where, column, redact(str(error))) from None


def _count(counted: Mapping[str, str], where: str) -> SpeakerCount:
    """What a row says of the number of speakers takes the place of all that the command says of it."""
    for column, field in _COUNTS.items():
        text = counted.get(field)
        if text is not None and not (text.isascii() and text.isdigit() and 0 < int(text[:9]) < 10**6):
            raise _bad_value(where, column, f"must be a whole number from 1, not {shown(text)}")
    try:
        return SpeakerCount(**{field: int(text) for field, text in counted.items()})
    except InputError as error:
        raise InputError(f"{where}: {error.message}", code=error.code) from error


def _references(value: object, where: str, folder: Path) -> dict[str, Path]:
    """From ``SPEAKER=FILE;SPEAKER=FILE``, or an object."""
    if isinstance(value, str):
        pairs = [pair.strip().partition("=")[::2] for pair in value.split(";") if pair.strip()]
    elif isinstance(value, dict):
        pairs = list(value.items())
    else:
        pairs = []
    if not pairs or not all(isinstance(file, str) and speaker and file for speaker, file in pairs):
        raise _bad_value(where, "references", f"must be SPEAKER=FILE;SPEAKER=FILE, not {shown(value)}")
    return {speaker.strip(): folder / file.strip() for speaker, file in pairs}


def _check_name(name: str, where: str) -> None:
    fault = name_fault(name)
    if fault is None and file_key(name) in map(file_key, RESERVED):
        fault = "is taken by the batch itself"
    if fault is not None:
        raise _bad_value(where, "name", f"{shown(name)} cannot name a folder, because it {fault}")


def _check_names(rows: list[ListRow]) -> None:
    first: dict[str, ListRow] = {}
    for row in rows:
        if row.name is not None:
            other = first.setdefault(file_key(row.name), row)
            if other is not row:
                raise _bad_value(
                    row.where,
                    "name",
                    f"{shown(row.name)} names the same folder as in {other.where}; choose another",
                )


def _bad_value(where: str, column: str, fault: str) -> InputError:
    return InputError(f"{where}, column {column}: {fault}.", code="list_value")


# From what the command line and a list say to a batch: each recording once, with its own run directory.


DEFAULT_ROOT = Path("voiceclone-batch")


def is_single(arguments: Sequence[Path], list_file: Path | None) -> bool:
    """Whether this is a run of one recording, and no batch."""
    return list_file is None and len(arguments) == 1 and not names_many(arguments[0])


def gather(arguments: Sequence[Path], list_file: Path | None, common: RunRequest) -> Batch:
    """The batch that these arguments and this list make; what the list does not say is as in ``common``, whose
    ``out`` is the root.

    Raises InputError before anything is started: for what names no recording, a list that cannot be read, an
    option that is for one recording only.
    """
    _check_options(common)
    root = (common.out or DEFAULT_ROOT).absolute()
    _check_root(root)
    listed = read_list(list_file, common) if list_file is not None else []
    named = [ListRow("", replace(common, input=path), None) for path in find_inputs(arguments)]
    rows, doubled = _each_once(named, listed)
    if not rows:
        raise InputError("name at least one recording, or a --list of them", code="no_input")
    earlier = earlier_names(root)
    items = tuple(_items(rows, root, earlier))
    present = {str(item.request.input) for item in items}
    gone = {path: name for path, name in earlier.items() if path not in present}
    return Batch(items, root, common.settings, gone, (*common.settings.notes, *_note(doubled)))


def _check_options(common: RunRequest) -> None:
    for option, value in (
        ("--script", common.script),
        ("--turns", common.turns),
        ("--reference", common.references),
    ):
        if value:
            raise InputError(
                f"{option} is for one recording: with several, put each one's own into a list and give that "
                "with --list",
                code="option_of_one",
            )


def _check_root(root: Path) -> None:
    if (root / MANIFEST).exists() or (root.exists() and not root.is_dir()):
        kind = "the run directory of one recording" if root.is_dir() else "a file"
        raise InputError(f"{root} is {kind}; choose another folder with --out", code="not_a_batch")


def _each_once(named: Iterable[ListRow], listed: Sequence[ListRow]) -> tuple[list[ListRow], list[Path]]:
    """The rows without those that only repeat another, and the recordings that were repeated. What a list says
    of a recording holds for it, also where an argument names it too."""
    of_list: dict[str, list[ListRow]] = {}
    distinct: list[ListRow] = []
    doubled: list[Path] = []
    for row in listed:
        others = of_list.setdefault(_identity(row), [])
        if _repeats(row, others):
            doubled.append(row.request.input)
        else:
            others.append(row)
            distinct.append(row)
    alone: dict[str, ListRow] = {}
    for row in named:
        identity = _identity(row)
        if identity in of_list or alone.setdefault(identity, row) is not row:
            doubled.append(row.request.input)
    return [*alone.values(), *distinct], doubled


def _identity(row: ListRow) -> str:
    return os.path.realpath(row.request.input)


def _repeats(row: ListRow, others: Sequence[ListRow]) -> bool:
    """Whether a row of a list says nothing new. Raises InputError where two rows of one recording want
    different things, and a name is missing that would tell them apart."""
    for other in others:
        if row.name == other.name and row.request == replace(other.request, input=row.request.input):
            return True
        if row.name is None or other.name is None:
            raise InputError(
                f"{row.request.input} stands in {other.where} and in {row.where} of the list with different "
                "options: give each row a name",
                code="list_name",
            )
    return False


def _items(rows: Sequence[ListRow], root: Path, earlier: dict[str, str]) -> Iterable[BatchItem]:
    # Not resolved: a link has the name that its user gave it.
    paths = [Path(os.path.abspath(row.request.input)) for row in rows]
    unnamed = [path for path, row in zip(paths, rows, strict=True) if row.name is None]
    taken = [row.name for row in rows if row.name is not None]
    found = dict(zip(unnamed, give_names(unnamed, earlier, taken), strict=True))
    for path, row in zip(paths, rows, strict=True):
        name = found[path] if row.name is None else row.name
        yield BatchItem(replace(row.request, input=path, out=root / name), name)


def _note(doubled: Sequence[Path]) -> list[str]:
    if not doubled:
        return []
    more = f" and {len(doubled) - 3} more" if len(doubled) > 3 else ""
    return [f"named more than once, taken once: {', '.join(map(str, doubled[:3]))}{more}"]

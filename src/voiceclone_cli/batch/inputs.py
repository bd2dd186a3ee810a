"""Inputs of a batch: files, folders, patterns and list files, each with the name of its run directory."""

from __future__ import annotations

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

from voiceclone_cli import messages
from voiceclone_cli.analysis.diarization import SpeakerCount
from voiceclone_cli.batch.model import Batch, BatchItem, earlier_names, earlier_videos
from voiceclone_cli.batch.shared_video import plan_shared_videos
from voiceclone_cli.config import SETTINGS, redact
from voiceclone_cli.encodings import DecodedText, decode_whole
from voiceclone_cli.errors import InputError
from voiceclone_cli.pipeline.request import RunRequest
from voiceclone_cli.rundir.manifest import MANIFEST, OWNER
from voiceclone_cli.translation.job import TranslationOptions
from voiceclone_worker.validation import ContractError, file_key, name_fault, parse_json, shown

DEFAULT_ROOT = Path("voiceclone-batch")
RESERVED = ("batch.json", "logs", "stages", "tasks")
"""Names in the root that no run directory may have."""

_SUFFIXES = (
    ".3gp .aac .ac3 .aif .aifc .aiff .ape .asf .au .avi .caf .dts .dv .eac3 .flac .flv .gxf .m2ts .m4a .m4b "
    ".m4v .mka .mkv .mov .mp2 .mp3 .mp4 .mpeg .mpg .mts .mxf .nut .oga .ogg .ogv .opus .rf64 .rm .spx .tak "
    ".ts .tta .vob .w64 .wav .webm .wma .wmv .wtv .wv"
)
MEDIA_SUFFIXES = frozenset(_SUFFIXES.split())
"""Suffixes of the recordings in a folder. A file that is named explicitly may have any."""

_COUNTS = {"speakers": "exactly", "min_speakers": "least", "max_speakers": "most"}
_FILES = ("script", "turns", "consent")
_SETTINGS = ("diarizer", "language", "encoding", "max_stretch", "borrow", "background", "watermark", "seed")
COLUMNS = ("input", "name", *_FILES, *_COUNTS, *_SETTINGS, "references")
_DELIMITERS = ",;\t"
_MAX_LIST_BYTES = 256 * 2**20

_MAX_PARENTS = 3
_DIGITS = (8, 32)
"""Lengths of the SHA-256 prefix in names of recordings that differ in nothing else."""
_LEVELS = 2 + _MAX_PARENTS + len(_DIGITS)
_MAX_NAME = 80
"""Characters of a shortened name; the contract allows 100, and 200 bytes."""


@dataclass(frozen=True, slots=True)
class ListRow:
    """One recording, as an argument or a row of a list gives it."""

    where: str
    """Position for messages: "row 3", counted like the lines of an editor; empty for an argument."""
    request: RunRequest
    name: str | None
    """Name that the list gives to the run directory."""


def is_single(arguments: Sequence[Path], list_file: Path | None) -> bool:
    """Return whether the arguments are one recording, not a batch."""
    return list_file is None and len(arguments) == 1 and not is_collection(arguments[0])


def gather(
    arguments: Sequence[Path],
    list_file: Path | None,
    common: RunRequest,
    translations: Sequence[TranslationOptions] = (),
    *,
    one_video: bool = False,
) -> Batch:
    """Return the batch of these arguments and this list, with an item for each recording and translation.

    Options that the list does not set are those of ``common``; its ``out`` is the root. ``one_video``: the
    translations of a recording share a video. Raises InputError for arguments without a recording, an unreadable
    list, options that only one recording can have, and what ``plan_shared_videos`` raises.
    """
    if not is_single(arguments, list_file):
        _check_options(common)
    root = (common.out or DEFAULT_ROOT).absolute()
    _check_root(root)
    listed, list_notes = read_list(list_file, common) if list_file is not None else ([], ())
    named = [ListRow("", replace(common, input=path), None) for path in find_inputs(arguments)]
    rows, repeated = _without_repeats(named, listed)
    if not rows:
        raise InputError("name at least one recording, or a --list of them", code="no_input")
    earlier = earlier_names(root)
    items = tuple(_translated(_items(rows, root, earlier), translations))
    current = {str(item.request.input) for item in items}
    removed = {path: name for path, name in earlier.items() if path not in current}
    notes = [*common.settings.notes, *list_notes]
    if repeated:
        notes.append(f"named more than once, taken once: {messages.listed(list(map(str, repeated)))}")
    videos = plan_shared_videos(items, root) if one_video else ()
    return Batch(items, root, common.settings, removed, tuple(notes), videos)


def _check_options(common: RunRequest) -> None:
    options = {"--script": common.script, "--turns": common.turns, "--reference": common.references}
    for option, value in options.items():
        if value:
            raise InputError(
                f"{option} is for one recording: for several, write it into a list, a row for each recording, "
                "and pass the list with --list",
                code="option_of_one",
            )


def _check_root(root: Path) -> None:
    if (root / MANIFEST).exists() or (root.exists() and not root.is_dir()):
        kind = "the run directory of one recording" if root.is_dir() else "a file"
        raise InputError(f"{root} is {kind}; choose another folder with --out", code="not_a_batch")


def _without_repeats(named: Iterable[ListRow], listed: Sequence[ListRow]) -> tuple[list[ListRow], list[Path]]:
    """Return the distinct rows, and the recordings that were repeated.

    A recording that is both in the list and among the arguments has the options of the list.
    """
    by_file: dict[str, list[ListRow]] = {}
    distinct: list[ListRow] = []
    repeated: list[Path] = []
    for row in listed:
        others = by_file.setdefault(os.path.realpath(row.request.input), [])
        if _is_repeat(row, others):
            repeated.append(row.request.input)
        else:
            others.append(row)
            distinct.append(row)
    unlisted: dict[str, ListRow] = {}
    for row in named:
        file = os.path.realpath(row.request.input)
        if file in by_file or unlisted.setdefault(file, row) is not row:
            repeated.append(row.request.input)
    return [*unlisted.values(), *distinct], repeated


def _is_repeat(row: ListRow, others: Sequence[ListRow]) -> bool:
    """Return whether a row adds nothing. Raises InputError for rows that differ, but lack names to tell them apart."""
    for other in others:
        if row.name == other.name and row.request == replace(other.request, input=row.request.input):
            return True
        if row.name is None or other.name is None:
            raise InputError(
                f"{row.request.input} is in {other.where} and in {row.where} of the list with different "
                "options: give each row a name",
                code="list_name",
            )
    return False


def _items(rows: Sequence[ListRow], root: Path, earlier: Mapping[str, str]) -> Iterator[BatchItem]:
    # Not resolved: a link keeps its name.
    paths = [Path(os.path.abspath(row.request.input)) for row in rows]
    unnamed = [path for path, row in zip(paths, rows, strict=True) if row.name is None]
    taken = [row.name for row in rows if row.name is not None]
    chosen = dict(zip(unnamed, choose_names(unnamed, earlier, taken), strict=True))
    for path, row in zip(paths, rows, strict=True):
        name = chosen[path] if row.name is None else row.name
        yield BatchItem(replace(row.request, input=path, out=root / name), name)


def _translated(
    items: Iterable[BatchItem], translations: Sequence[TranslationOptions]
) -> Iterator[BatchItem]:
    """Yield each recording once for each language, one after the other; without languages as it is."""
    names: dict[str, BatchItem] = {}
    for item in items:
        for translation in translations:
            name = f"{item.name}.{translation.to}"
            request = replace(item.request, translation=translation, out=item.request.run_dir.with_name(name))
            found = BatchItem(request, name, item.name)
            if names.setdefault(file_key(name), found) is not found:
                raise InputError(
                    f"two recordings would have the run directory {name}: give each a name in a --list.",
                    code="list_name",
                )
            yield found
        if not translations:
            yield item


# Arguments: files, folders, patterns


def is_collection(argument: Path) -> bool:
    """Return whether an argument is a folder or a pattern, not a (perhaps missing) file."""
    # Not Path.is_dir, which raises for a name that is too long.
    return os.path.isdir(argument) or _is_pattern(argument)


def find_inputs(arguments: Iterable[Path]) -> Iterator[Path]:
    """Yield the recordings of the arguments; those of a folder or a pattern sorted by path.

    Folders are searched recursively for files with a known suffix, without hidden files and the contents of
    run directories. A named file is taken as it is, even if it is missing. Raises InputError for a folder or a
    pattern without recordings.
    """
    for argument in arguments:
        if not is_collection(argument):
            yield argument
            continue
        is_folder = argument.is_dir()
        # By the names' parts: Windows' own order of paths would not look at case, and the numbers of a batch follow it.
        found = sorted(_media_in(argument) if is_folder else _matches(argument), key=lambda path: path.parts)
        if not found:
            raise _no_media(argument, is_folder=is_folder)
        yield from found


def _is_pattern(argument: Path) -> bool:
    """Return whether it is a pattern; an existing file may be called ``talk [1].wav``."""
    return glob.has_magic(str(argument)) and not os.path.lexists(argument)


def _is_run_dir(folder: Path) -> bool:
    return (folder / MANIFEST).is_file() or (folder / OWNER).is_file()


def _media_in(folder: Path) -> Iterator[Path]:
    if _is_run_dir(folder):
        return

    def refuse(error: OSError) -> None:
        raise InputError(
            f"the folder {error.filename} cannot be read ({error.strerror}): check its permissions.",
            code="folder_unreadable",
        ) from error

    for parent, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if name[0] != "." and not _is_run_dir(Path(parent, name))]
        written = earlier_videos(Path(parent))
        yield from (
            Path(parent, name) for name in files if name[0] != "." and name not in written and _is_media(name)
        )


def _is_media(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in MEDIA_SUFFIXES


def _matches(pattern: Path) -> Iterator[Path]:
    """Yield what a shell would; only recordings where the pattern leaves the suffix open."""
    takes_any_file = bool(pattern.suffix) and not glob.has_magic(pattern.suffix)
    first_magic = next(n for n, part in enumerate(pattern.parts) if glob.has_magic(part))
    # A run directory before the first wildcard was named on purpose.
    fixed = Path(*pattern.parts[:first_magic])
    known: dict[Path, bool] = {}
    written: dict[Path, set[str]] = {}
    for found in map(Path, glob.iglob(str(pattern), recursive=True)):
        # ``x/**`` also matches x itself, whether or not it exists.
        if found == fixed or _is_in_run_dir(found.parent, fixed, known):
            continue
        if found.parent not in written:
            written[found.parent] = earlier_videos(found.parent)
        if found.name in written[found.parent]:
            continue
        if found.is_dir():
            # ``**`` is recursive already.
            yield from () if "**" in pattern.parts else _media_in(found)
        elif takes_any_file or _is_media(found.name):
            yield found


def _is_in_run_dir(folder: Path, fixed: Path, known: dict[Path, bool]) -> bool:
    if folder == fixed:
        return False
    if folder not in known:
        known[folder] = _is_run_dir(folder) or _is_in_run_dir(folder.parent, fixed, known)
    return known[folder]


def _no_media(argument: Path, *, is_folder: bool) -> InputError:
    if not is_folder:
        return InputError(f"no audio or video file matches {argument}: check the pattern.", code="no_input")
    if _is_run_dir(argument):
        return InputError(
            f"{argument} is the run directory of an earlier run: name the recordings themselves.",
            code="run_directory_as_input",
        )
    return InputError(
        f"the folder {argument} holds no audio or video file: check the path, or name the files themselves.",
        code="no_input",
    )


# Names of run directories


def choose_names(paths: Sequence[Path], earlier: Mapping[str, str], taken: Collection[str]) -> list[str]:
    """Return a unique name for each of these distinct absolute paths, independent of their order.

    A name is the first of these that is unique: the file's stem; the whole file name; the stem after one, two
    or three of its folders; the stem and digits of the path's SHA-256. ``earlier`` maps paths to names in an
    earlier batch: these are kept, and given to no other path. ``taken`` names are not available.
    """
    used = {file_key(name) for name in (*RESERVED, *taken)}
    names = _kept_names(paths, earlier, used)
    used.update(map(file_key, earlier.values()))
    for level in range(_LEVELS):
        candidates = {path: _candidate(path, level) for path in paths if path not in names}
        counts = Counter(map(file_key, candidates.values()))
        for path, name in candidates.items():
            key = file_key(name)
            if counts[key] == 1 and key not in used:
                names[path] = name
                used.add(key)
    return [names[path] for path in paths]


def _kept_names(paths: Sequence[Path], earlier: Mapping[str, str], used: set[str]) -> dict[Path, str]:
    """Return the earlier names that stay valid; names that a list gave do not belong to the path."""
    names = {}
    for path in paths:
        name = earlier.get(str(path))
        if name is None or file_key(name) in used:
            continue
        if any(name == _candidate(path, level) for level in range(_LEVELS)):
            names[path] = name
            used.add(file_key(name))
    return names


def _candidate(path: Path, level: int) -> str:
    if level < 2:
        return _safe_name((path.stem, path.name)[level])
    parents = level - 1
    if parents <= _MAX_PARENTS:
        return _safe_name("-".join([*path.parts[1:-1][-parents:], path.stem]))
    digits = hashlib.sha256(os.fsencode(path)).hexdigest()
    return f"{_safe_name(path.stem)[:60]}-{digits[: _DIGITS[parents - _MAX_PARENTS - 1]]}"


def _safe_name(name: str) -> str:
    """Return the name, or the most similar one that is a valid folder name on every system."""
    if name_fault(name) is None:
        return name
    allowed = "".join(character if name_fault(f"a{character}a") is None else "_" for character in name)
    cut = allowed.strip(" .")[:_MAX_NAME]
    while len(cut.encode()) > 2 * _MAX_NAME:
        cut = cut[:-1]
    cut = cut.strip(" .") or "recording"
    return cut if name_fault(cut) is None else f"_{cut}"


# Lists: a row for each recording with its own options, as CSV or JSON Lines


def read_list(path: Path, common: RunRequest) -> tuple[list[ListRow], tuple[str, ...]]:
    """Return the rows of a list, the common request with the changes of each row; and notes for the user.

    Paths are relative to the list's folder. Empty cells and missing keys change nothing. Raises InputError that
    names the row and the column.
    """
    parsers = {".csv": _csv_rows, ".tsv": _csv_rows, ".jsonl": _json_rows, ".ndjson": _json_rows}
    parse = parsers.get(path.suffix.lower())
    if parse is None:
        raise InputError(f"the list {path} must be called .csv or .jsonl.", code="list_format")
    try:
        contents = _read(path, common.settings.encoding)
        rows = [_row(where, cells, path.parent, common) for where, cells in parse(contents.text)]
        if not rows:
            raise InputError("it has no row; add one for each recording.", code="list_format")
        _check_unique_names(rows)
    except InputError as error:
        raise InputError(f"the list {path}: {error.message}", code=error.code) from error
    return rows, contents.notes(path.name)


def _read(path: Path, encoding: str | None) -> DecodedText:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_LIST_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a name with a null character
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"it cannot be read ({reason}): check the path.", code="list_unreadable") from error
    if len(data) > _MAX_LIST_BYTES:
        raise InputError(
            f"it is larger than {_MAX_LIST_BYTES // 2**20} MB; split it.", code="list_unreadable"
        )
    try:
        return decode_whole(data, encoding)
    except InputError as error:
        raise InputError(f"it {error.message}", code="list_unreadable") from error


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
                    f"{where} has more cells than the first row; quote cells that contain the delimiter.",
                    code="list_format",
                )
            else:
                yield where, dict(zip(columns, map(str.strip, cells), strict=False))
    except csv.Error as error:
        raise InputError(f"row {reader.line_num} is not valid CSV ({error}).", code="list_format") from error


def _columns(header: list[str]) -> list[str]:
    names = [cell.strip().casefold() for cell in header]
    while names and not names[-1]:  # spreadsheets keep emptied columns
        names.pop()
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise InputError(f"it has more than one column {shown(repeated)}.", code="list_format")
    if "input" not in names:
        raise InputError(
            'the first row must name the columns, and one of them "input": the recording\'s path.',
            code="list_format",
        )
    _check_columns(names, "the first row")
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
        _check_columns(list(cells), where)
        yield where, {key: value for key, value in cells.items() if value is not None}


def _check_columns(names: list[str], where: str) -> None:
    unknown = next((name for name in names if name not in COLUMNS), None)
    if unknown is not None:
        raise InputError(
            f"{where}: there is no column {shown(unknown)}; the columns are {', '.join(COLUMNS)}.",
            code="list_column",
        )


def _row(where: str, cells: Mapping[str, Any], folder: Path, common: RunRequest) -> ListRow:
    given = {column: value for column, value in cells.items() if value != ""}
    texts = {
        column: _cell_text(value, where, column) for column, value in given.items() if column != "references"
    }
    if "input" not in texts:
        raise _bad_value(where, "input", "must be the recording's path, and is empty")
    changes: dict[str, Any] = {"input": folder / texts["input"]}
    changes |= {column: folder / texts[column] for column in _FILES if column in texts}
    if "references" in given:
        changes["references"] = _references(given["references"], where, folder)
    counts = {field: texts[column] for column, field in _COUNTS.items() if column in texts}
    if counts:
        changes["speakers"] = _speaker_count(counts, where)
    settings = {column: _setting(column, texts[column], where) for column in _SETTINGS if column in texts}
    if settings:
        sources = {**common.settings.sources, **dict.fromkeys(settings, "list")}
        changes["settings"] = replace(common.settings, **settings, sources=sources)
    name = texts.get("name")
    if name is not None:
        _check_name(name, where)
    return ListRow(where, replace(common, **changes), name)


def _cell_text(value: object, where: str, column: str) -> str:
    """Return a cell as the command line would have it."""
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


def _speaker_count(counts: Mapping[str, str], where: str) -> SpeakerCount:
    """Return the row's number of speakers, which replaces all that the command line says of it."""
    for column, field in _COUNTS.items():
        text = counts.get(field)
        if text is not None and not (text.isascii() and text.isdigit() and 0 < int(text[:9]) < 10**6):
            raise _bad_value(where, column, f"must be a whole number from 1, not {shown(text)}")
    try:
        return SpeakerCount(**{field: int(text) for field, text in counts.items()})
    except InputError as error:
        raise InputError(f"{where}: {error.message}", code=error.code) from error


def _references(value: object, where: str, folder: Path) -> dict[str, Path]:
    """Parse ``SPEAKER=FILE;SPEAKER=FILE``, or an object."""
    pairs: list[Any] = []
    if isinstance(value, str):
        pairs = [pair.strip().partition("=")[::2] for pair in value.split(";") if pair.strip()]
    elif isinstance(value, dict):
        pairs = list(value.items())
    if not pairs or not all(isinstance(file, str) and speaker and file for speaker, file in pairs):
        raise _bad_value(where, "references", f"must be SPEAKER=FILE;SPEAKER=FILE, not {shown(value)}")
    return {speaker.strip(): folder / file.strip() for speaker, file in pairs}


def _check_name(name: str, where: str) -> None:
    fault = name_fault(name)
    if fault is None and file_key(name) in map(file_key, RESERVED):
        fault = "is reserved for the batch itself"
    if fault is not None:
        raise _bad_value(where, "name", f"{shown(name)} cannot name a folder, because it {fault}")


def _check_unique_names(rows: list[ListRow]) -> None:
    first: dict[str, ListRow] = {}
    for row in rows:
        if row.name is not None and (other := first.setdefault(file_key(row.name), row)) is not row:
            fault = f"{shown(row.name)} names the same folder as in {other.where}; choose another"
            raise _bad_value(row.where, "name", fault)


def _bad_value(where: str, column: str, fault: str) -> InputError:
    return InputError(f"{where}, column {column}: {fault}.", code="list_value")

"""Which recordings the arguments of a command name: files, folders, and patterns that no shell has filled in."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from voiceclone_cli.errors import InputError
from voiceclone_cli.rundir.paths import MANIFEST, OWNER

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

"""The names of the code: words of the field, not the private language of its first edition."""

from __future__ import annotations

import ast
import re
import tokenize
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BASES = (ROOT / "src" / "voiceclone_cli", ROOT / "worker_env" / "voiceclone_worker")

FSTRING_MIDDLE = getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)
"""Text in f-strings, a token from Python 3.12 on."""

BANNED = frozenset(
    re.findall(
        r"\w+",
        """
        ahead answered appetite asked barren blameless careful cast casting conduct conductor crew depot desk
        ear ears eats fruit glance gone grant granting grants hear heard hearing held judge judged keeper laying
        lent lifeline material means member members moot nobody offence offences ours outlook parcel parcels
        patience patient piece pieces placed placing presence prove proven question questions recall remains
        sealer seal settle settled settling shadow shelf somebody spoken stamp stamps story strike strikes
        studio surround tell telling tells theirs told uncorrected underlay undisturbed whoever wish wishes
        """,
    )
)
BANNED_PAIRS = frozenset({("at", "hand"), ("left", "out")})

BANNED_IN = {"voiceclone_cli/analysis": {"stack"}}
"""Words that mean something else in other rooms: an ExitStack, a stack of layers."""

ALLOWED = {
    # Keys of run.json.
    "src/voiceclone_cli/rundir/manifest.py": {"placed"},
    # A file in an archive, as zipfile and tarfile call it.
    "src/voiceclone_cli/models/registry.py": {"members"},
    "src/voiceclone_cli/models/wheels.py": {"member"},
}
"""Honest uses, by file."""


BANNED_PROSE = re.compile(
    r"\b([Ww]hoever|[Nn]obody|[Ss]omebody|what it came to|so many|(?<!there )is none|of its own)\b"
)
"""Phrases that are not in comments, docstrings and messages."""


def files() -> list[Path]:
    """Return every Python file of both packages."""
    return sorted(path for base in BASES for path in base.rglob("*.py"))


def room(path: Path) -> str:
    """Return the folder or the file of its package that ``path`` belongs to."""
    base = next(base for base in BASES if path.is_relative_to(base))
    return f"{base.name}/{path.relative_to(base).parts[0]}"


def defined_names(tree: ast.AST) -> Iterator[str]:
    """Yield the names that a module gives: what it takes from libraries is named by others."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.arg(arg=name):
                yield name
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name
            case ast.ExceptHandler(name=str(name)) | ast.alias(asname=str(name)):
                yield name
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield name


def words(name: str) -> list[str]:
    """Split an identifier at its underscores and its capitals, in lower case."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)]


def banned_words(name: str) -> set[str]:
    """Return the banned words in an identifier or a file name."""
    parts = words(name)
    pairs = {"_".join(pair) for pair in pairwise(parts) if pair in BANNED_PAIRS}
    return (set(parts) & BANNED) | pairs


def offenders(path: Path) -> set[str]:
    """Return the names of a file, its own among them, that hold a banned word."""
    allowed = ALLOWED.get(path.relative_to(ROOT).as_posix(), set())
    banned_here = BANNED_IN.get(room(path), set())
    names = {*defined_names(ast.parse(path.read_text(encoding="utf-8"))), path.stem}
    return {name for name in names if (banned_words(name) | set(words(name)) & banned_here) - allowed}


@pytest.mark.parametrize(
    "name, expected",
    [
        ("open_desk", {"desk"}),
        ("_EarsOfNode", {"ears"}),
        ("HTTPQuestion", {"question"}),
        ("is_at_hand", {"at_hand"}),
        ("stretched", set()),
        ("broadcast", set()),
    ],
)
def test_banned_words_are_found_as_whole_words(name: str, expected: set[str]) -> None:
    assert banned_words(name) == expected


def test_names_that_a_module_gives_are_found() -> None:
    program = "import a as b\nclass C:\n    d: int\n    def e(self, f):\n        self.g = [h for h in i(j)]\n"
    assert set(defined_names(ast.parse(program))) == {"b", "C", "d", "e", "self", "f", "g", "h"}


def test_names_are_standard_words() -> None:
    found = {path.relative_to(ROOT).as_posix(): offenders(path) for path in files()}
    assert {path: sorted(names) for path, names in found.items() if names} == {}


def banned_prose(path: Path) -> list[str]:
    """Return the lines of comments and strings with a banned phrase, each with its number."""
    with path.open("rb") as file:
        texts = [
            (number, line)
            for token in tokenize.tokenize(file.readline)
            if token.type in (tokenize.COMMENT, tokenize.STRING, FSTRING_MIDDLE)
            for number, line in enumerate(token.string.splitlines(), token.start[0])
        ]
    return [f"{number}: {line.strip()}" for number, line in texts if BANNED_PROSE.search(line)]


def test_prose_is_plain_technical_english() -> None:
    found = {path.relative_to(ROOT).as_posix(): banned_prose(path) for path in files()}
    assert {path: lines for path, lines in found.items() if lines} == {}


def test_banned_phrases_are_found_in_comments_and_strings(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        'x = 1  # nobody waits\nif x is None:\n    """\n    Whoever it is.\n    """\n', encoding="utf-8"
    )
    assert banned_prose(program) == ["1: # nobody waits", "4: Whoever it is."]


def test_allowed_words_are_used() -> None:
    for path, allowed in ALLOWED.items():
        names = defined_names(ast.parse((ROOT / path).read_text(encoding="utf-8")))
        assert allowed <= {word for name in names for word in words(name)}, path

"""Every input that a fuzzer or a reviewer found, and the valid ones it starts from, once more."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz_targets import TARGETS

CORPUS = Path(__file__).parents[1] / "corpus"
INPUTS = [path for target in TARGETS for path in sorted((CORPUS / target).iterdir())]


def test_there_is_something_to_replay() -> None:
    assert {path.parent.name for path in INPUTS} == TARGETS.keys()


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_was_found_is_read_or_refused_in_one_sentence(path: Path) -> None:
    check = TARGETS[path.parent.name]
    check(path.read_bytes())

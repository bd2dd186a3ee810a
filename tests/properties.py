"""What the property tests share: how many examples, what an error must look like, and hostile values."""

from __future__ import annotations

import copy
import json
import os
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from voiceclone_cli.errors import InputError
from voiceclone_worker.validation import ContractError

examples = settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "60")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
"""For every property: FUZZ_EXAMPLES=10000 looks longer."""


def expect_one_sentence(error: InputError | ContractError) -> None:
    """A refusal is one short line of whole characters, with a code that programs can rely on."""
    message = str(error)
    assert message and len(message) < 600, message  # the path of a file is in it
    assert message.isprintable(), message
    if isinstance(error, InputError):
        assert error.code.isidentifier() and error.code.islower()


texts = st.one_of(
    st.text(max_size=60),
    st.sampled_from(
        ["", " ", ".", "..", "../x", "/etc/passwd", "C:x", "CON", "a\0b", "a\nb", "\u202ea", "\ud800", "a" * 6000,
         "王" * 90, "NaN", "1e999", "9" * 5000, "[" * 2000, "SPEAKER_00", "0001", "/abs/x.npy", "failed"]
    ),
)  # fmt: skip
numbers = st.one_of(
    st.integers(-2, 3),
    st.floats(),
    st.sampled_from([2**31, 2**63, 10**400, -(10**30), 1e308, -0.0, 5e-324]),
)
deep = st.integers(1, 40).map(lambda depth: json.loads("[" * depth + "]" * depth))
values = st.one_of(
    st.none() | st.booleans() | numbers | texts | deep,
    st.lists(texts | numbers, max_size=3),
    st.dictionaries(texts, texts | numbers, max_size=3),
)
"""Anything that JSON can say, mostly what it should not."""


@st.composite
def changed(draw: st.DrawFn, document: Any) -> str:
    """A JSON text of the document with up to three of its parts replaced, removed or repeated."""
    document = copy.deepcopy(document)
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.sampled_from(list(_places(document))))
        parent, key = place
        match draw(st.sampled_from(["replace", "remove", "repeat"])):
            case "replace":
                parent[key] = draw(values)
            case "remove":
                del parent[key]
            case _ if isinstance(parent, list):
                parent.append(copy.deepcopy(parent[key]))
        if not list(_places(document)):
            break
    return json.dumps(document, ensure_ascii=draw(st.booleans()))


def _places(document: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a document."""
    found: list[tuple[Any, Any]] = []
    keys = document.keys() if isinstance(document, dict) else range(len(document))
    for key in keys:
        found.append((document, key))
        if isinstance(document[key], (dict, list)):
            found += _places(document[key])
    return found

"""Parts cut out of an ONNX model, and what becomes of a whole in the store: a graph of four nodes, run by onnxruntime."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from voiceclone_cli.models import download, registry, wheels
from voiceclone_cli.models.onnx_graph import cut_graph
from voiceclone_cli.models.store import FileState, ModelState


def varint(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + varint(value >> 7)


def message(number: int, *content: bytes | str) -> bytes:
    joined = b"".join(part.encode() if isinstance(part, str) else part for part in content)
    return varint(number << 3 | 2) + varint(len(joined)) + joined


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def node(kind: str, inputs: str, output: str, *more: bytes) -> bytes:
    return message(
        1, *(message(1, name) for name in inputs.split()), message(2, output), message(4, kind), *more
    )


def constant(name: str, values: list[float]) -> bytes:
    return message(
        5, number(1, len(values)), number(2, 1), message(8, name), message(9, np.float32(values).tobytes())
    )


def described(field: int, name: str) -> bytes:
    """A float tensor of three numbers."""
    return message(
        field, message(1, name), message(2, message(1, number(1, 1), message(2, message(1, number(1, 3)))))
    )


MIDDLE = ("sum", "tripled")
GRAPH = [
    node("Add", "x one", "sum"),
    node("Mul", "x three", "tripled"),
    node("Sub", "sum tripled", "difference"),
    node("Mul", "difference large", "y"),
    message(2, "four nodes"),
    constant("one", [1, 1, 1]),
    constant("three", [3, 3, 3]),
    constant("large", [1e3, 1e-3, 7]),
    described(11, "x"),
    described(12, "y"),
    *(described(13, name) for name in (*MIDDLE, "difference")),
]


def model(*graph: bytes) -> bytes:
    return number(1, 9) + message(2, "a test") + message(7, *(graph or GRAPH)) + message(8, number(2, 20))


def run(content: bytes, **inputs: np.ndarray) -> list[np.ndarray]:  # type: ignore[type-arg]
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    assert {tensor.name for tensor in session.get_inputs()} == inputs.keys()
    return list(session.run(None, inputs))


def test_the_parts_of_a_graph_give_together_what_the_whole_gives() -> None:
    x = np.float32([0.1, -2.5, 1e6])
    first, second = cut_graph(model(), ["x"], MIDDLE), cut_graph(model(), MIDDLE, ["y"])
    between = run(first, x=x)
    assert np.array_equal(between, [x + 1, x * 3])
    assert np.array_equal(run(second, **dict(zip(MIDDLE, between, strict=True))), run(model(), x=x))


def test_a_part_has_only_what_it_needs_and_always_the_same_bytes() -> None:
    first, second = cut_graph(model(), ["x"], MIDDLE), cut_graph(model(), MIDDLE, ["y"])
    assert b"large" not in first and b"difference" not in first
    assert b"three" not in second and b"tripled" in second
    assert first == cut_graph(model(), ["x"], MIDDLE)
    assert cut_graph(cut_graph(model(), ["x"], [*MIDDLE, "y"]), ["x"], ["y"]) == cut_graph(
        model(), ["x"], ["y"]
    )


@pytest.mark.parametrize(
    ("inputs", "outputs", "reason"),
    [
        (["sum"], ["y"], "x does not follow from sum"),
        (["x"], ["z"], "z does not follow from x"),
        (["x", "one"], ["sum"], "does not say of which type one is"),
    ],
)
def test_tensors_that_bound_no_part_are_refused(inputs: list[str], outputs: list[str], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        cut_graph(model(), inputs, outputs)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no model at all",
        model()[:-8],
        b"\xff" * 40,
        model() + message(25, "a function"),
        model(*GRAPH, message(15, "sparse")),
        model(node("If", "x", "sum", message(5, message(6, *GRAPH))), *GRAPH[1:]),
    ],
    ids=["empty", "text", "cut off", "no number", "functions", "sparse", "graph in a node"],
)
def test_what_cannot_be_cut_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError):
        cut_graph(content, ["x"], ["sum"])


# ------------------------------------------------------------------------------- wholes in a store


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> registry.ModelEntry:
    """A registry of one model in two files, which come from one whole."""
    wheel = registry.Wheel("tiny-model", "1.0", "0" * 64, 1000)
    whole = registry.ModelFile(
        "whole.onnx", hashlib.sha256(model()).hexdigest(), len(model()), ((wheel, "m"),)
    )
    files = []
    for name, inputs, outputs in (("first", ("x",), MIDDLE), ("second", MIDDLE, ("y",))):
        content = cut_graph(model(), inputs, outputs)
        cut = registry.GraphCut(whole, inputs, outputs)
        sha256 = hashlib.sha256(content).hexdigest()
        files.append(registry.ModelFile(f"{name}.onnx", sha256, len(content), cut=cut))
    entry = registry.ModelEntry("tiny", "test", "MIT", "no author", tuple(files))
    monkeypatch.setattr(registry, "ENTRIES", (entry,))
    return entry


def put_whole(home: Path, content: bytes) -> Path:
    folder = home / "models" / "tiny"
    folder.mkdir(parents=True)
    (folder / "whole.onnx").write_bytes(content)
    return folder


def deliver(monkeypatch: pytest.MonkeyPatch, content: bytes | None) -> None:
    """Let pip seem to deliver the whole; None: pip must not be called."""

    def download_wheels(*args: object) -> dict[object, Path]:
        assert content is not None, "nothing may be fetched"
        return {}

    monkeypatch.setattr(wheels, "download_wheels", download_wheels)
    monkeypatch.setattr(wheels, "read_model_file", lambda *args: iter([content]))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


READY = [".verified.json", "first.onnx", "second.onnx"]


def test_a_store_with_the_whole_needs_no_fetch(
    parts: registry.ModelEntry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(monkeypatch, None)
    folder = put_whole(tmp_path, model())
    (status,) = download.models_status(home=tmp_path)
    assert (status.state, status.lacking) == (ModelState.UNVERIFIED, ())
    assert status.files == (FileState.UNCUT, FileState.UNCUT)
    assert download.ensure_models(["tiny"], home=tmp_path) == {"tiny": folder}
    assert names(folder) == READY
    assert download.models_status(home=tmp_path)[0].state is ModelState.READY


def test_a_fetched_whole_is_cut_and_removed(
    parts: registry.ModelEntry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(monkeypatch, model())
    (folder,) = download.ensure_models(["tiny"], home=tmp_path).values()
    assert names(folder) == READY
    (folder / "second.onnx").write_bytes(b"damaged")
    download.ensure_models(["tiny"], home=tmp_path)
    assert download.verify_models(home=tmp_path)[0].state is ModelState.READY


@pytest.mark.parametrize("damage", [model()[:-1], bytes(len(model()))], ids=["cut off", "overwritten"])
def test_a_damaged_whole_is_fetched_again(
    parts: registry.ModelEntry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: bytes
) -> None:
    deliver(monkeypatch, model())
    folder = put_whole(tmp_path, damage)
    download.ensure_models(["tiny"], home=tmp_path)
    assert names(folder) == READY

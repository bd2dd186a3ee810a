"""Which nodes are fit, and where Ray may be looked for."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from voiceclone_cli import __version__
from voiceclone_cli.cluster import connect
from voiceclone_cli.cluster.here import spec_here
from voiceclone_cli.cluster.preflight import Question, fault
from voiceclone_cli.engines import EngineChoice
from voiceclone_cli.errors import PreflightError
from voiceclone_worker.contract import EngineSpec

QUESTION = Question("fish", {}, {"model.pth": "abc"})
FIT: dict[str, Any] = {
    "voiceclone": __version__,
    "why": "fish was asked for",
    "weights": {"model.pth": "abc"},
}


def test_a_node_with_the_same_version_and_weights_is_fit() -> None:
    assert fault(FIT, QUESTION) is None


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({**FIT, "voiceclone": "0.0.1"}, "it has voiceclone 0.0.1"),
        ({**FIT, "voiceclone": None}, "voiceclone is not installed"),
        ({**FIT, "weights": {"model.pth": "abd"}}, "its model.pth differs"),
        ({**FIT, "weights": {}}, "its model.pth differs"),
        ({**FIT, "lack": "there is no fish environment yet"}, "there is no fish environment yet"),
    ],
)
def test_another_node_gets_no_slot_and_the_sentence_says_why(answer: dict[str, Any], said: str) -> None:
    found = fault(answer, QUESTION)
    assert found is not None and said in found


def test_paths_of_an_engine_are_the_nodes_own_and_what_sounds_is_the_controllers() -> None:
    here = EngineChoice(
        "fish", "", None, "codes.npy", "/node/checkpoint", {"source": "/node/src", "top_p": 0.1}
    )
    told = EngineSpec("fish", "/far/checkpoint", "cuda:3", "bf16", 7, {"source": "/far", "top_p": 0.7})
    spec = spec_here(here, threads=4)(told)
    assert (spec.checkpoint, spec.device, spec.precision, spec.batch_size) == (
        "/node/checkpoint",
        "cuda",
        "bf16",
        7,
    )
    assert spec.options == {"source": "/node/src", "top_p": 0.7, "threads": 4}


@pytest.mark.parametrize("address", ["ray://head:10001", "head", "head:0", "head:many", ":6379"])
def test_an_address_that_cannot_be_used_is_refused_with_what_to_do(address: str) -> None:
    with pytest.raises(PreflightError, match="HOST:PORT") as refused, connect.connected(address):
        pass
    assert refused.value.code == "ray_address"


def test_a_head_that_is_not_there_is_told_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "HEAD_SECONDS", 0.3)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
    with (
        pytest.raises(PreflightError, match="cannot be reached") as refused,
        connect.connected(f"127.0.0.1:{port}"),
    ):
        pass
    assert refused.value.code == "ray_unreachable"

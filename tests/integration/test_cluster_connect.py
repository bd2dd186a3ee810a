"""A process comes to a cluster and leaves it again, and takes nothing from one to the next."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster import machines
from voiceclone_cli.cluster import connection
from voiceclone_cli.cluster.connection import connected
from voiceclone_cli.errors import PreflightError


def an_actor_lives() -> bool:
    import ray

    class Counter:  # in here it is pickled by value: nodes do not have this file
        def next(self) -> int:
            return 1

    counter = ray.remote(Counter).options(num_cpus=0).remote()
    return bool(ray.get(counter.next.remote(), timeout=60) == 1)


def rays_variables() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("RAY_")}


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_after_a_ray_of_its_own_a_process_can_use_a_cluster_and_then_its_own_again(home: Path) -> None:
    before = rays_variables()
    with connected(None):
        assert os.environ["RAY_AUTH_MODE"] == "token", "nobody else on this machine may use it"
        assert an_actor_lives()
    with machines(1) as cluster, connected(cluster.address):
        assert an_actor_lives()
    with connected(None):
        assert an_actor_lives()
    assert rays_variables() == before
    assert not (home / ".ray").exists(), "no token is left for other clusters"


def test_a_connection_that_takes_long_to_end_is_waited_for_by_the_next(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    end: Callable[..., None] = ray.shutdown

    def end_slowly(**options: bool) -> None:
        time.sleep(2)
        end(**options)

    monkeypatch.setattr(ray, "shutdown", end_slowly)
    monkeypatch.setattr(connection, "LEAVE_SECONDS", 0.1)
    with machines(1) as cluster:
        for _ in range(2):
            with connected(cluster.address):
                assert an_actor_lives()


def test_a_cluster_with_a_token_is_told_as_one(home: Path) -> None:
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}
    with (
        machines(1, environment=token) as cluster,
        pytest.raises(PreflightError, match="where it asks for a token set RAY_AUTH_MODE=token") as caught,
        connected(cluster.address),
    ):
        pass
    assert caught.value.code == "ray_unreachable"


def test_who_has_the_token_of_a_cluster_is_let_in(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}
    with machines(1, environment=token) as cluster:
        for name, value in token.items():
            monkeypatch.setenv(name, value)
        with connected(cluster.address):
            assert an_actor_lives()

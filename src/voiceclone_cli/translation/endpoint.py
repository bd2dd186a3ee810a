"""An address that answers JSON over HTTP or HTTPS: one request, one reply, within a time.

A server is whatever it is: replies are read up to a size, a limit of time holds for the whole answer, and no redirect
is followed, since the key would go with it.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import ssl
import time
import urllib.parse
import urllib.request
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from voiceclone_cli import __version__
from voiceclone_cli.children import start_thread, wait_for_thread
from voiceclone_cli.config import redact
from voiceclone_cli.translation.translator import MAX_ANSWER_BYTES, Failing, TranslatorError

CONNECT_SECONDS = 15.0
"""Longest time to reach a server."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    """By their names in lower case."""
    body: bytes

    @property
    def document(self) -> object:
        """Its JSON document; None where it has none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    @property
    def is_page(self) -> bool:
        """Whether it is a web page."""
        return "html" in self.headers.get("content-type", "")


class CutOff(Exception):
    """An answer that ended before its end."""


class TooLarge(Exception):
    """An answer of more than MAX_ANSWER_BYTES."""


class TooSlow(Exception):
    """No whole answer in the time for a request."""


class Endpoint:
    """An address, the key for it, and the time that an answer may take."""

    def __init__(self, url: str, key: str | None, seconds: float) -> None:
        self.url, self.seconds = url, seconds
        self.was_reached = False
        """Whether there was any answer so far; where there was none, trying again is of no use."""
        self._key = key

    @property
    def has_key(self) -> bool:
        """Whether a key is sent."""
        return bool(self._key)

    def only_model(self) -> str:
        """Return the name of the only model that there is. Raises TranslatorError where there is another number."""
        choose = "name one with --translator-model"
        try:
            reply = self.exchange("GET", "/models", None)
        except OSError as error:
            raise self.unreachable(error) from None
        except (CutOff, TooLarge, TooSlow):
            raise refused_error(f"{self.url} gives no list of its models: {choose}.") from None
        self.raise_if_page(reply)
        document = reply.document
        if reply.status in (401, 403):
            key = "refuses the key" if self.has_key else "needs a key"
            raise refused_error(f"{self.url} {key} (HTTP {reply.status}): set VOICECLONE_TRANSLATOR_API_KEY.")
        rows = document.get("data") if isinstance(document, Mapping) else None
        rows = rows if reply.status == 200 and isinstance(rows, list) else []
        names = [row["id"] for row in rows if isinstance(row, Mapping) and isinstance(row.get("id"), str)]
        if len(names) == 1:
            return str(names[0])
        if not names:
            raise refused_error(f"{self.url} gives no list of its models: {choose}.")
        some = ", ".join(self.quote(name) for name in names[:5]) + (", ..." if len(names) > 5 else "")
        raise refused_error(f"{self.url} has {len(names)} models ({some}): {choose}.")

    def exchange(self, method: str, path: str, body: Mapping[str, Any] | None) -> Reply:
        """Send a request and return the reply, of any status.

        Raises OSError where the server is not reached, TooSlow, CutOff and TooLarge.
        """
        deadline = time.monotonic() + self.seconds
        found: list[Reply | Exception] = []

        def run() -> None:
            try:
                found.append(self._exchange(method, path, body, deadline))
            except Exception as error:  # raised again in the thread that waits
                found.append(error)

        thread = start_thread(run, "translator")
        if not wait_for_thread(thread, self.seconds + 1.0) or not found:
            # It ends by itself: each of its waits has a limit.
            raise TooSlow
        match found[0]:
            case Reply() as reply:
                self.was_reached = True
                return reply
            case TimeoutError() if time.monotonic() >= deadline - 0.1:
                raise TooSlow
            case http.client.HTTPException():
                raise CutOff
            case error:
                raise error

    def _exchange(self, method: str, path: str, body: Mapping[str, Any] | None, deadline: float) -> Reply:
        data = None if body is None else json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Connection": "close",
            "User-Agent": f"voiceclone/{__version__}",
        }
        if data is not None:
            headers["Content-Type"] = "application/json"
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        connection, target = self._connection(f"{self.url}{path}", headers)
        try:
            connection.timeout = min(CONNECT_SECONDS, self.seconds)
            connection.connect()
            self._allow(connection, deadline)
            connection.request(method, target, data, headers)
            try:
                response = connection.getresponse()
            except ConnectionError:
                self.was_reached = True
                raise CutOff from None
            return self._read(connection, response, deadline)
        finally:
            connection.close()

    def _connection(self, url: str, headers: dict[str, str]) -> tuple[http.client.HTTPConnection, str]:
        """Return a connection to the server of an address, or to the proxy for it, and what to request there."""
        parts = urllib.parse.urlsplit(url)
        host = parts.hostname or ""
        target = parts.path or "/"
        context = self._tls_context if parts.scheme == "https" else None

        def connection(host: str, port: int | None) -> http.client.HTTPConnection:
            if context is not None:
                return http.client.HTTPSConnection(host, port, context=context)
            return http.client.HTTPConnection(host, port)

        proxy = "" if is_loopback(host) else urllib.request.getproxies().get(parts.scheme, "")
        if not proxy or urllib.request.proxy_bypass(host):
            return connection(host, parts.port), target
        through = urllib.parse.urlsplit(proxy if "//" in proxy else f"http://{proxy}")
        try:
            through_port = through.port
        except ValueError as error:
            raise OSError(f"the proxy of this computer has no valid port: {error}") from None
        login: dict[str, str] = {}
        if through.username is not None:
            pair = f"{urllib.parse.unquote(through.username)}:{urllib.parse.unquote(through.password or '')}"
            login = {"Proxy-Authorization": f"Basic {b64encode(pair.encode()).decode()}"}
        found = connection(through.hostname or "", through_port)
        if context is not None:
            found.set_tunnel(host, parts.port or 443, login)
            return found, target
        headers |= login
        return found, url

    @cached_property
    def _tls_context(self) -> ssl.SSLContext:
        """Trusts the system's authorities, those of the file in SSL_CERT_FILE, and certifi's where that is installed."""
        context = ssl.create_default_context()
        with suppress(ImportError):
            import certifi

            context.load_verify_locations(certifi.where())
        return context

    def _read(
        self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse, deadline: float
    ) -> Reply:
        parts, size = [], 0
        while True:
            self._allow(connection, deadline)
            try:
                part = response.read1(65_536)
            except ConnectionError:
                raise CutOff from None
            if not part:
                break
            size += len(part)
            if size > MAX_ANSWER_BYTES:
                raise TooLarge
            parts.append(part)
        if response.length:
            raise CutOff
        names = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, names, b"".join(parts))

    @staticmethod
    def _allow(connection: http.client.HTTPConnection, deadline: float) -> None:
        """Let the next wait of the connection end at the deadline."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise TooSlow
        if connection.sock is not None:
            connection.sock.settimeout(left)

    def quote(self, text: str) -> str:
        """Return the first words of a text of the server, without secrets."""
        words = " ".join(redact(text, self._key).split())
        return words if len(words) <= 160 else f"{words[:157]}..."

    def unreachable(self, error: OSError) -> TranslatorError:
        """Return the error for a server that was never reached, or whose certificate is refused."""
        if isinstance(error, ssl.SSLCertVerificationError):
            return refused_error(
                f"{self.url} has a certificate that is not trusted here ({error.verify_message}): check the address, or "
                "name the file of its authority in SSL_CERT_FILE."
            )
        if isinstance(error, ssl.SSLError):
            return refused_error(
                f"{self.url} makes no secure connection ({self.quote(reason_of(error))}): check the address, which may "
                "have to begin with http://."
            )
        return TranslatorError(
            f"No server answers at {self.url} ({self.quote(reason_of(error))}): start it, or check the address and "
            "the network.",
            code="translator_busy",
            failing=Failing.BUSY,
        )

    def raise_if_page(self, reply: Reply) -> None:
        """Raise TranslatorError for a web page, which is what a wrong address shows."""
        if reply.is_page:
            raise refused_error(
                f"{self.url} answers with a web page: check the address, which usually ends in /v1."
            )


def is_loopback(host: str) -> bool:
    """Return whether a host is this computer, by its name or address."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def reason_of(error: OSError) -> str:
    """Return what the system says of an error."""
    return str(error.strerror or error or type(error).__name__)


def refused_error(message: str) -> TranslatorError:
    """Return the error of an endpoint that no request will change."""
    return TranslatorError(message, code="translator_refused", failing=Failing.REFUSED)

"""A certificate authority of a test, and what it says about a server on this machine; made with openssl."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

_OPENSSL = shutil.which("openssl")
needs_openssl = pytest.mark.skipif(
    _OPENSSL is None, reason="needs the program openssl, which makes certificates"
)


@dataclass(frozen=True)
class Certificates:
    """Files in PEM."""

    authority: Path
    """To give as SSL_CERT_FILE."""
    server: Path
    """Certificate and key of a server."""


def make_certificates(folder: Path, names: str = "IP:127.0.0.1,DNS:localhost") -> Certificates:
    """Make an authority, and a certificate by it for a server with these names (subjectAltName)."""
    authority, authority_key = folder / "authority.pem", folder / "authority.key"
    request, key, signed = folder / "server.csr", folder / "server.key", folder / "server.crt"
    extensions = folder / "extensions.txt"
    extensions.write_text(f"subjectAltName={names}\n", encoding="utf-8")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    _openssl("req", "-x509", *curve, "-keyout", authority_key, "-out", authority, "-days", "2",
             "-subj", "/CN=An authority of a test")  # fmt: skip
    _openssl("req", *curve, "-keyout", key, "-out", request, "-subj", "/CN=A server of a test")
    _openssl("x509", "-req", "-in", request, "-CA", authority, "-CAkey", authority_key, "-CAcreateserial",
             "-out", signed, "-days", "1", "-extfile", extensions)  # fmt: skip
    server = folder / "server.pem"
    server.write_text(signed.read_text("utf-8") + key.read_text("utf-8"), encoding="utf-8")
    return Certificates(authority, server)


def _openssl(*arguments: object) -> None:
    assert _OPENSSL is not None
    subprocess.run([_OPENSSL, *map(str, arguments)], check=True, capture_output=True)

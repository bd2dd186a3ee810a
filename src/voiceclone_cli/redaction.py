"""Taking secrets out of words that others wrote: pip, the hub's library, the code of a user's folder."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from urllib.parse import unquote

HIDDEN = "****"
_SECRET_NAME = re.compile(
    r"TOKEN(?!IZ)|SECRET|PASSW|CREDENTIAL|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|AUTH(?!OR)", re.I
)
_LOGIN_IN_URL = re.compile(r"(?<=://)[^/\s]*@")
# As far as the last @, since whatever is wrong with a URL is often an unescaped password.
_LOGIN_IN_VALUE = re.compile(r"://(\S*)@")
_AUTHORIZATION = re.compile(r"\b(bearer|basic)\s+[^\s'\"]+", re.I)
_HUB_TOKEN = re.compile(r"\bhf_\w{6,}")
_SHORTEST = 6
"""Characters. What is shorter is a word such as "false" more often than a secret."""


def redacted(text: str, token: str | None = None, environ: Mapping[str, str] = os.environ) -> str:
    """``text`` without ``token``, the secrets among the variables, the logins in URLs, authorization
    headers, and whatever looks like a token of the hub; ``****`` stands in their place."""
    known = {*secrets_in(environ), *([token] if token else [])}
    for secret in sorted(known, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    text = _LOGIN_IN_URL.sub(f"{HIDDEN}@", text)
    text = _AUTHORIZATION.sub(rf"\1 {HIDDEN}", text)
    return _HUB_TOKEN.sub(HIDDEN, text)


def secrets_in(environ: Mapping[str, str]) -> Iterator[str]:
    """The values of variables whose name calls them secret, and the passwords in all others' URLs."""
    for name, value in environ.items():
        login = _LOGIN_IN_VALUE.search(value)
        password = login[1].partition(":")[2] if login else ""
        found = [password, unquote(password)]
        # A path is where a secret lies, not the secret.
        if is_secret_name(name) and not os.path.isabs(value):
            found.append(value)
        yield from (secret for secret in found if len(secret) >= _SHORTEST)


def is_secret_name(name: str) -> bool:
    """Whether a variable's name says that its value is a secret (HF_TOKEN, NVIDIA_API_KEY, ...)."""
    return bool(_SECRET_NAME.search(name))


def holds_secret(name: str, value: str) -> bool:
    """Whether a variable is a secret by its name, or a URL with a password."""
    login = _LOGIN_IN_VALUE.search(value)
    return is_secret_name(name) or bool(login and ":" in login[1])

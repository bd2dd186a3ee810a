"""Writing report.html: one file with content, style and scripts, which loads only the sounds beside it.

In the source of the page, ``⟦text⟧`` is what people read, and ``⟨expression⟩`` is a name of the code (a flag, a
state) that is shown. Both are replaced when the page is written, so a page has one language, and pays for no other.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Callable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from voiceclone_cli import messages
from voiceclone_cli.files import friendly_errors, write_text_atomic
from voiceclone_cli.messages import Catalogue
from voiceclone_cli.report.content import content_of, open_report_folder
from voiceclone_cli.report.localized import localized_content
from voiceclone_cli.rundir.manifest import RunPaths
from voiceclone_cli.types import Progress, no_progress

_STYLES = ("theme", "frame", "timeline", "lines", "deck", "details")
_SCRIPTS = (
    "dom", "state", "player", "waveform", "timeline", "timeline_input", "order", "lines", "filters", "correct",
    "deck", "details", "frame", "keys", "start",
)  # fmt: skip
"""Parts of the page, in the order in which they need each other."""

_SHELL = """<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{body}
<script type="application/json" id="content">{content}</script>
<script>{script}</script>
</body>
</html>
"""


def write_report(run_dir: Path, progress: Progress = no_progress) -> Path:
    """Write ``run_dir``/report.html from its run.json, check.json and sounds, and return its path.

    It is in the language that `messages.choose` was given. The page links to files beside it by relative URLs, so the directory can be moved and shared. Unfinished and
    failed runs have a report too.

    Progress: stage "report", in lines. Raises InputError, as ``open_report_folder`` does, and RunError when the
    page cannot be written.
    """
    folder = open_report_folder(run_dir)
    catalogue = messages.current()
    page = page_of(localized_content(content_of(folder, progress), catalogue), catalogue)
    report = RunPaths(folder.root).report
    with friendly_errors(folder.root):
        write_text_atomic(report, page)
    return report


def page_of(content: Mapping[str, Any], catalogue: Catalogue = messages.ENGLISH_TEXTS) -> str:
    """Return the page as HTML. The content is data, and never parsed as markup or as a script."""
    style = "\n".join(_part(f"{name}.css") for name in _STYLES)
    # All parts are in one function and share their names.
    parts = "\n".join([*_names(catalogue), *(_translated_part(f"{name}.js", catalogue) for name in _SCRIPTS)])
    script = f'(() => {{\n"use strict";\n{parts}\n}})();\n'
    return _SHELL.format(
        language=catalogue.tag,
        policy=_policy(style, script),
        title=html.escape(f"{content['outcome']['name']} – voiceclone"),
        style=style,
        body=_translated_part("page.html", catalogue),
        content=json_in_html(content),
        script=script,
    )


def _names(catalogue: Catalogue) -> Iterator[str]:
    """Yield a script that translates names; in English they are shown as they are."""
    if catalogue.names:
        yield f"const NAMES = {json_in_html(catalogue.names)};"
        yield "const named = (name) => (Array.isArray(name) ? name.map(named) : NAMES[name] ?? name);"


_INNERMOST = re.compile("⟦([^⟦⟧]*)⟧")
_NAME = re.compile("⟨([^⟨⟩]*)⟩")
_LIFTED = re.compile("\ue000([0-9]+)\ue001")
"""Stands for a text that was translated, since the expressions of another text may contain texts."""


def translated_source(source: str, text_of: Callable[[str], str], *, with_names: bool) -> str:
    """Return a part of the page's source without marks, each text replaced by what ``text_of`` returns for it.

    ``with_names``: whether names are translated too, by the function of `_names`.
    """
    source = _NAME.sub(r"named(\1)" if with_names else r"\1", source)
    done: list[str] = []

    def lift(found: re.Match[str]) -> str:
        text, expressions = _split_text(found[1])
        done.append(re.sub(r"\{(\d)\}", lambda number: expressions[int(number[1])], text_of(text)))
        return f"\ue000{len(done) - 1}\ue001"

    for pattern, replace in ((_INNERMOST, lift), (_LIFTED, lambda found: done[int(found[1])])):
        while pattern.search(source):
            source = pattern.sub(replace, source)
    return source


def _split_text(text: str) -> tuple[str, list[str]]:
    """Return a text with {0}, {1} for the expressions ``${...}`` of a template literal, and these."""
    expressions: list[str] = []
    parts: list[str] = []
    at = 0
    while (start := text.find("${", at)) >= 0:
        depth, end = 1, start + 2
        while depth:
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        parts += [text[at:start], f"{{{len(expressions)}}}"]
        expressions.append(text[start:end])
        at = end
    return "".join([*parts, text[at:]]), expressions


def json_in_html(content: Mapping[str, Any]) -> str:
    """Return ASCII JSON without <, > and &, so that nothing in it ends the element that contains it."""
    encoded = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return encoded.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _policy(style: str, script: str) -> str:
    """Allow the page's style and script and sounds beside it, and nothing else (W3C CSP level 3)."""
    return (
        f"default-src 'none'; style-src {_hash_source(style)}; script-src {_hash_source(script)}; "
        "media-src 'self' file:; img-src data:; base-uri 'none'; form-action 'none'"
    )


def _hash_source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"


def _translated_part(name: str, catalogue: Catalogue) -> str:
    return translated_source(
        _part(name), lambda text: catalogue.page.get(text, text), with_names=bool(catalogue.names)
    )


def _part(name: str) -> str:
    return files("voiceclone_cli.report").joinpath("page", name).read_text(encoding="utf-8")

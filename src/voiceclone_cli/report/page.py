"""Writing report.html: one file with content, style and scripts, which loads only the sounds beside it."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from voiceclone_cli.files import friendly_errors, write_text_atomic
from voiceclone_cli.report.content import content_of, open_report_folder
from voiceclone_cli.rundir.manifest import RunPaths
from voiceclone_cli.types import Progress, no_progress

_STYLES = ("theme", "frame", "timeline", "lines", "deck", "details")
_SCRIPTS = (
    "dom", "state", "player", "waveform", "timeline", "timeline_input", "order", "lines", "filters", "deck",
    "details", "frame", "keys", "start",
)  # fmt: skip
"""Parts of the page, in the order in which they need each other."""

_SHELL = """<!doctype html>
<html lang="en">
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

    The page links to files beside it by relative URLs, so the directory can be moved and shared. Unfinished and
    failed runs have a report too.

    Progress: stage "report", in lines. Raises InputError, as ``open_report_folder`` does, and RunError when the
    page cannot be written.
    """
    folder = open_report_folder(run_dir)
    page = page_of(content_of(folder, progress))
    report = RunPaths(folder.root).report
    with friendly_errors(folder.root):
        write_text_atomic(report, page)
    return report


def page_of(content: Mapping[str, Any]) -> str:
    """Return the page as HTML. The content is data, and never parsed as markup or as a script."""
    style = "\n".join(_part(f"{name}.css") for name in _STYLES)
    # All parts are in one function and share their names.
    parts = "\n".join(_part(f"{name}.js") for name in _SCRIPTS)
    script = f'(() => {{\n"use strict";\n{parts}\n}})();\n'
    return _SHELL.format(
        policy=_policy(style, script),
        title=html.escape(f"{content['outcome']['name']} – voiceclone"),
        style=style,
        body=_part("page.html"),
        content=json_in_html(content),
        script=script,
    )


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


def _part(name: str) -> str:
    return files("voiceclone_cli.report").joinpath("page", name).read_text(encoding="utf-8")

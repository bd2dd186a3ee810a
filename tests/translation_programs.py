"""A program that translates, for `--command`: it knows one sentence, and leaves out every other."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

PROGRAM = """\
import json, re, sys
SENTENCES = {{
    "es": r"la línea número \\1 de esta charla",
    "fr": r"la ligne numéro \\1 de cet entretien",
}}
for line in sys.stdin:
    request = json.loads(line)
    with open({log!r}, "a", encoding="utf-8") as log:
        print(json.dumps(request), file=log)
    lines = []
    for row in request["lines"]:
        text, found = re.subn(r"line number (\\d+) of the talk", SENTENCES[request["to"]], row["text"])
        while "--short" in sys.argv and len(text) > row.get("budget", len(text)) and " " in text:
            text = text.rpartition(" ")[0]
        if found:
            lines.append({{"id": row["id"], "text": text}})
    print(json.dumps({{"lines": lines}}), flush=True)
"""


def translation_program(folder: Path, *, honours_budgets: bool = False) -> str:
    """Write the program, and return the command that starts it. It knows the lines of ``short_talk``."""
    program = folder / "program.py"
    program.write_text(PROGRAM.format(log=str(folder / "requests.jsonl")), encoding="utf-8")
    command = f'"{Path(sys.executable).as_posix()}" "{program.as_posix()}"'
    return f"{command} --short" if honours_budgets else command


def requests_of(folder: Path) -> list[dict[str, Any]]:
    """Return the requests that the program was sent."""
    path = folder / "requests.jsonl"
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []

"""A translator for `voiceclone --command`: it takes each line from scripts that are translated already.

    voiceclone run talk.mp4 --to es,fr --command 'python3 translation_memory.py talk.en.srt talk.es.srt talk.fr.srt'

It reads a request as one line of JSON from its standard input, answers with one line on its standard output, and ends
with its input. The language of a script is that of its name. A line is looked for by its text; where the words differ a
little, the most similar one counts.
"""

import difflib
import json
import re
import sys
from pathlib import Path


def texts(path: Path) -> list[str]:
    """Return the texts of an SRT file without the names of their speakers."""
    blocks = re.split(r"\n\s*\n", path.read_text(encoding="utf-8").replace("\r\n", "\n").strip())
    rows = (" ".join(block.split("\n")[2:]) for block in blocks)
    return [re.sub(r"^\[[^]]*\]:? *", "", row) for row in rows]


def main() -> None:
    """Answer requests until the input ends."""
    sys.stdin.reconfigure(encoding="utf-8")
    sys.stdout.reconfigure(encoding="utf-8")
    original, *translations = map(Path, sys.argv[1:])
    known = {path.suffixes[-2]: dict(zip(texts(original), texts(path), strict=True)) for path in translations}
    for request in map(json.loads, sys.stdin):
        table = known.get(f".{request['to']}", {})
        lines = []
        for line in request["lines"]:
            similar = difflib.get_close_matches(line["text"], table, 1, 0.5)
            lines += [{"id": line["id"], "text": table[found]} for found in similar]
        print(json.dumps({"lines": lines}, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()

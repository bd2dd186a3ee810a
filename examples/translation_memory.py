"""A translator for `voiceclone --command`: it takes each line from scripts that are translated already.

    voiceclone run talk.mp4 --to es,fr --command 'python3 translation_memory.py talk.en.srt talk.es.srt talk.fr.srt'

It reads a request as one line of JSON from its standard input, answers with one line on its standard output, and ends
with its input. The language of a script is that of its name. A line is looked for by its text; where the words differ a
little, the most similar one counts, and where they differ much, the one with the same number.
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
    first, *others = map(Path, sys.argv[1:])
    originals = texts(first)
    translations = {path.suffixes[-2]: texts(path) for path in others}
    for request in map(json.loads, sys.stdin):
        known = translations.get(f".{request['to']}", [])
        lines = []
        for line in request["lines"]:
            similar = difflib.get_close_matches(line["text"], originals, 1, 0.5)
            number = originals.index(similar[0]) if similar else int(line["id"]) - 1
            if number < len(known):
                lines.append({"id": line["id"], "text": known[number]})
        print(json.dumps({"lines": lines}, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()

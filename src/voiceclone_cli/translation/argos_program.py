"""Argos Translate as a program that translates lines of JSON (``command.py`` says how).

It runs in the interpreter that has Argos Translate, which need not have voiceclone: standard library and argostranslate
only. ``--pairs`` prints the pairs of languages that can be translated.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    """Print the pairs of languages, or answer requests until the end of the input."""
    # Beside this program are modules that are named like packages which Argos Translate imports.
    here = Path(__file__).resolve().parent
    sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != here]
    # Libraries print what is no answer.
    answers, sys.stdout = sys.stdout, sys.stderr
    languages = importlib.import_module("argostranslate.translate").get_installed_languages()
    if sys.argv[1:] == ["--pairs"]:
        pairs = [
            (source.code, target.code)
            for source in languages
            for target in languages
            if source.code != target.code and source.get_translation(target) is not None
        ]
        print(json.dumps({"pairs": pairs}), file=answers, flush=True)
        return
    by_code = {language.code: language for language in languages}
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line), by_code)), file=answers, flush=True)


def answer(request: dict[str, Any], languages: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to a request: translations, or what went wrong."""
    try:
        translation = languages[request["from"]].get_translation(languages[request["to"]])
        return {
            "lines": [
                {"id": line["id"], "text": translation.translate(line["text"])} for line in request["lines"]
            ]
        }
    except Exception as error:  # models and tokenizers raise errors of many kinds
        return {"error": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    main()

"""The content of the report in the language of a catalogue: what the code wrote, and nothing of the recording."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voiceclone_cli.messages import Catalogue


def localized_content(content: Mapping[str, Any], catalogue: Catalogue) -> Mapping[str, Any]:
    """Return the content with its labels and sentences translated; texts, names and paths are kept.

    Names of states, flags and stages stay as they are, since the page works with them: it translates them itself.
    """
    if not catalogue.sentences:
        return content
    say = catalogue.sentence
    outcome, omitted = content["outcome"], content["omitted"]
    return {
        **content,
        "outcome": {
            **outcome,
            "label": say(outcome["label"]),
            "meaning": say(outcome["meaning"]),
            "sound": "，".join(map(say, outcome["sound"].split(", "))),
            "notes": [say(note) for note in outcome["notes"]],
            "errors": [_error(row, catalogue) for row in outcome["errors"]],
        },
        "speakers": [
            {**speaker, "warnings": [say(warning) for warning in speaker["warnings"]]}
            for speaker in content["speakers"]
        ],
        "lines": [_line(line, catalogue) for line in content["lines"]],
        "facts": [(say(label), _fact(label, value, catalogue)) for label, value in content["facts"]],
        "omitted": omitted
        and {
            "summary": say(omitted["summary"]),
            "rows": [{**row, "where": say(row["where"])} for row in omitted["rows"]],
        },
        "settings": [{**row, "value": say(row["value"])} for row in content["settings"]],
        "gates": [{**row, "message": say(row["message"])} for row in content["gates"]],
        "history": [{**row, "done": say(row["done"])} for row in content["history"]],
        "files": [(say(label), link) for label, link in content["files"]],
    }


def _fact(label: str, value: str, catalogue: Catalogue) -> str:
    if label in ("Input", "Run directory"):
        return value
    if label in ("Engine", "Diarizer"):
        name, sign, why = value.partition(": ")
        return f"{name}：{catalogue.sentence(why)}" if sign else value
    return catalogue.sentence(value)


def _error(row: Mapping[str, Any], catalogue: Catalogue) -> Mapping[str, Any]:
    return {**row, "message": catalogue.error(row["code"], row["message"])}


def _line(line: Mapping[str, Any], catalogue: Catalogue) -> Mapping[str, Any]:
    check = line["check"]
    return {
        **line,
        "warnings": [catalogue.sentence(warning) for warning in line["warnings"]],
        "error": catalogue.sentence(line["error"]),
        "check": check and {**check, "error": catalogue.sentence(check["error"])},
    }

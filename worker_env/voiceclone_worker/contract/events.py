"""Events: what a worker tells while it works, a tagged line of its stderr each."""

from __future__ import annotations

from typing import Any

from voiceclone_worker.contract.checks import ContractError, dump_json, parse_json

EVENT_TAG = "@voiceclone "
MAX_EVENT = 2**20
"""Characters of an event's line."""


def event_line(event: str, **fields: Any) -> str:
    """One tagged line of the worker's stderr."""
    return EVENT_TAG + dump_json({"event": event, **fields})


def parse_event(line: str) -> dict[str, Any] | None:
    """The event in a line of stderr; None for a log line, and for an event that arrived torn or has no end."""
    if not line.startswith(EVENT_TAG) or len(line) > MAX_EVENT:
        return None
    try:
        event = parse_json(line[len(EVENT_TAG) :])
    except ContractError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) else None

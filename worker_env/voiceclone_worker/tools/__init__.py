"""What the command asks of the worker's interpreter besides speech.

    python voiceclone_worker --tool NAME [ARGUMENT ...]

runs ``voiceclone_worker.tools.NAME`` and prints one line of JSON: ``{"schema": "voiceclone.tool/1",
"answer": {...}}``, or with ``"error": {"code", "message"}`` and exit code 1.
"""

from __future__ import annotations

import importlib
import json
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from voiceclone_worker.channel import Channel
from voiceclone_worker.contract import TOOL_SCHEMA
from voiceclone_worker.engines.base import Emit, EngineError

TOOLS = ("examine", "make_checkpoint", "upstream", "roofline")

Tool = Callable[[Sequence[str], Emit], dict[str, Any]]
"""``main(arguments, emit)`` of a tool's module: its answer. Raises EngineError."""


def run_tool(arguments: Sequence[str], channel: Channel) -> int:
    """Returns the exit code."""
    document: dict[str, Any] = {"schema": TOOL_SCHEMA}
    try:
        document["answer"] = _tool(arguments)(arguments[1:], channel.emit)
    except EngineError as error:
        document["error"] = {"code": error.code, "message": error.message}
    except Exception as error:
        traceback.print_exc()
        document["error"] = {"code": "tool_crashed", "message": f"{type(error).__name__}: {error}"}
    channel.answer_line(json.dumps(document, ensure_ascii=False))
    return 1 if "error" in document else 0


def _tool(arguments: Sequence[str]) -> Tool:
    if not arguments or arguments[0] not in TOOLS:
        raise EngineError("unknown_tool", f"there are the tools {', '.join(TOOLS)}, not {arguments[:1]}")
    main: Tool = importlib.import_module(f"voiceclone_worker.tools.{arguments[0]}").main
    return main

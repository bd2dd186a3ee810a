"""What the command asks of the worker's interpreter besides speech.

    python voiceclone_worker --tool NAME [ARGUMENT ...]

runs a tool of ``TOOLS`` and prints one line of JSON: ``{"schema": "voiceclone.tool/1",
"answer": {...}}``, or with ``"error": {"code", "message"}`` and exit code 1.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from voiceclone_worker.engines.base import Emit, EngineError
from voiceclone_worker.protocol import TOOL_SCHEMA
from voiceclone_worker.runtime import Channel
from voiceclone_worker.tools import examine

Tool = Callable[[Sequence[str], Emit], dict[str, Any]]
"""``tool(arguments, emit)`` returns its answer. Raises EngineError."""

TOOLS: Mapping[str, Tool] = {"examine": examine.main}


def run_tool(arguments: Sequence[str], channel: Channel, tools: Mapping[str, Tool] = TOOLS) -> int:
    """Answer with the tool that the first argument names; the others are the tool's. Returns the exit code."""
    document: dict[str, Any] = {"schema": TOOL_SCHEMA}
    try:
        if not arguments or arguments[0] not in tools:
            raise EngineError("unknown_tool", f"there are the tools {', '.join(tools)}, not {arguments[:1]}")
        document["answer"] = tools[arguments[0]](arguments[1:], channel.emit)
    except EngineError as error:
        document["error"] = {"code": error.code, "message": error.message}
    except Exception as error:
        traceback.print_exc()
        document["error"] = {"code": "tool_crashed", "message": f"{type(error).__name__}: {error}"}
    channel.answer_line(json.dumps(document, ensure_ascii=False))
    return 1 if "error" in document else 0

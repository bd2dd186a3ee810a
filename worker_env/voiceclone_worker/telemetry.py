"""No library of the worker reports its use to anybody, whoever started it."""

from __future__ import annotations

import os
from collections.abc import MutableMapping

SILENCE = {
    # onnxruntime sends events of every session to its maker, and keeps them with an identifier of the
    # machine in the user's cache folder until it can. Its own disable_telemetry_events() comes too late.
    "ORT_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    # For what a user adds to the environment: the common sign, and loggers of training libraries.
    "DO_NOT_TRACK": "1",
    "WANDB_MODE": "disabled",
    "COMET_MODE": "disabled",
    "GRADIO_ANALYTICS_ENABLED": "False",
}


def refuse_telemetry(environ: MutableMapping[str, str] = os.environ) -> None:
    """Silence every library of this process. Call it before they are imported: most read their variable
    only then."""
    environ.update(SILENCE)

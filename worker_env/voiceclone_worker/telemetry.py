"""Variables that keep libraries from reporting their use, and from fetching files.

Standard library only: both environments import it, before anything else.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping

SILENCE = {
    # pyannote.audio counts models, pipelines and the length of recordings, over OpenTelemetry.
    "PYANNOTE_METRICS_ENABLED": "false",
    "OTEL_SDK_DISABLED": "true",
    # onnxruntime sends events of every session to its maker, and keeps them with an identifier of the
    # machine in the user's cache folder until it can. Its disable_telemetry_events() comes too late.
    "ORT_DISABLE_TELEMETRY": "1",
    # The hub's library puts versions and a session number into every request.
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    # For what a user adds to an environment: the common variable, and loggers of training libraries.
    "DO_NOT_TRACK": "1",
    "WANDB_MODE": "disabled",
    "COMET_MODE": "disabled",
    "GRADIO_ANALYTICS_ENABLED": "False",
}

OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
"""For processes that get every file they need: a library that would fetch another fails at once."""


def refuse_telemetry(environ: MutableMapping[str, str] = os.environ) -> None:
    """Disable the telemetry of every library of this process; to be called before they are imported."""
    environ.update(SILENCE)

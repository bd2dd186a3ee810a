"""The demonstration: a recording that comes with the installation, spoken again."""

from __future__ import annotations

import typing
from importlib.util import find_spec
from pathlib import Path

from voiceclone_cli.errors import PreflightError
from voiceclone_cli.types import Progress, no_progress

if typing.TYPE_CHECKING:
    from voiceclone_cli.config import Settings
    from voiceclone_cli.pipeline.results import RunResult


def run_demo(settings: Settings, out: Path, progress: Progress = no_progress) -> RunResult:
    """Fetch the embedded models, all of them so that no later run needs the network, and speak the sample again.

    Raises what ``ensure_models`` and ``run`` raise.
    """
    from voiceclone_cli.config import models_home
    from voiceclone_cli.models.download import embedded_models, ensure_models
    from voiceclone_cli.pipeline.request import RunRequest
    from voiceclone_cli.pipeline.run import run

    recording = sample_recording()
    ensure_models(embedded_models(), progress, models_home(settings), settings.token)
    return run(RunRequest(recording, settings, out), progress)


def sample_recording() -> Path:
    """Return the recording that pyannote.audio ships: 30 s, two people on the telephone, 16 kHz mono.

    Nothing of it is imported. Raises PreflightError where it is not installed.
    """
    spec = find_spec("pyannote")
    for folder in (spec and spec.submodule_search_locations) or ():
        path = Path(folder) / "audio" / "sample" / "sample.wav"
        if path.is_file():
            return path
    raise PreflightError(
        "The sample recording comes with pyannote.audio, which is not installed here: install voiceclone again, "
        "together with its dependencies.",
        code="sample_missing",
    )

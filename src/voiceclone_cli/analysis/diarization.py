"""Speaker diarization with pyannote: who speaks from when to when."""

from __future__ import annotations

import contextlib
import gc
import io
import os
import sys
import threading
import types
import typing
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from voiceclone_cli.analysis.embedded import EMBEDDED_MODELS, load_embedded
from voiceclone_cli.analysis.evidence import Margins, uncertain_note, with_margins
from voiceclone_cli.config import expanded, redact
from voiceclone_cli.errors import InputError, PreflightError
from voiceclone_cli.system import torch_threads
from voiceclone_cli.types import (
    ANALYSIS_RATE,
    Diarization,
    Progress,
    ProgressEvent,
    Recording,
    Turn,
    no_progress,
)
from voiceclone_worker.runtime import without_garbage_collection
from voiceclone_worker.telemetry import refuse_telemetry

if typing.TYPE_CHECKING:
    from pyannote.audio import Pipeline
    from pyannote.core import Annotation


AUTO = "auto"
EMBEDDED_DIARIZER = "embedded"
COMMUNITY_DIARIZER = "community-1"

ModelFolders = Callable[[Sequence[str]], Mapping[str, Path]]
"""Gives the folder of each registry entry, fetching what is missing. Raises PreflightError."""


@dataclass(frozen=True, slots=True)
class DiarizationModel:
    """A chosen diarization model; ``folders`` holds its registry entries, or its one folder."""

    name: str
    folders: Mapping[str, Path]
    why: str


def not_downloaded(name: str) -> bool:
    """Return False: the default, for callers with another choice than "auto"."""
    return False


def choose_diarizer(
    diarizer: str,
    *,
    models: ModelFolders,
    token: str | None,
    is_downloaded: Callable[[str], bool] = not_downloaded,
) -> DiarizationModel:
    """Return the model for "auto", "embedded", "community-1" or a folder with a pyannote config.yaml.

    ``models`` gives the folders of registry entries and may download them; ``is_downloaded`` works without
    network. "auto" is community-1 where its files are here or a token can download them, else embedded.
    Raises InputError for any other name, PreflightError where files are missing and cannot be downloaded.
    """
    if diarizer == EMBEDDED_DIARIZER:
        return _embedded(models, "it was requested")
    if diarizer == COMMUNITY_DIARIZER:
        return DiarizationModel(COMMUNITY_DIARIZER, models([COMMUNITY_DIARIZER]), "it was requested")
    if diarizer != AUTO:
        return _folder(diarizer)
    if not is_downloaded(COMMUNITY_DIARIZER) and not token:
        return _embedded(
            models, "community-1 is not on this machine, and there is no hub token to download it"
        )
    try:
        return DiarizationModel(
            COMMUNITY_DIARIZER,
            models([COMMUNITY_DIARIZER]),
            "its files are here or were downloaded with the token",
        )
    except PreflightError as error:
        return _embedded(models, f"community-1 is not available: {error.message}")


def load_diarizer(model: DiarizationModel, token: str | None) -> Pipeline:
    """Return the pipeline of a model. Raises InputError for a folder that does not hold one that works."""
    from pyannote.audio import Pipeline

    if model.name == EMBEDDED_DIARIZER:
        return load_embedded(model.folders)
    (folder,) = model.folders.values()
    try:
        pipeline = Pipeline.from_pretrained(folder, token=token)
    except Exception as error:  # a folder of the user's own can fail in any way its code likes
        reason = redact(str(error).strip().split("\n")[0], token) or type(error).__name__
        raise InputError(
            f"The diarization pipeline in {folder} cannot be loaded ({reason}); "
            "look at its config.yaml or choose --diarizer embedded.",
            code="diarizer_unusable",
        ) from None  # its cause may quote the token
    return typing.cast(Pipeline, pipeline)


def _embedded(models: ModelFolders, why: str) -> DiarizationModel:
    return DiarizationModel(EMBEDDED_DIARIZER, models(EMBEDDED_MODELS), why)


def _folder(diarizer: str) -> DiarizationModel:
    folder = expanded(diarizer)
    if not (folder / "config.yaml").is_file():
        raise InputError(
            f'Diarizer "{diarizer}" is neither auto, embedded, community-1 nor a folder '
            "with a pyannote config.yaml; choose one of these.",
            code="unknown_diarizer",
        )
    return DiarizationModel(str(folder), {diarizer: folder}, "it was requested")


DIARIZATION_STAGE = "diarization"

Hook = Callable[..., None]

# Where each step of the pipeline begins and ends, as shares of the whole; measured on a CPU.
_SHARES = {
    "segmentation": (0.0, 0.6),
    "speaker_counting": (0.6, 0.6),
    "embeddings": (0.6, 0.98),
    "discrete_diarization": (0.98, 1.0),
}


def progress_hook(progress: Progress, seconds: float) -> Hook:
    """Return pyannote's hook for a pipeline that works on ``seconds`` of audio; progress never decreases."""
    furthest = 0.0

    def hook(step: str, artifact: Any, *, completed: Any = None, total: Any = None, **_: Any) -> None:
        nonlocal furthest
        if step not in _SHARES:
            return
        start, end = _SHARES[step]
        # A step that ends calls without figures. The last batch counts as a full one, so completed
        # may pass total; both may be numpy integers.
        share = 1.0 if not total else min(1.0, float(completed or 0) / float(total))
        furthest = max(furthest, start + share * (end - start))
        progress(ProgressEvent(DIARIZATION_STAGE, furthest * seconds, seconds, note=step.replace("_", " ")))

    return hook


@dataclass(frozen=True, slots=True)
class SpeakerCount:
    """The number of speakers, or bounds of it; None where not given.

    Raises InputError for numbers below 1 and for numbers that contradict each other.
    """

    exactly: int | None = None
    least: int | None = None
    most: int | None = None

    def __post_init__(self) -> None:
        for flag, number in (
            ("--speakers", self.exactly),
            ("--min-speakers", self.least),
            ("--max-speakers", self.most),
        ):
            if number is not None and number < 1:
                raise _contradiction(f"{flag} must be 1 or more, not {number}.")
        if self.least is not None and self.most is not None and self.least > self.most:
            raise _contradiction(
                f"--min-speakers {self.least} is more than --max-speakers {self.most}; swap them or drop one."
            )
        if self.exactly is not None and not (
            (self.least or self.exactly) <= self.exactly <= (self.most or self.exactly)
        ):
            raise _contradiction(
                f"--speakers {self.exactly} is outside --min-speakers and --max-speakers; "
                "give the one or the others."
            )

    def mismatch(self, found: int) -> str | None:
        """Return one sentence where the number found differs from the one requested."""
        least, most = self.exactly or self.least, self.exactly or self.most
        if least is not None and found < least:
            return f"{_speakers(found)} found, although at least {least} were requested"
        if most is not None and found > most:
            return f"{_speakers(found)} found, although at most {most} were requested"
        return None


def _speakers(number: int) -> str:
    return "1 speaker" if number == 1 else f"{number} speakers"


def _contradiction(sentence: str) -> InputError:
    return InputError(sentence, code="speaker_count")


def ensure_torchaudio() -> None:
    """Import torchaudio, without its binary part where that needs CUDA libraries that are missing.

    PyPI's torchaudio is linked to CUDA, so beside a CPU torch its import fails with OSError
    (``libc10_cuda.so``). What diarization needs of it, filter banks and resampling, is plain
    Python on torch: in that one case an empty module takes the place of ``torchaudio._extension``.
    """
    if "torchaudio" in sys.modules:
        return
    try:
        import torchaudio
    except OSError:
        _forget_half_imported()
        sys.modules["torchaudio._extension"] = _extension_without_binary()
        import torchaudio  # noqa: F401


def _forget_half_imported() -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "torchaudio"]:
        del sys.modules[name]


def _extension_without_binary() -> types.ModuleType:
    """Return ``torchaudio._extension`` as it is in a torchaudio that was built without a binary part."""
    extension = types.ModuleType("torchaudio._extension")
    extension.__dict__.update(
        _IS_TORCHAUDIO_EXT_AVAILABLE=False,
        _IS_ALIGN_AVAILABLE=False,
        _check_cuda_version=lambda: None,
        fail_if_no_align=lambda function: function,
    )
    return extension


def prepare_import() -> None:
    """Import pyannote.audio without its telemetry, which is on by default at the import and at every call."""
    refuse_telemetry()
    # OpenMP reads this once, when torch is loaded: threads that spin while they wait made
    # diarization eight times slower on a busy machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with without_garbage_collection(), warnings.catch_warnings():
        ensure_torchaudio()
        # torchcodec reads files; the pipeline is only ever given samples.
        warnings.filterwarnings("ignore", message=r"\s*torchcodec is not installed correctly")
        import pyannote.audio  # noqa: F401


class _OtherThreads(io.TextIOBase):
    """A stream that takes the output of every thread but this one, whose output goes nowhere."""

    def __init__(self, stream: typing.TextIO) -> None:
        self._stream = stream
        self._thread = threading.get_ident()

    def write(self, text: str) -> int:
        """Write what another thread writes."""
        return len(text) if threading.get_ident() == self._thread else self._stream.write(text)

    def flush(self) -> None:
        """Flush the stream."""
        self._stream.flush()


_quiet = threading.RLock()


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Suppress pyannote.audio's output about the number of speakers, which the caller checks and reports.

    One thread at a time: what is changed here is changed for the whole process.
    """
    with _quiet, contextlib.redirect_stdout(_OtherThreads(sys.stdout)), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"\s*The detected number of speakers")
        # The mean of no embeddings, where every bit of speech was too short for one.
        warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"numpy\.")
        yield


LoadPipeline = Callable[[DiarizationModel, str | None], "Pipeline"]
"""Returns the pipeline of a model; the hub token is for files that are still to be downloaded."""


def diarize(
    recording: Recording,
    model: DiarizationModel,
    *,
    token: str | None,
    count: SpeakerCount,
    threads: int,
    progress: Progress = no_progress,
    load: LoadPipeline = load_diarizer,
) -> Diarization:
    """Find who speaks when. Speakers are named SPEAKER_00, ... in the order in which they first speak.

    Another number of speakers than requested is reported in the result's notes. The models are freed after
    this call, unless ``load`` keeps them.
    Raises InputError for a recording without speech and for a model's folder that does not work.
    """
    progress(ProgressEvent(DIARIZATION_STAGE, 0.0, recording.seconds, note=f"{model.name} ({model.why})"))
    hook = progress_hook(progress, recording.seconds)
    try:
        with without_garbage_collection():
            prepare_import()
            with quiet_libraries():
                pipeline = load(model, token)
        with torch_threads(threads), quiet_libraries():
            output = _apply(pipeline, recording, count, hook)
        del pipeline
    finally:
        if load is load_diarizer:
            gc.collect()  # pyannote's pipelines hold themselves in circles, and the workers need their memory
    turns, exclusive = _named_turns(output, recording)
    found = len({turn.speaker for turn in turns})
    mismatch = count.mismatch(found)
    progress(ProgressEvent(DIARIZATION_STAGE, recording.seconds, recording.seconds, note=mismatch or ""))
    of_model: tuple[str, ...] = getattr(output, "notes", ())
    notes = (*((mismatch,) if mismatch else ()), *of_model, *uncertain_note(turns))
    return Diarization(turns, exclusive, model.name, model.why, notes)


def _apply(pipeline: Pipeline, recording: Recording, count: SpeakerCount, hook: Hook) -> Any:
    """Return pyannote's DiarizeOutput."""
    import torch

    samples = np.require(recording.samples, dtype=np.float32, requirements=["C", "W"])
    file = {
        "waveform": torch.from_numpy(samples)[None],
        "sample_rate": ANALYSIS_RATE,
        "uri": recording.path.stem,
    }
    return pipeline(
        file,
        hook=hook,
        num_speakers=count.exactly,
        min_speakers=count.least,
        max_speakers=count.most,
    )


def _named_turns(output: Any, recording: Recording) -> tuple[tuple[Turn, ...], tuple[Turn, ...]]:
    """Return turns and exclusive turns, speakers named in the order in which they first speak."""
    if not hasattr(output, "exclusive_speaker_diarization"):
        raise InputError(
            "This diarization pipeline gives no exclusive turns; "
            'remove "legacy: true" from its config.yaml or choose --diarizer embedded.',
            code="diarizer_unusable",
        )
    turns = _turns(output.speaker_diarization, recording.seconds)
    exclusive = _turns(output.exclusive_speaker_diarization, recording.seconds)
    margins: Margins | None = getattr(output, "margins", None)
    if margins is not None:
        turns, exclusive = with_margins(turns, margins), with_margins(exclusive, margins)
    if not turns:
        raise InputError(
            f"No speech found in {recording.path.name}; give a recording with speech.",
            code="no_speech",
        )
    names: dict[str, str] = {}
    for turn in (*turns, *exclusive):
        names.setdefault(turn.speaker, f"SPEAKER_{len(names):02d}")
    return _renamed(turns, names), _renamed(exclusive, names)


def _turns(annotation: Annotation, seconds: float) -> list[Turn]:
    """Return turns ordered by start, to the millisecond, within the recording (its last window is padded)."""
    turns = [
        Turn(max(0.0, round(segment.start, 3)), min(round(segment.end, 3), round(seconds, 3)), str(label))
        for segment, _, label in annotation.itertracks(yield_label=True)
    ]
    return sorted((turn for turn in turns if turn.end > turn.start), key=lambda turn: (turn.start, turn.end))


def _renamed(turns: list[Turn], names: dict[str, str]) -> tuple[Turn, ...]:
    return tuple(replace(turn, speaker=names[turn.speaker]) for turn in turns)

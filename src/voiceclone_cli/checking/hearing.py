"""What can be measured of one spoken wav by itself, whatever its run meant it to be."""

from __future__ import annotations

import typing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from voiceclone_cli.errors import RunError
from voiceclone_cli.timeline.loudness import speech_level_db
from voiceclone_cli.types import ANALYSIS_RATE

if typing.TYPE_CHECKING:
    from voiceclone_cli.checking.ears import Ears
    from voiceclone_cli.types import Samples

_FULL_SCALE = 0.999
_CLIPPED_RUN = 3
"""Samples in a row at full scale; fewer are a peak that happens to reach it."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One wav, measured. Levels in dBFS; what there is no speech for is None."""

    seconds: float
    level_db: float | None
    """Active speech level; None where nothing is to be heard."""
    peak_db: float | None
    clipped_samples: int
    embedding: str | None
    """As ``embedding.to_text`` writes it."""
    mos: float | None
    words: str | None
    """None for a language that the recogniser does not know."""

    @property
    def is_silent(self) -> bool:
        return self.level_db is None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def hear(path: Path, language: str, ears: Ears) -> Heard:
    """Measure a spoken wav. Raises RunError (``speech_unreadable``)."""
    import soxr

    samples, rate = read_wav(path)
    speech: Samples = samples if rate == ANALYSIS_RATE else soxr.resample(samples, rate, ANALYSIS_RATE)
    level = speech_level_db(samples, rate)
    embedding, mos, words = (None, None, "") if level is None else ears.listen(speech, language)
    return Heard(
        seconds=len(samples) / rate,
        level_db=level,
        peak_db=_peak_db(samples),
        clipped_samples=clipped_samples(samples),
        embedding=embedding,
        mos=mos,
        words=words,
    )


def read_wav(path: Path) -> tuple[Samples, int]:
    """The mean of a wav's channels, and its rate. Raises RunError (``speech_unreadable``)."""
    import soundfile

    try:
        # Opened here, since libsndfile's wrapper takes no name that is not Unicode.
        with path.open("rb") as file:
            samples, rate = soundfile.read(file, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError) as error:
        raise RunError(
            f"{path} cannot be read ({error}): delete it and give the run's command again",
            code="speech_unreadable",
        ) from error
    return samples.mean(axis=1), int(rate)


def clipped_samples(samples: Samples) -> int:
    """How many samples lie in runs of three and more at full scale."""
    import numpy as np

    full = np.concatenate(([False], np.abs(samples) >= _FULL_SCALE, [False]))
    edges = np.flatnonzero(np.diff(full.astype(np.int8)))
    runs = edges[1::2] - edges[::2]
    return int(runs[runs >= _CLIPPED_RUN].sum())


def _peak_db(samples: Samples) -> float | None:
    import numpy as np

    peak = float(np.abs(samples).max(initial=0.0))
    return 20 * float(np.log10(peak)) if peak > 0 else None

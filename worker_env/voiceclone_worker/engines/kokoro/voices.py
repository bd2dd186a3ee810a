"""Kokoro's 54 published voices: their style tables, and what each sounds like.

Both tables were computed from Kokoro-82M's voices (Apache-2.0, hexgrad). A voice is a table of 510
styles, one for each length of text; ``voices_knots.npz`` keeps 28 of them, and the others are
interpolated (0.27 % error). ``voice_traits.npz`` holds each voice's CAM++ embedding, median F0 and rate,
measured on two sentences.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voiceclone_worker.atomic import write_bytes_atomic
from voiceclone_worker.engines.base import SegmentError
from voiceclone_worker.engines.kokoro.dsp import BINS
from voiceclone_worker.engines.kokoro.model import Floats

_DATA = Path(__file__).parent / "data"
ACOUSTIC = 128
"""A style's first half is timbre, the second half is prosody (F0, durations)."""


@dataclass(frozen=True)
class VoiceTable:
    """``styles``: (voices, knots, 256) at the table rows ``knots``; the traits have one row a voice."""

    names: tuple[str, ...]
    knots: NDArray[np.int64]
    styles: Floats
    embeddings: Floats
    """(voices, 192), unit length."""
    semitones: Floats
    """(voices,): 12 log2 of the median F0 in Hz."""

    def style(self, acoustic: Floats, prosody: Floats, tokens: int, reading: float = 1.0) -> Floats:
        """The (256,) style of a mixture for a text of ``tokens`` tokens; the weights are (voices,), sum 1.

        ``reading``: the melody and pace are those of a text so many times as long.
        """
        return np.concatenate(
            [
                self._mix(acoustic, slice(None, ACOUSTIC), tokens - 1),
                self._mix(prosody, slice(ACOUSTIC, None), tokens * reading - 1),
            ]
        ).astype(np.float32)

    def _mix(self, weights: Floats, half: slice, row: float) -> Floats:
        row = min(max(row, 0), int(self.knots[-1]))
        left = int(np.clip(np.searchsorted(self.knots, row, "right") - 1, 0, len(self.knots) - 2))
        share = (row - self.knots[left]) / (self.knots[left + 1] - self.knots[left])
        # Three voices at most have weight; summing those alone also keeps clear of BLAS, whose last
        # bits may depend on its threads.
        used = np.flatnonzero(weights)
        styles = self.styles[used, left, half] * (1 - share) + self.styles[used, left + 1, half] * share
        mixed: Floats = (weights[used, None] * styles).sum(0)
        return mixed


@cache
def voice_table() -> VoiceTable:
    with np.load(_DATA / "voices_knots.npz", allow_pickle=False) as knots:
        names = tuple(str(name) for name in knots["names"])
        rows, styles = knots["knots"].astype(np.int64), knots["table"].astype(np.float32)
    with np.load(_DATA / "voice_traits.npz", allow_pickle=False) as traits:
        embeddings, semitones = traits["cam"].astype(np.float32), traits["semitones"].astype(np.float32)
    return VoiceTable(names=names, knots=rows, styles=styles, embeddings=embeddings, semitones=semitones)


# Which mixture of Kokoro's voices is most like a speaker, and least like the others of the recording.
#
# A mixture is weighed twice, since Kokoro's style has two halves: ``acoustic`` (timbre) and ``prosody``,
# which holds the F0. J, what is looked for, is
#
#     cos(own) - .02 |F0 difference in semitones| + (cos(own) - cos of the nearest other speaker)
#
# with the cosine of CAM++ embeddings. The last term, contrast, keeps two similar speakers from falling
# onto the same voice: when the recipe was found, one line of five of a telephone call was nearer to its
# own speaker than to the other without it, and six of six with it.


F0_WEIGHT = 0.02
"""Cosine given up for a semitone of F0."""
CONTRAST = 1.0
UNKNOWN_F0_SEMITONES = 12.0
"""The F0 difference charged to a probe in which no F0 can be found."""
_CANDIDATES = 10
_SHARES = (0.6, 0.8)
_APART = 0.9
"""Proposals differ by more than this in the sum of their weights' differences (2 = nothing in common)."""
_F0_TOLERANCE = 0.25
_MOST_FOREIGN_PROSODY = 0.9


@dataclass(frozen=True)
class SpeakerTraits:
    """A speaker to be matched: ``embedding`` (192,) of unit length, ``semitones`` = 12 log2 of the F0 in Hz."""

    embedding: Floats
    semitones: float


@dataclass(frozen=True)
class VoiceMixture:
    """Weights of Kokoro's voices, each (voices,) with sum 1."""

    acoustic: Floats
    prosody: Floats


def propose_mixtures(
    speaker: SpeakerTraits, others: Sequence[Floats], table: VoiceTable, *, count: int
) -> list[VoiceMixture]:
    """The ``count`` mixtures that promise the highest J, unlike each other, without rendering anything.

    ``others``: embeddings of the recording's other speakers. The embedding of a mixture is taken as the
    mixture of embeddings (they agree to a cosine of .84), and contrast is to the mean of the others here.
    """
    cosines = table.embeddings @ speaker.embedding
    contrast = np.zeros_like(cosines)
    if len(others):
        contrast = CONTRAST * (cosines - np.mean([table.embeddings @ other for other in others], axis=0))
    promise = cosines - F0_WEIGHT * np.abs(table.semitones - speaker.semitones) + contrast
    best = np.argsort(promise)[::-1][:_CANDIDATES]

    scored = []
    for weights in _pairs_and_singles(best, len(table.names)):
        mixed = weights @ table.embeddings
        cosine = mixed @ speaker.embedding / np.linalg.norm(mixed)
        f0 = abs(weights @ table.semitones - speaker.semitones)
        scored.append((float(cosine - F0_WEIGHT * f0 + weights @ contrast), weights))
    scored.sort(key=lambda pair: -pair[0])

    chosen: list[Floats] = []
    for _, weights in scored:
        if len(chosen) < count and all(np.abs(weights - other).sum() > _APART for other in chosen):
            chosen.append(weights)
    return [VoiceMixture(acoustic=weights, prosody=fit_f0(weights, speaker, table)) for weights in chosen]


def fit_f0(weights: Floats, speaker: SpeakerTraits, table: VoiceTable) -> Floats:
    """Prosody weights whose predicted F0 is the speaker's: ``weights`` moved towards one more voice.

    F0 is linear in the weights, so the share of that voice follows from the distance. Of the voices that
    can close the distance, the one most like the speaker is taken; where none can, the one that goes farthest.
    """
    own = float(weights @ table.semitones)
    distance = speaker.semitones - own
    if abs(distance) < _F0_TOLERANCE:
        return weights.copy()
    reach = table.semitones - own
    enough = reach * np.sign(distance) >= abs(distance) / _MOST_FOREIGN_PROSODY
    if enough.any():
        likeness = table.embeddings @ speaker.embedding
        likeness = likeness - F0_WEIGHT / 2 * np.abs(table.semitones - speaker.semitones)
        voice = int(np.where(enough, likeness, -np.inf).argmax())
        share = min(_MOST_FOREIGN_PROSODY, distance / float(reach[voice]))
    else:
        voice = int((reach * np.sign(distance)).argmax())
        share = _MOST_FOREIGN_PROSODY
    moved = (1 - share) * weights
    moved[voice] += share
    return np.asarray(moved, np.float32)


def score_mixture(
    speaker: SpeakerTraits, others: Sequence[Floats], embedding: Floats, f0: float | None
) -> float:
    """J of a probe that was heard. ``f0`` in semitones, None where there is none."""
    cosine = float(embedding @ speaker.embedding)
    distance = UNKNOWN_F0_SEMITONES if f0 is None else abs(f0 - speaker.semitones)
    contrast = cosine - max(float(embedding @ other) for other in others) if len(others) else 0.0
    return cosine - F0_WEIGHT * distance + CONTRAST * contrast


def _pairs_and_singles(voices: NDArray[np.intp], count: int) -> list[Floats]:
    """(count,) weights of every voice alone and of every ordered pair at each share."""
    mixtures = []
    for first in voices:
        alone = np.zeros(count, np.float32)
        alone[first] = 1.0
        mixtures.append(alone)
        for second in voices:
            for share in _SHARES if second != first else ():
                pair = share * alone
                pair[second] = 1 - share
                mixtures.append(pair)
    return mixtures


# A fitted voice as a file: all that speaking needs, fixed once, when the voice is fitted.
#
# Nothing about a line may depend on the speaker's other lines, or a lease that holds only part of them
# would change its bytes. So the equaliser, the level and the speed are in the file.


FORMAT = "voiceclone.kokoro-voice/1"
_MOST_BYTES = 1 << 20
"""A hundred times what a voice takes, unpacked: an archive may promise much more than it weighs."""


@dataclass(frozen=True)
class FittedVoice:
    """``names`` are Kokoro's voices, in the order of the mixture's weights."""

    names: tuple[str, ...]
    mixture: VoiceMixture
    gains: Floats
    """(spectra.BINS,): the equaliser."""
    level: float
    """Root mean square of a spoken line."""
    speed: float
    """1.0 = Kokoro's own."""
    embedding: Floats
    """(192,): the speaker, by CAM++."""
    f0_hz: float
    """The speaker's median F0; 0.0 where none was found."""
    similarity: float
    """Cosine of the fitted voice to the speaker, by CAM++."""


def write_voice(voice: FittedVoice, path: Path) -> None:
    """The same voice gives the same bytes. Raises OSError."""
    arrays = {
        "format": np.array(FORMAT),
        "names": np.array(voice.names),
        "acoustic": voice.mixture.acoustic.astype(np.float32),
        "prosody": voice.mixture.prosody.astype(np.float32),
        "gains": voice.gains.astype(np.float32),
        "embedding": voice.embedding.astype(np.float32),
        "scalars": np.array([voice.level, voice.speed, voice.f0_hz, voice.similarity]),
    }
    write_bytes_atomic(path, _npz(arrays))


def read_voice(path: Path, names: tuple[str, ...]) -> FittedVoice:
    """The voice in a file, fitted on the voices ``names``. Raises SegmentError."""
    again = "encode the reference again (delete the file and run once more)."
    try:
        content = _arrays(path)
    except FileNotFoundError as error:
        raise SegmentError("voice_missing", f"{path} is not there: {again}") from error
    except Exception as error:  # a damaged archive fails in many ways, a promise of 2**50 numbers in others
        raise SegmentError("voice_unreadable", f"{path} cannot be read ({error}): {again}") from error
    shapes = {
        "acoustic": (len(names),),
        "prosody": (len(names),),
        "gains": (BINS,),
        "embedding": (192,),
        "scalars": (4,),
    }
    if str(content.get("format")) != FORMAT or tuple(map(str, content.get("names", ()))) != names:
        raise SegmentError("voice_outdated", f"{path} was made by another version: {again}")
    for key, shape in shapes.items():
        array = content.get(key)
        if array is None or array.shape != shape or array.dtype.kind != "f" or not np.isfinite(array).all():
            raise SegmentError("voice_unreadable", f'{path} holds no sound "{key}": {again}')
    level, speed, f0_hz, similarity = (float(value) for value in content["scalars"])
    return FittedVoice(
        names=names,
        mixture=VoiceMixture(acoustic=content["acoustic"], prosody=content["prosody"]),
        gains=content["gains"],
        level=level,
        speed=speed,
        embedding=content["embedding"],
        f0_hz=f0_hz,
        similarity=similarity,
    )


def _arrays(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        if sum(member.file_size for member in archive.infolist()) > _MOST_BYTES:
            raise ValueError("it is far too large for a voice")
    with np.load(path, allow_pickle=False) as arrays:
        return {key: arrays[key] for key in arrays.files}


def _npz(arrays: dict[str, Any]) -> bytes:
    # numpy.savez stamps the time of writing into the archive; ZipInfo alone stamps 1980.
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as members:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, array, allow_pickle=False)
            members.writestr(zipfile.ZipInfo(f"{name}.npy"), member.getvalue())
    return archive.getvalue()

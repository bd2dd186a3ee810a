"""Kokoro's 54 published voices, mixtures of them that resemble a speaker, and fitted voices as files.

The tables were computed from Kokoro-82M's voices (Apache-2.0, hexgrad). A voice is a table of 510 styles, one for each
length of text; ``voices_knots.npz`` has 28 of them, and the others are interpolated (0.27 % error).
``voice_traits.npz`` has each voice's CAM++ embedding, median F0 and rate, measured on two sentences.

A mixture has two weight vectors (voices,), since Kokoro's style has two halves: ``acoustic`` (timbre) and ``prosody``,
which includes the F0. The score of a mixture is

    cos(own) - .02 |F0 difference in semitones| + (cos(own) - cos of the nearest other speaker)

with the cosine of CAM++ embeddings. The last term, contrast, keeps two similar speakers from getting the same voice:
without it, one line of five of a telephone call was nearer to its own speaker than to the other, with it six of six.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voiceclone_worker.atomic import write_bytes_atomic
from voiceclone_worker.engines.base import SegmentError
from voiceclone_worker.engines.kokoro.envelope import BANDS, KEYS, MAX_FRAMES, Conversion
from voiceclone_worker.engines.kokoro.line_plan import PitchStatistics
from voiceclone_worker.engines.kokoro.model import Floats
from voiceclone_worker.engines.kokoro.phonemes import registry

_DATA = Path(__file__).parent / "data"
ACOUSTIC = 128
"""A style's first half is timbre, the second half is prosody (F0, durations)."""


@dataclass(frozen=True)
class VoiceTable:
    """Styles (voices, knots, 256) at the table rows ``knots``, and traits with one row for each voice."""

    names: tuple[str, ...]
    knots: NDArray[np.int64]
    styles: Floats
    embeddings: Floats
    """(voices, 192), unit length."""
    semitones: Floats
    """(voices,): 12 log2 of the median F0 in Hz."""

    def style(self, acoustic: Floats, prosody: Floats, tokens: int, reading: float = 1.0) -> Floats:
        """Return the (256,) style of a mixture for a text of ``tokens`` tokens; the weights sum to 1.

        ``reading`` multiplies the length of the text for its melody and pace.
        """
        return np.concatenate(
            [
                self._mix(acoustic, slice(None, ACOUSTIC), tokens - 1),
                self._mix(prosody, slice(ACOUSTIC, None), tokens * reading - 1),
            ]
        ).astype(np.float32)

    def native(self, language: str) -> NDArray[np.bool_]:
        """Return (voices,): which voices were recorded in a language; all of them for English."""
        letters = "" if language == "en" else registry.native_voices(language)
        return np.array([not letters or name[0] in letters for name in self.names])

    def _mix(self, weights: Floats, half: slice, row: float) -> Floats:
        row = min(max(row, 0), int(self.knots[-1]))
        left = int(np.clip(np.searchsorted(self.knots, row, "right") - 1, 0, len(self.knots) - 2))
        share = (row - self.knots[left]) / (self.knots[left + 1] - self.knots[left])
        # At most five voices have weight; summing only those also avoids BLAS, whose last bits may depend on its
        # threads.
        used = np.flatnonzero(weights)
        styles = self.styles[used, left, half] * (1 - share) + self.styles[used, left + 1, half] * share
        mixed: Floats = (weights[used, None] * styles).sum(0)
        return mixed


@cache
def voice_table() -> VoiceTable:
    """Return the table of the published voices."""
    with np.load(_DATA / "voices_knots.npz", allow_pickle=False) as knots:
        names = tuple(str(name) for name in knots["names"])
        rows, styles = knots["knots"].astype(np.int64), knots["table"].astype(np.float32)
    with np.load(_DATA / "voice_traits.npz", allow_pickle=False) as traits:
        embeddings, semitones = traits["cam"].astype(np.float32), traits["semitones"].astype(np.float32)
    return VoiceTable(names=names, knots=rows, styles=styles, embeddings=embeddings, semitones=semitones)


F0_WEIGHT = 0.02
"""Cosine that a semitone of F0 is worth."""
CONTRAST = 1.0
UNKNOWN_F0_SEMITONES = 12.0
"""F0 difference of a probe in which no F0 is found."""
_CANDIDATES = 10
_SHARES = (0.6, 0.8)
_MIN_DIFFERENCE, _OF_FEW = 0.9, 0.7
"""Of two proposals: the sum of their weights' differences (2 = nothing in common), and where voices are few."""
NATIVE_SHARE = np.float32(0.7)
"""Of the timbre in a language that has its own voices. Chinese lines of an American and an Italian speaker, converted by
the linear map: 2 of 196 syllables misheard, .67 similar; with native voices alone 6, .65 (unconverted 2, .56). At strength
0.8: 2, .66, and of 65 French words of the latter 2 misheard."""
FOREIGN_SHARE = np.float32(0.5)
"""The same for speakers of another language."""
FOREIGN_CONTRAST, ENOUGH = 4.0, 0.1
"""In another language, up to a lead of ENOUGH: what native voices have in common makes speakers alike, and one who is
already far from the others needs no more."""
_WORSE = 0.1
"""By how much a voice may be less like its speaker than another one that is left to another speaker."""
_F0_TOLERANCE = 0.25
_MAX_PROSODY_SHARE = 0.9
"""Of a voice that is added for its F0."""


def propose_mixtures(
    speakers: Sequence[tuple[Floats, float]],
    table: VoiceTable,
    *,
    count: int,
    language: str = "en",
    at_home: Collection[int] = (),
) -> list[list[tuple[Floats, Floats]]]:
    """Return for each speaker the ``count`` mixtures (acoustic, prosody) with the highest expected score.

    The prosody, which carries the pronunciation, is of the voices that are native to ``language``
    (``VoiceTable.native``). Of the timbre they have a share (NATIVE_SHARE for the speakers ``at_home``, whose own
    language it is, FOREIGN_SHARE for the others), or all of it where that is liker. A speaker at home gets fewer than
    ``count`` mixtures where native voices are too few.

    A speaker of the recording is an embedding (192,) of unit length, and 12 log2 of the F0 in Hz. The mixtures of a
    speaker are unlike each other, and a voice that is near to several speakers dominates the mixtures of one of them
    only, if ``count`` voices are left for each of the others. Nothing is synthesized: the embedding of a mixture is
    taken as the mixture of embeddings (they agree to a cosine of .84), and contrast is to the mean of the others.
    """
    embeddings = [embedding for embedding, _ in speakers]
    rivals = [embeddings[:index] + embeddings[index + 1 :] for index in range(len(embeddings))]
    contrasts = [
        _contrast(embedding, others, table) for embedding, others in zip(embeddings, rivals, strict=True)
    ]
    likeness = np.array(
        [
            table.embeddings @ embedding - F0_WEIGHT * np.abs(table.semitones - semitones)
            for embedding, semitones in speakers
        ]
    )
    expected = likeness + np.array(contrasts)

    def best_of(voices: NDArray[np.bool_], count: int) -> list[list[Floats]]:
        return _best_mixtures(
            speakers,
            contrasts,
            np.where(voices, expected, -np.inf),
            likeness,
            table,
            int(voices.sum()),
            count,
        )

    native = table.native(language)
    timbres = best_of(native, count)
    proposals = [
        [(weights, fit_f0(weights, *speaker, table, native)) for weights in mixtures]
        for speaker, mixtures in zip(speakers, timbres, strict=True)
    ]
    if native.all():
        return proposals
    nearest = best_of(~native, 1)
    return [
        _at_home(mixtures, nearest[index][0], embeddings[index], table)
        if index in at_home
        else _abroad(mixtures, speakers[index], rivals[index], table, ~native, count)
        for index, mixtures in enumerate(proposals)
    ]


def _at_home(
    mixtures: Sequence[tuple[Floats, Floats]], other: Floats, embedding: Floats, table: VoiceTable
) -> list[tuple[Floats, Floats]]:
    """Return mixtures of native voices with a share of ``other`` in their timbre, where that is liker."""
    blended = [NATIVE_SHARE * acoustic + (1 - NATIVE_SHARE) * other for acoustic, _ in mixtures]
    return [
        (_likest((acoustic, blend), embedding, table), prosody)
        for (acoustic, prosody), blend in zip(mixtures, blended, strict=True)
    ]


def _abroad(
    mixtures: Sequence[tuple[Floats, Floats]],
    speaker: tuple[Floats, float],
    others: Sequence[Floats],
    table: VoiceTable,
    allowed: NDArray[np.bool_],
    count: int,
) -> list[tuple[Floats, Floats]]:
    """Return ``count`` mixtures of native voices with those of the ``allowed`` voices that make them liker as a whole.

    What the native voices lack, or have in common with another speaker, the others have to bring; so they are chosen
    together with them, by the score of the whole (``score_probe``).
    """
    embedding, semitones = speaker
    alone = table.embeddings @ embedding - F0_WEIGHT * np.abs(table.semitones - semitones)
    alone = alone + _contrast(embedding, others, table)
    best = np.argsort(np.where(allowed, alone, -np.inf))[::-1][:_CANDIDATES]
    rest = np.array(_pairs_and_singles(best, len(table.names)))
    scored = []
    for acoustic, prosody in mixtures:
        for timbre in (acoustic, *(FOREIGN_SHARE * acoustic + (1 - FOREIGN_SHARE) * rest)):
            mixed = timbre @ table.embeddings
            f0 = float(timbre @ table.semitones)
            score = score_probe(
                embedding, semitones, others, mixed / np.linalg.norm(mixed), f0, is_foreign=True
            )
            scored.append((score, timbre, prosody))
    scored.sort(key=lambda row: -row[0])
    chosen = _unlike([timbre for _, timbre, _ in scored], count, _OF_FEW)
    return [scored[index][1:] for index in chosen]


def _likest(weights: Sequence[Floats], embedding: Floats, table: VoiceTable) -> Floats:
    """Return the weights whose expected embedding is nearest to a speaker's."""
    return max(weights, key=lambda each: _cosine(each, embedding, table))


def _cosine(weights: Floats, embedding: Floats, table: VoiceTable) -> float:
    mixed = weights @ table.embeddings
    return float(mixed @ embedding / np.linalg.norm(mixed))


def _best_mixtures(
    speakers: Sequence[tuple[Floats, float]],
    contrasts: Sequence[Floats],
    expected: Floats,
    likeness: Floats,
    table: VoiceTable,
    voices: int,
    count: int,
) -> list[list[Floats]]:
    """Return the weights of each speaker's ``count`` best mixtures of those ``voices`` that have an expected score."""
    candidates = min(_CANDIDATES, voices)
    few = _shared_out(expected, likeness) if candidates < _CANDIDATES else None
    proposals = []
    for index, (embedding, semitones) in enumerate(speakers):
        best = np.argsort(expected[index])[::-1][:candidates]
        if few is None:
            dominant = [int(voice) for voice in best if expected[:, voice].argmax() == index]
        else:
            dominant = few[index]
        if len(dominant) < (count if few is None else 1):
            dominant = [int(voice) for voice in best]
        proposals.append(_mixtures(embedding, semitones, contrasts[index], table, best, dominant, count))
    return proposals


def _shared_out(expected: Floats, likeness: Floats) -> list[list[int]]:
    """Return the voices that each speaker's mixtures may be dominated by, of few voices: in turns, the likest pair first.

    A speaker does not get a voice that is much less like him than another one, of the other sex for example. One who gets
    none shares: pitch and conversion have to tell speakers with the same voice apart.
    """
    left, voices_of = expected.copy(), [list[int]() for _ in expected]
    waiting: set[int] = set()
    while np.isfinite(left).any():
        turns = [speaker for speaker in waiting if np.isfinite(left[speaker]).any()]
        if not turns:
            waiting = set(range(len(left)))
            continue
        speaker = max(turns, key=lambda index: float(left[index].max()))
        voice = int(left[speaker].argmax())
        left[speaker, voice] = -np.inf
        if likeness[speaker, voice] >= likeness[speaker][np.isfinite(expected[speaker])].max() - _WORSE:
            voices_of[speaker].append(voice)
            left[:, voice] = -np.inf
            waiting.discard(speaker)
    return voices_of


def _contrast(embedding: Floats, others: Sequence[Floats], table: VoiceTable) -> Floats:
    """Return (voices,): how much nearer each voice is to a speaker than to the mean of the others."""
    if not others:
        return np.zeros(len(table.names), np.float32)
    away = np.mean([table.embeddings @ other for other in others], axis=0)
    return np.asarray(CONTRAST * (table.embeddings @ embedding - away), np.float32)


def _mixtures(
    embedding: Floats,
    semitones: float,
    contrast: Floats,
    table: VoiceTable,
    best: NDArray[np.intp],
    dominant: Sequence[int],
    count: int,
) -> list[Floats]:
    """Return the ``count`` best mixtures of the voices ``best`` in which one of ``dominant`` has the largest weight."""
    scored = []
    for weights in _pairs_and_singles(best, len(table.names)):
        if int(weights.argmax()) not in dominant:
            continue
        cosine = _cosine(weights, embedding, table)
        f0 = abs(weights @ table.semitones - semitones)
        scored.append((float(cosine - F0_WEIGHT * f0 + weights @ contrast), weights))
    scored.sort(key=lambda pair: -pair[0])

    difference = _MIN_DIFFERENCE if len(best) == _CANDIDATES else _OF_FEW
    ordered = [weights for _, weights in scored]
    return [ordered[index] for index in _unlike(ordered, count, difference)]


def _unlike(weights: Sequence[Floats], count: int, difference: float) -> list[int]:
    """Return the indices of the first ``count`` weights that differ from each other by more than ``difference``."""
    chosen: list[int] = []
    for index, each in enumerate(weights):
        if len(chosen) < count and all(np.abs(each - weights[one]).sum() > difference for one in chosen):
            chosen.append(index)
    return chosen


def fit_f0(
    weights: Floats, embedding: Floats, semitones: float, table: VoiceTable, allowed: NDArray[np.bool_]
) -> Floats:
    """Return prosody weights with the speaker's F0: ``weights`` moved towards one more of the ``allowed`` voices.

    F0 is linear in the weights, so the share of that voice follows from the distance. Of the voices that can close
    the distance the most similar to the speaker is used; if none can, the one that comes nearest.
    """
    own = float(weights @ table.semitones)
    distance = semitones - own
    if abs(distance) < _F0_TOLERANCE:
        return weights.copy()
    reach = table.semitones - own
    enough = allowed & (reach * np.sign(distance) >= abs(distance) / _MAX_PROSODY_SHARE)
    if enough.any():
        similarity = table.embeddings @ embedding
        similarity = similarity - F0_WEIGHT / 2 * np.abs(table.semitones - semitones)
        voice = int(np.where(enough, similarity, -np.inf).argmax())
        share = min(_MAX_PROSODY_SHARE, distance / float(reach[voice]))
    else:
        voice = int(np.where(allowed, reach * np.sign(distance), -np.inf).argmax())
        share = _MAX_PROSODY_SHARE
    moved = (1 - share) * weights
    moved[voice] += share
    return np.asarray(moved, np.float32)


def score_probe(
    embedding: Floats,
    semitones: float,
    others: Sequence[Floats],
    probe: Floats,
    probe_f0: float | None,
    *,
    is_foreign: bool = False,
) -> float:
    """Return the score of a synthesized probe by its embedding and its F0 in semitones (None: none was found)."""
    cosine = float(probe @ embedding)
    distance = UNKNOWN_F0_SEMITONES if probe_f0 is None else abs(probe_f0 - semitones)
    lead = cosine - max(float(probe @ other) for other in others) if len(others) else 0.0
    contrast = FOREIGN_CONTRAST * min(lead, ENOUGH) if is_foreign else CONTRAST * lead
    return cosine - F0_WEIGHT * distance + contrast


def _pairs_and_singles(voices: NDArray[np.intp], count: int) -> list[Floats]:
    """Return (count,) weights of every single voice and of every ordered pair at each share."""
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


FORMAT = "voiceclone.kokoro-voice/5"
_MAX_BYTES = 1 << 20
"""Unpacked; four times the size of a voice. A small archive may unpack to much more."""


@dataclass(frozen=True)
class FittedMixture:
    """The mixture that speaks a speaker's lines in one language."""

    acoustic: Floats
    prosody: Floats
    conversion: Conversion
    """From the envelopes of the mixture to those of the speaker."""
    speed: float
    """1.0 is Kokoro's own."""
    pitch: PitchStatistics | None
    """As the mixture plans the probe."""
    similarity: float
    """Cosine of the mixture to the speaker, by CAM++."""


@dataclass(frozen=True)
class FittedVoice:
    """A speaker's voice: everything that synthesis needs, fixed when the voice is fitted.

    Nothing about a line may depend on the speaker's other lines, since a lease may have only some of them; so the
    conversion, the level and the speed are part of the voice. ``names`` are Kokoro's voices in the order of the weights.
    """

    names: tuple[str, ...]
    mixtures: Mapping[str, FittedMixture]
    """By ``registry.voice_language``."""
    level: float
    """Root mean square of a line."""
    embedding: Floats
    """(192,): the speaker, by CAM++."""
    pitch: PitchStatistics | None
    """The speaker's; None where hardly anything is voiced."""

    def mixture(self, tag: str) -> FittedMixture:
        """Return the mixture that speaks a language. Raises SegmentError where the voice was not fitted for it."""
        mixture = self.mixtures.get(registry.voice_language(tag))
        if mixture is None:
            raise SegmentError(
                "voice_language",
                f'the voice was fitted for lines in {", ".join(self.mixtures)}, not in "{tag}": name it in "speaks" of '
                "the reference, and encode that again.",
            )
        return mixture


def write_voice(voice: FittedVoice, path: Path) -> None:
    """Write a voice; the same voice gives the same bytes. Raises OSError."""
    mixtures = list(voice.mixtures.values())
    conversions = [mixture.conversion for mixture in mixtures]
    # The frames of the reference are the same for every language in which they are used.
    lookup = max(conversions, key=lambda conversion: len(conversion.frames))
    arrays = {
        "format": np.array(FORMAT),
        "names": np.array(voice.names),
        "languages": np.array(list(voice.mixtures)),
        "acoustic": np.array([mixture.acoustic for mixture in mixtures], np.float32),
        "prosody": np.array([mixture.prosody for mixture in mixtures], np.float32),
        "own": np.array([conversion.own for conversion in conversions], np.float32),
        "target": lookup.target.astype(np.float32),
        "matrix": np.array([conversion.matrix for conversion in conversions], np.float32),
        "frames": lookup.frames.astype(np.float16),
        "keys": lookup.keys.astype(np.float16),
        "embedding": voice.embedding.astype(np.float32),
        "pitch": np.array(_pitch_row(voice.pitch), np.float64),
        "own_pitch": np.array([_pitch_row(mixture.pitch) for mixture in mixtures], np.float64),
        "level": np.array(voice.level, np.float64),
        "scalars": np.array(
            [
                [
                    each.speed,
                    each.similarity,
                    each.conversion.strength,
                    each.conversion.lookup if len(each.conversion.frames) else 0.0,
                ]
                for each in mixtures
            ],
            np.float64,
        ),
    }
    write_bytes_atomic(path, _npz(arrays))


def read_voice(path: Path, names: tuple[str, ...]) -> FittedVoice:
    """Return the voice in a file, if it was fitted with the voices ``names``. Raises SegmentError."""
    again = "encode the reference again (delete the file and run once more)."
    try:
        content = _arrays(path)
    except FileNotFoundError as error:
        raise SegmentError("voice_missing", f"{path} is not there: {again}") from error
    except Exception as error:  # a damaged archive fails in many ways
        raise SegmentError("voice_unreadable", f"{path} cannot be read ({error}): {again}") from error
    if str(content.get("format")) != FORMAT or tuple(map(str, content.get("names", ()))) != names:
        raise SegmentError("voice_outdated", f"{path} was made by another version: {again}")
    languages = [str(language) for language in np.atleast_1d(content.get("languages", ()))]
    kept = min(len(np.atleast_1d(content.get("frames", ()))), MAX_FRAMES)
    shapes = {
        "acoustic": (len(languages), len(names)),
        "prosody": (len(languages), len(names)),
        "own": (len(languages), BANDS),
        "target": (BANDS,),
        "matrix": (len(languages), BANDS, BANDS),
        "frames": (kept, BANDS),
        "keys": (kept, KEYS),
        "embedding": (192,),
        "pitch": (3,),
        "own_pitch": (len(languages), 3),
        "level": (),
        "scalars": (len(languages), 4),
    }
    for key, shape in shapes.items():
        array = content.get(key)
        if array is None or array.shape != shape or array.dtype.kind != "f" or not np.isfinite(array).all():
            raise SegmentError("voice_unreadable", f'{path} has no valid "{key}": {again}')
    return FittedVoice(
        names=names,
        mixtures={language: _mixture(content, row) for row, language in enumerate(languages)},
        level=float(content["level"]),
        embedding=content["embedding"],
        pitch=_pitch(content["pitch"]),
    )


def _mixture(content: Mapping[str, Any], row: int) -> FittedMixture:
    """Return the mixture of one language from the arrays of a file."""
    speed, similarity, strength, lookup = (float(value) for value in content["scalars"][row])
    frames = slice(None) if lookup else slice(0)
    return FittedMixture(
        acoustic=content["acoustic"][row],
        prosody=content["prosody"][row],
        conversion=Conversion(
            own=content["own"][row],
            target=content["target"],
            matrix=content["matrix"][row],
            frames=content["frames"][frames],
            keys=content["keys"][frames],
            strength=strength,
            lookup=lookup or 1.0,
        ),
        speed=speed,
        pitch=_pitch(content["own_pitch"][row]),
        similarity=similarity,
    )


def _pitch_row(pitch: PitchStatistics | None) -> list[float]:
    return [pitch.median, pitch.spread, pitch.count] if pitch else [0.0, 0.0, 0.0]


def _pitch(row: NDArray[np.float64]) -> PitchStatistics | None:
    median, spread, count = (float(value) for value in row)
    return PitchStatistics(median, spread, round(count)) if count else None


def _arrays(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > _MAX_BYTES:
            raise ValueError("it is far too large for a voice")
    with np.load(path, allow_pickle=False) as arrays:
        return {key: arrays[key] for key in arrays.files}


def _npz(arrays: dict[str, Any]) -> bytes:
    # numpy.savez writes the time into the archive; a ZipInfo alone has 1980.
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            entry = io.BytesIO()
            np.lib.format.write_array(entry, array, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), entry.getvalue())
    return content.getvalue()

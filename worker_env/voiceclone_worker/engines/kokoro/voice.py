"""A fitted voice as a file: all that speaking needs, fixed once, when the voice is fitted.

Nothing about a line may depend on the speaker's other lines, or a lease that holds only part of them
would change its bytes. So the equaliser, the level and the speed are in the file.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voiceclone_worker.atomic import write_whole
from voiceclone_worker.engines.base import SegmentError
from voiceclone_worker.engines.kokoro.matching import Mixture
from voiceclone_worker.engines.kokoro.model import Floats
from voiceclone_worker.engines.kokoro.spectra import BINS

FORMAT = "voiceclone.kokoro-voice/1"
_MOST_BYTES = 1 << 20
"""A hundred times what a voice takes, unpacked: an archive may promise much more than it weighs."""


@dataclass(frozen=True)
class Voice:
    """``names`` are Kokoro's voices, in the order of the mixture's weights."""

    names: tuple[str, ...]
    mixture: Mixture
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


def write_voice(voice: Voice, path: Path) -> None:
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
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, _npz(arrays))


def read_voice(path: Path, names: tuple[str, ...]) -> Voice:
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
    return Voice(
        names=names,
        mixture=Mixture(acoustic=content["acoustic"], prosody=content["prosody"]),
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

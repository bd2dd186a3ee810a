"""How near kokoro's voices are to people whom it has never heard, each fitted alone.

    python benchmarks/voices.py --data FOLDER [--only NAME...] [--source TREE] [--out RESULTS.json] [--keep WAVS]
    python benchmarks/voices.py --compare BEFORE.json AFTER.json

Twenty speakers: fifteen people in recordings that Debian packages carry (fetched with apt-get into FOLDER, unpacked
there, and not installed), and five of Kokoro's voices, each omitted from the table while it is fitted. A speaker is
fitted to one clip of ten seconds and compared with another one; both went through the same channel: as recorded, a
telephone band with mu-law, a room, or noise. Two sentences are spoken that no fit uses. ``--source`` takes the engine
from another tree, such as a worktree of an earlier commit, and ``--checkpoint`` its model.

similarity  cosine to the held-out clip, by the tests' judge (Resemblyzer), which takes no part in any fit
pairs       of two speakers, both clones are nearer to their own person than to the other (strict)
wer         whisper-base on both sentences
mos         DNSMOS of both sentences
f0          distance of the median F0 from the held-out clip's, in semitones
peak/rms    the loudest sample, and 10 ms, of the line with the most consonants against its root mean square
cpu s       processor time of a fit
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parents[1]
RATE = 16_000
SECONDS = 10
SENTENCES = (
    "She takes six tickets to the station, and the last of them is for her sister.",
    "The old harbour was quiet, and a thin rain fell on the boats that nobody had used since spring.",
)
PEOPLE_TEXTS = (
    "The weather had been fine all week, so they walked along the river until it was dark. "
    "A man with a large dog came by and asked them for the way to the next town.",
    "My grandmother kept her letters in a green box under the bed, and read them every winter. "
    "When I was young I thought that all of them were about money and about the garden.",
)
"""For Kokoro's voices: what is fitted to, and what is held out."""
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Person:
    name: str
    channel: str
    package: str
    """Of Debian; empty for one of Kokoro's voices."""
    files: str
    """Pattern under the unpacked package, or the voice."""


_STAMPS = ("tuxpaint-stamps-default", "usr/share/tuxpaint/stamps/**/*desc_{}.ogg")
_ASTERISK = "usr/share/asterisk/sounds/{}/*"
PEOPLE = (
    *(
        Person(language, channel, _STAMPS[0], _STAMPS[1].format(language))
        for language, channel in (
            ("fr", "as recorded"), ("ro", "telephone"), ("ru", "as recorded"), ("ca", "telephone"),
            ("bg", "noise"), ("es", "as recorded"), ("be", "room"), ("el", "telephone"), ("da", "as recorded"),
        )
    ),
    Person("allison", "as recorded", "asterisk-core-sounds-en-g722", _ASTERISK.format("en_US_f_Allison")),
    Person("june", "telephone", "asterisk-core-sounds-fr-g722", _ASTERISK.format("fr_CA_f_June")),
    Person("carlo", "as recorded", "asterisk-core-sounds-it-g722", _ASTERISK.format("it_IT_m_Carlo")),
    Person("menardi", "as recorded", "asterisk-prompt-it-menardi-wav", _ASTERISK.format("it_IT_f_Menardi")),
    Person("ivrvoice", "telephone", "asterisk-core-sounds-ru-g722", _ASTERISK.format("ru_RU_f_IvrvoiceRU")),
    Person(
        "austen", "room", "pocketsphinx-testdata", "usr/share/pocketsphinx/test/data/librivox/*.wav"
    ),
    Person("am_michael", "telephone", "", "am_michael"),
    Person("bf_emma", "room", "", "bf_emma"),
    Person("bm_lewis", "noise", "", "bm_lewis"),
    Person("ff_siwis", "as recorded", "", "ff_siwis"),
    Person("jm_kumo", "telephone", "", "jm_kumo"),
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(tempfile.gettempdir(), "voiceclone-voices"))
    parser.add_argument("--only", nargs="+", choices=[person.name for person in PEOPLE])
    parser.add_argument("--source", type=Path, default=ROOT)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--options", type=json.loads, default={}, help="Options of the engine, as JSON.")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--compare", type=Path, nargs="+")
    options = parser.parse_args()
    if options.compare:
        for path in options.compare:
            show(path.stem, json.loads(path.read_text()))
        return 0
    sys.path[:0] = [str(ROOT / "tests"), *(str(options.source / part) for part in ("src", "worker_env"))]
    people = [person for person in PEOPLE if not options.only or person.name in options.only]
    rows = measure_all(people, options)
    show(str(options.source), rows)
    return 0


def show(name: str, rows: Sequence[dict[str, Any]]) -> None:
    """Print a table: all speakers, and those of each channel."""
    print(f"\n{name}: {len(rows)} speakers")
    print("channel       speakers similarity  pairs    wer   mos    f0  peak/rms     cpu s")
    channels = dict.fromkeys(row["channel"] for row in rows)
    for channel in ("all", *channels):
        some = [row for row in rows if channel in ("all", row["channel"])]

        def mean(key: str, some: Sequence[dict[str, Any]] = some) -> float:
            return float(np.mean([row[key] for row in some]))

        right, of = pairs(some)
        wer = sum(row["wrong"] for row in some) / sum(row["words"] for row in some)
        peaks = f"{mean('peak'):5.1f} ({mean('burst'):.1f})"
        print(
            f"{channel:13} {len(some):8} {mean('similarity'):10.3f} {right:3}/{of:<3} {wer:6.3f} {mean('mos'):5.2f} "
            f"{mean('f0'):5.2f} {peaks} {mean('cpu'):7.1f}"
        )


def pairs(rows: Sequence[dict[str, Any]]) -> tuple[int, int]:
    """Return how many pairs of speakers are told apart, and of how many."""
    right = of = 0
    for a, b in combinations(rows, 2):
        clones, people = (np.array([a[key], b[key]]) for key in ("clone", "person"))
        cosines = clones @ people.T
        right += int(cosines[0, 0] > cosines[0, 1] and cosines[1, 1] > cosines[1, 0])
        of += 1
    return right, of


def measure_all(people: Sequence[Person], options: argparse.Namespace) -> list[dict[str, Any]]:
    import jiwer
    import torch

    from judge import Judge, fetch_weights
    from voiceclone_cli.evaluation.metrics import QualityModel, Recogniser
    from voiceclone_cli.models import download

    torch.set_num_threads(1)
    names = ["campplus", "dnsmos", "whisper-base", *([] if options.checkpoint else ["kokoro"])]
    folders = download.ensure_models(names)
    judge = Judge(fetch_weights(options.data / "judge"))
    quality, recogniser = QualityModel(folders["dnsmos"], 1), Recogniser(folders["whisper-base"], 1)
    checkpoint = options.checkpoint or folders["kokoro"]
    rows = []
    for person in people:
        reference, other, person_f0 = clips(person, options.data, checkpoint)
        engine = load_engine(
            checkpoint, folders, options.options, omit="" if person.package else person.files
        )
        lines, cpu = speak(engine, reference)
        if options.keep:
            keep(options.keep, person.name, {"reference": reference, "other": other}, lines)
        clones = [judge.embed(line, 24_000) for line in lines]
        clone = np.sum(clones, 0) / np.linalg.norm(np.sum(clones, 0))
        own = judge.embed(other, RATE)
        slow = [resample(line, 24_000, RATE) for line in lines]
        text, heard = (
            words(each) for each in (" ".join(SENTENCES), recogniser.words(np.concatenate(slow), "en") or "")
        )
        aligned = jiwer.process_words(text, heard)
        frames = np.sqrt(np.square(lines[0][: len(lines[0]) // 240 * 240].reshape(-1, 240)).mean(1))
        rms = float(np.sqrt(np.mean(lines[0] ** 2)))
        rows.append(
            {
                "name": person.name,
                "channel": person.channel,
                "similarity": float(np.mean([each @ own for each in clones])),
                "wrong": aligned.substitutions + aligned.deletions + aligned.insertions,
                "words": len(text.split()),
                "mos": float(np.mean([quality.score(each) for each in slow])),
                "f0": abs(median_pitch(np.concatenate(slow)) - person_f0),
                "peak": float(np.abs(lines[0]).max()) / rms,
                "burst": float(frames.max()) / rms,
                "cpu": cpu,
                "clone": clone.tolist(),
                "person": own.tolist(),
            }
        )
        if options.out:
            options.out.write_text(json.dumps(rows, indent=1) + "\n")
        shown = {key: round(value, 3) for key, value in rows[-1].items() if isinstance(value, int | float)}
        print(f"{person.name:12}", shown, flush=True)
    return rows


def words(text: str) -> str:
    plain = "".join(sign if sign.isalnum() else " " for sign in text.lower())
    return " ".join(plain.replace("harbour", "harbor").split())


def load_engine(checkpoint: Path, folders: Any, options: dict[str, Any], *, omit: str = "") -> Any:
    """Return the engine, without one of its voices."""
    from voiceclone_worker.engines import kokoro
    from voiceclone_worker.protocol import EngineSpec

    options = {"encoder": str(folders["campplus"]), "threads": 1, **options}
    engine: Any = kokoro.load(
        EngineSpec("kokoro", str(checkpoint), options=options), lambda *event, **fields: None
    )
    table = engine._table
    if omit:
        rest = np.array([name != omit for name in table.names])
        engine._table = replace(
            table,
            names=tuple(name for name in table.names if name != omit),
            styles=table.styles[rest],
            embeddings=table.embeddings[rest],
            semitones=table.semitones[rest],
        )
    return engine


def speak(engine: Any, reference: Floats) -> tuple[list[Floats], float]:
    """Return the sentences in a speaker's voice, at 24 kHz, and the processor time of the fit."""
    import soundfile

    from voiceclone_worker.engines.base import Speech, SpeechRow
    from voiceclone_worker.protocol import ReferenceSpec, SegmentSpec

    with tempfile.TemporaryDirectory() as folder:
        soundfile.write(f"{folder}/reference.wav", reference, RATE)
        spec = ReferenceSpec("S", f"{folder}/reference.wav", "", f"{folder}/voice.npz")
        started = time.process_time()
        ((_, error),) = engine.encode([spec])
        cpu = time.process_time() - started
        assert error is None, error
        rows = [
            SpeechRow(0, SegmentSpec(str(n), text, "en", seed=n), spec) for n, text in enumerate(SENTENCES)
        ]
        made = {row.segment.id: speech for row, speech in engine.generate(rows)}
    lines = []
    for row in rows:
        speech = made[row.segment.id]
        assert isinstance(speech, Speech), speech
        lines.append(np.frombuffer(speech.pcm, "<i2").astype(np.float32) / 32768)
    return lines, cpu


def keep(folder: Path, name: str, clips: dict[str, Floats], lines: Sequence[Floats]) -> None:
    import soundfile

    folder.mkdir(parents=True, exist_ok=True)
    for kind, clip in clips.items():
        soundfile.write(folder / f"{name}-{kind}.wav", clip, RATE)
    for index, line in enumerate(lines):
        soundfile.write(folder / f"{name}-{index}.wav", line, 24_000)


def median_pitch(signal: Floats) -> float:
    """Return 12 log2 of the median F0 in Hz, by another method than the engine's (Harvest)."""
    import pyworld

    f0, _ = pyworld.harvest(signal.astype(np.float64), RATE, f0_floor=60, f0_ceil=500, frame_period=10)
    return float(12 * np.log2(np.median(f0[f0 > 0])))


def clips(person: Person, data: Path, checkpoint: Path) -> tuple[Floats, Floats, float]:
    """Return two clips of a person at RATE, through the channel: what is fitted to, and what is held out.

    The third is the pitch of the latter before the channel, which may take the fundamental.
    """
    if not person.package:
        parts = spoken_by(person.files, data, checkpoint)
    else:
        paths = [path for path in unpacked(person.package, data).glob(person.files) if path.is_file()]
        longest = [read(path) for path in sorted(paths, key=lambda path: (-path.stat().st_size, path))[:60]]
        order = np.random.default_rng(0).permutation(len(longest))
        parts = tuple(joined(longest[index] for index in half) for half in (order[::2], order[1::2]))
    reference, other = (through(person.channel, part, seed) for seed, part in enumerate(parts))
    return reference, other, median_pitch(parts[1])


def unpacked(package: str, data: Path) -> Path:
    """Return the folder of a Debian package's files; it is downloaded, and not installed."""
    folder = data / package
    if not folder.is_dir():
        folder.mkdir(parents=True)
        subprocess.run(["apt-get", "download", package], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        (archive,) = folder.glob("*.deb")
        subprocess.run(["dpkg-deb", "-x", archive, folder], check=True)
    return folder


def read(path: Path) -> Floats:
    import av

    with av.open(str(path), format="g722" if path.suffix == ".g722" else None) as container:
        rate = container.streams.audio[0].rate
        parts = [frame.to_ndarray().astype(np.float64) for frame in container.decode(audio=0)]
    if not parts:
        return np.zeros(0, np.float32)
    samples = np.concatenate([part.reshape(part.shape[0], -1).mean(0) for part in parts])
    samples /= np.abs(samples).max() + 1e-9
    return resample(0.5 * samples.astype(np.float32), rate, RATE)


def joined(recordings: Iterable[Floats]) -> Floats:
    """Return recordings without their silent ends, one after the other, until there are SECONDS of them."""
    parts: list[Floats] = []
    for samples in recordings:
        loud = np.flatnonzero(np.abs(samples) > 0.02)
        if len(loud) and sum(map(len, parts)) < SECONDS * RATE:
            parts += [samples[loud[0] : loud[-1]], np.zeros(RATE // 5, np.float32)]
    return np.concatenate(parts)


def spoken_by(voice: str, data: Path, checkpoint: Path) -> tuple[Floats, Floats]:
    """Return what one of Kokoro's voices says; kept, so that every version is fitted to the same."""
    import soundfile

    from voiceclone_worker.engines.kokoro import voices
    from voiceclone_worker.engines.kokoro.model import SpeechModel
    from voiceclone_worker.engines.kokoro.phonemes import reader

    made = []
    for index, text in enumerate(PEOPLE_TEXTS):
        path = data / f"{voice}-{index}.wav"
        if not path.exists():
            table = voices.voice_table()
            weights = np.array([name == voice for name in table.names], np.float32)
            tokens = reader.to_tokens(reader.to_phonemes(text, "en"))
            signal = SpeechModel(checkpoint).speak(tokens, table.style(weights, weights, len(tokens)), 1.0)
            soundfile.write(path, resample(signal, 24_000, RATE), RATE)
        made.append(soundfile.read(path, dtype="float32")[0])
    return made[0], made[1]


def through(channel: str, signal: Floats, seed: int) -> Floats:
    """Return a signal at RATE as it arrives through a channel."""
    random = np.random.default_rng(seed)
    if channel == "telephone":
        narrow = resample(signal, RATE, 8000)
        spectrum = np.fft.rfft(narrow)
        hertz = np.fft.rfftfreq(len(narrow), 1 / 8000)
        spectrum *= np.clip((hertz - 200) / 150, 0, 1) * np.clip((3600 - hertz) / 250, 0, 1)
        narrow = np.fft.irfft(spectrum, len(narrow))
        compressed = np.sign(narrow) * np.log1p(255 * np.abs(narrow)) / np.log(256)
        quantised = np.round(compressed * 128) / 128
        expanded = np.sign(quantised) * np.expm1(np.abs(quantised) * np.log(256)) / 255
        return resample(expanded.astype(np.float32), 8000, RATE)
    if channel == "room":  # 0.4 s of reverberation, 6 dB under the direct sound
        echo = random.normal(size=round(0.4 * RATE)) * 10 ** (
            -3 * np.arange(round(0.4 * RATE)) / (0.4 * RATE)
        )
        echo *= 0.5 / np.linalg.norm(echo)
        echo[0] = 1.0
        size = len(signal) + len(echo)
        return np.fft.irfft(np.fft.rfft(signal, size) * np.fft.rfft(echo, size), size)[: len(signal)].astype(
            np.float32
        )
    if channel == "noise":  # 15 dB under the speech, 6 dB less with each octave above 500 Hz
        spectrum = np.fft.rfft(random.normal(size=len(signal)))
        noise = np.fft.irfft(spectrum / (1 + np.fft.rfftfreq(len(signal), 1 / RATE) / 500), len(signal))
        return (signal + noise * 10 ** (-15 / 20) * np.std(signal) / np.std(noise)).astype(np.float32)
    return signal


def resample(signal: Floats, before: int, after: int) -> Floats:
    import soxr

    return signal if before == after else np.asarray(soxr.resample(signal, before, after), np.float32)


if __name__ == "__main__":
    raise SystemExit(main())

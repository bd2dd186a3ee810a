"""The development set of diarization: conversations of known turns, made of speech that packages carry.

Speakers are collected as short utterances at 16 kHz:

- *recorded*: people, from Debian's packages RECORDED_PACKAGES (downloaded and unpacked, not installed);
- *kokoro*: the embedded engine's voices and mixtures of them;
- *robot*: flite and espeak-ng, as separate programs.

``conversations`` then lays them out: each of the two halves has other speakers, other utterances, other seeds. The
meetings, conversations with a human reference, come from the source package of pyannote.audio. All is deterministic.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from voiceclone_cli.analysis.turns import read_rttm, write_rttm
from voiceclone_cli.types import Turn

RATE = 16_000
HALVES = ("tune", "report")
Samples = NDArray[np.float32]

RECORDED_PACKAGES = (
    "asterisk-core-sounds-en-g722",
    "asterisk-core-sounds-fr-g722",
    "asterisk-core-sounds-it-g722",
    "asterisk-core-sounds-ru-g722",
    "asterisk-prompt-es-co",
    "asterisk-prompt-fr-armelle",
    "asterisk-prompt-it-menardi-wav",
    "fillets-ng-data-cs",
    "pocketsphinx-testdata",
    "tuxpaint-stamps-default",
)
"""CC-BY-SA, CC-BY, GPL (data, read as files) and public domain; their copyright files have the details."""
MEETINGS_PACKAGE = "pyannote.audio==4.0.7"
"""MIT. Its tests have excerpts of one minute of real meetings, with turns by people."""

_SOUNDS = "usr/share/asterisk/sounds"
_STAMPS = "usr/share/tuxpaint/stamps/animals"
# Name, half, sex, and the files. Speakers of one sex make the condition "similar".
RECORDED = {
    "allison": ("tune", "f", f"{_SOUNDS}/en_US_f_Allison/*.g722"),
    "june": ("report", "f", f"{_SOUNDS}/fr_CA_f_June/*.g722"),
    "carlo": ("tune", "m", f"{_SOUNDS}/it_IT_m_Carlo/*.g722"),
    "menardi": ("report", "f", f"{_SOUNDS}/it_IT_f_Menardi/*.wav"),
    "ivr-ru": ("tune", "f", f"{_SOUNDS}/ru_RU_f_IvrvoiceRU/*.g722"),
    "colombia": ("report", "f", f"{_SOUNDS}/es/*.gsm"),
    "armelle": ("tune", "f", f"{_SOUNDS}/fr/*.gsm"),
    "small-fish": ("report", "f", "usr/share/games/fillets-ng/sound/*/cs/*-m-*.ogg"),
    "large-fish": ("tune", "m", "usr/share/games/fillets-ng/sound/*/cs/*-v-*.ogg"),
    "librivox": ("report", "m", "usr/share/pocketsphinx/test/data/librivox/*.wav"),
    "cards": ("report", "m", "usr/share/pocketsphinx/test/data/cards/*.wav"),
    **{
        f"stamps-{language}": (half, sex, f"{_STAMPS}/**/*_desc_{language}.ogg")
        for language, half, sex in (
            ("be", "tune", "f"),
            ("bg", "report", "m"),
            ("da", "report", "m"),
            ("el", "tune", "f"),
            ("es", "report", "f"),
            ("fr", "tune", "f"),
            ("ro", "report", "f"),
            ("ru", "report", "m"),
        )
    },
}
_SECONDS = 45.0
"""Of speech collected for each speaker."""


@dataclass(frozen=True)
class Speaker:
    """A voice; utterances are at RATE, without silence around them, at one level."""

    name: str
    family: str
    half: str
    sex: str
    utterances: tuple[Samples, ...]


def decode(path: Path) -> Samples:
    """Return a file's first channel at RATE."""
    import av

    resampler = av.AudioResampler("flt", "mono", RATE)
    container_format = {".g722": "g722", ".gsm": "gsm"}.get(path.suffix)
    with av.open(str(path), format=container_format) as container:
        blocks = [
            block.to_ndarray()[0]
            for frame in (*container.decode(audio=0), None)
            for block in resampler.resample(frame)
        ]
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def speech_spans(signal: Samples, *, floor: float, pause: float) -> list[tuple[float, float]]:
    """Return (start, end) in seconds of what is louder than ``floor`` dB of the loudest, short pauses filled."""
    hop = RATE // 100
    frames = len(signal) // hop
    if not frames:
        return []
    energy = (signal[: frames * hop].reshape(frames, hop) ** 2).mean(1)
    energy = np.convolve(energy, np.ones(3) / 3, "same")
    loud = np.flatnonzero(energy > np.percentile(energy, 98) * 10 ** (floor / 10))
    if not len(loud):
        return []
    cuts = np.flatnonzero(np.diff(loud) > pause * 100)
    starts, ends = loud[np.r_[0, cuts + 1]], loud[np.r_[cuts, len(loud) - 1]] + 1
    return [(start / 100, end / 100) for start, end in zip(starts, ends, strict=True)]


def _utterances(files: Sequence[Path], seconds: float) -> tuple[Samples, ...]:
    """Return utterances of .4 to 7 s, at an RMS of .05, until there are ``seconds`` of them."""
    found: list[Samples] = []
    for path in files:
        signal = decode(path)
        for start, end in speech_spans(signal, floor=-35, pause=0.35):
            if 0.4 <= end - start <= 7:
                piece = signal[int(start * RATE) : int(end * RATE)]
                found.append((piece * (0.05 / np.sqrt((piece**2).mean()))).astype(np.float32))
        if sum(map(len, found)) > seconds * RATE:
            break
    return tuple(found)


def _shuffled(files: Sequence[Path]) -> list[Path]:
    """Order files by a hash of their names: the same everywhere, and digits are not all together."""
    return sorted(files, key=lambda path: hashlib.sha256(path.name.encode()).digest())


def unpack_recorded(work: Path) -> Path:
    """Download and unpack RECORDED_PACKAGES, unless that is done; return the folder with their files."""
    root = work / "debian"
    for package in RECORDED_PACKAGES:
        if not (root / f"usr/share/doc/{package}").is_dir():
            root.mkdir(parents=True, exist_ok=True)
            subprocess.run(["apt-get", "download", "-qq", package], cwd=work, check=True)
            (archive,) = work.glob(f"{package}_*.deb")
            subprocess.run(["dpkg", "-x", str(archive), str(root)], check=True)
    return root


def recorded_speakers(work: Path) -> Iterator[Speaker]:
    """Yield the people of RECORDED."""
    root = unpack_recorded(work)
    for name, (half, sex, pattern) in RECORDED.items():
        files = [path for path in root.glob(pattern) if path.stat().st_size > 4000]
        yield Speaker(name, "recorded", half, sex, _utterances(_shuffled(files), _SECONDS))


SENTENCES = """The train was late again this morning, so I walked the last part along the river.
We should send the letter before Friday, otherwise they will close the file.
My sister bought a small house near the coast, and it needs a new roof.
Nobody told me that the meeting had been moved to the other building.
If you mix the flour with warm water first, the dough becomes much softer.
I have been working on this report since the beginning of the week.
They found an old map in the attic, and half of the streets had other names.
Could you ask the driver to wait for us at the north gate?
The doctor said that it is nothing serious, but I should rest for a few days.
In winter the lake freezes, and the children skate there after school.
He promised to call back within the hour, and that was two days ago.
The price went up twice this year, which is hard to explain to our customers.
What surprised me most was how quiet the city is on a Sunday morning.
You can leave the keys with my neighbour, she is at home all day.
Let us look at the numbers again before we decide anything.
The cat sleeps on the warm side of the stove and refuses to move.
There was a strong wind last night, and two trees fell across the road.
I would rather take the early flight and have the whole afternoon there.
Yes.
Right, I see.
Really?
No, not at all.
Okay, go on.
Exactly.
I think so too.
Mm, maybe.
Why is that?
Of course.""".splitlines()
_SHORT = 18
"""Index of the first short sentence."""


def _texts(name: str, long: int, short: int) -> list[str]:
    rng = _rng("texts", name)
    chosen = [*rng.permutation(_SHORT)[:long], *(_SHORT + rng.permutation(len(SENTENCES) - _SHORT)[:short])]
    return [SENTENCES[index] for index in chosen]


def _rng(*key: object) -> np.random.Generator:
    digest = hashlib.sha256(repr(key).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))


# Name, half, sex, and the shares of Kokoro's voices. heart-bella, emma-isabella and michael-adam resemble another one.
KOKORO = {
    "heart": ("tune", "f", {"af_heart": 1.0}),
    "emma": ("report", "f", {"bf_emma": 1.0}),
    "michael": ("tune", "m", {"am_michael": 1.0}),
    "puck": ("report", "m", {"am_adam": 0.5, "am_puck": 0.5}),
    "heart-bella": ("tune", "f", {"af_heart": 0.6, "af_bella": 0.4}),
    "emma-isabella": ("report", "f", {"bf_emma": 0.6, "bf_isabella": 0.4}),
    "michael-adam": ("tune", "m", {"am_michael": 0.6, "am_adam": 0.4}),
    "onyx": ("report", "m", {"am_onyx": 1.0}),
    "nicole": ("tune", "f", {"af_nicole": 0.6, "af_kore": 0.4}),
    "nezumi": ("report", "f", {"jf_tebukuro": 1.0}),
    "george": ("tune", "m", {"bm_george": 1.0}),
    "fable": ("report", "m", {"bm_fable": 0.7, "im_nicola": 0.3}),
}


def kokoro_speakers(work: Path) -> Iterator[Speaker]:
    """Yield the embedded engine's voices; what is rendered is kept in ``work``."""
    from voiceclone_cli.models.registry import ENTRIES
    from voiceclone_cli.models.store import default_home, model_folder
    from voiceclone_worker.engines.kokoro.model import RATE as KOKORO_RATE
    from voiceclone_worker.engines.kokoro.model import SpeechModel
    from voiceclone_worker.engines.kokoro.phonemes.reader import to_phonemes, to_tokens
    from voiceclone_worker.engines.kokoro.voices import voice_table

    (entry,) = (entry for entry in ENTRIES if entry.name == "kokoro")
    table = voice_table()
    model: SpeechModel | None = None
    for name, (half, sex, shares) in KOKORO.items():
        weights = np.array([shares.get(voice, 0.0) for voice in table.names], np.float32)
        speed = float(_rng("speed", name).uniform(0.9, 1.15))
        files = []
        for index, text in enumerate(_texts(name, 5, 4)):
            path = work / "kokoro" / f"{name}-{index}.wav"
            if not path.is_file():
                model = model or SpeechModel(model_folder(entry, default_home()))
                tokens = to_tokens(to_phonemes(text, "en"))
                path.parent.mkdir(parents=True, exist_ok=True)
                signal = model.speak(tokens, table.style(weights, weights, len(tokens)), speed)
                soundfile.write(path, signal, KOKORO_RATE)
            files.append(path)
        yield Speaker(name, "kokoro", half, sex, _utterances(files, 1e9))


# Name, half, sex, and the program that writes a wav; {file} and {text} are filled in.
ROBOTS = {
    "kal": ("tune", "m", "flite -voice kal16 -o {file} -t {text}"),
    "awb": ("report", "m", "flite -voice awb -o {file} -t {text}"),
    "rms": ("tune", "m", "flite -voice rms -o {file} -t {text}"),
    "slt": ("report", "f", "flite -voice slt -o {file} -t {text}"),
    "us-f2": ("tune", "f", "espeak-ng -v en-us+f2 -s 150 -w {file} {text}"),
    "gb-m3": ("report", "m", "espeak-ng -v en-gb+m3 -s 160 -w {file} {text}"),
    "scot-f5": ("tune", "f", "espeak-ng -v en-gb-scotland+f5 -s 165 -p 70 -w {file} {text}"),
    "rp-m7": ("report", "m", "espeak-ng -v en-gb-x-rp+m7 -s 140 -p 25 -w {file} {text}"),
    "us-m1": ("tune", "m", "espeak-ng -v en-us+m1 -s 170 -w {file} {text}"),
    "gb-belinda": ("report", "f", "espeak-ng -v en-gb+belinda -s 155 -w {file} {text}"),
}


def robot_speakers(work: Path) -> Iterator[Speaker]:
    """Yield the voices of flite and espeak-ng."""
    for name, (half, sex, command) in ROBOTS.items():
        files = []
        for index, text in enumerate(_texts(name, 10, 8)):
            path = work / "robot" / f"{name}-{index}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.is_file():
                words = [word.format(file=path, text=text) for word in command.split()]
                subprocess.run(words, check=True)
            files.append(path)
        yield Speaker(name, "robot", half, sex, _utterances(files, _SECONDS))


SPEAKERS: dict[str, Callable[[Path], Iterator[Speaker]]] = {
    "recorded": recorded_speakers,
    "robot": robot_speakers,
    "kokoro": kokoro_speakers,
}


@dataclass(frozen=True)
class Condition:
    """How a conversation is made; turns in seconds, levels in dB."""

    name: str
    telephone: bool = False
    room: float = 0.0
    """Seconds of reverberation, to -60 dB."""
    noise: float | None = None
    """Ratio of speech to noise, dB."""
    levels: float = 0.0
    """Largest difference between speakers, dB."""
    short: float = 0.15
    """Share of turns under 1.5 s."""
    overlap: float = 0.1
    """Share of turns that begin before the last one ends."""
    unequal: bool = False
    """The first speaker has most of the speech."""
    similar: bool = False
    """Speakers of one sex."""


CONDITIONS = (
    Condition("studio"),
    Condition("telephone", telephone=True, levels=4, overlap=0.25),
    Condition("room", room=0.4, levels=3, overlap=0.25),
    Condition("noise", noise=15, room=0.15),
    Condition("levels", levels=12, overlap=0.25),
    Condition("short turns", short=0.6, overlap=0.4),
    Condition("similar", similar=True),
    Condition("unequal", unequal=True, short=0.3),
)
FAMILIES = ("recorded", "recorded", "kokoro", "mixed", "robot")


@dataclass(frozen=True)
class Conversation:
    """A recording at RATE, and who speaks when."""

    name: str
    half: str
    condition: str
    samples: Samples
    turns: tuple[Turn, ...]

    @property
    def speakers(self) -> int:
        """Return the number of people in it."""
        return len({turn.speaker for turn in self.turns})


def conversations(work: Path, half: str) -> Iterator[Conversation]:
    """Yield a half of the set: three conversations for each of CONDITIONS, and the meetings."""
    voices = [voice for family in SPEAKERS for voice in SPEAKERS[family](work) if voice.half == half]
    number = 0
    for condition in CONDITIONS:
        for _ in range(3):
            family = FAMILIES[number % len(FAMILIES)]
            pool = [voice for voice in voices if family in ("mixed", voice.family)]
            yield _conversation(
                f"{half}-{number:02d}-{family}", half, condition, pool, 2 + (number + number // 5) % 5
            )
            number += 1
    yield from meetings(work, half)


def _conversation(
    name: str, half: str, condition: Condition, pool: Sequence[Speaker], speakers: int
) -> Conversation:
    rng = _rng("conversation", name)
    if condition.similar:
        sex = "fm"[int(rng.integers(2))]
        pool = [voice for voice in pool if voice.sex == sex]
    speakers = min(speakers, len(pool))
    chosen = [pool[index] for index in rng.permutation(len(pool))[:speakers]]
    stock = [[voice.utterances[i] for i in rng.permutation(len(voice.utterances))] for voice in chosen]
    seconds = float(rng.uniform(35, 50)) + 4 * speakers
    shares = rng.dirichlet(np.full(speakers, 6.0))
    if condition.unequal:
        shares = np.r_[0.6, 0.4 * rng.dirichlet(np.full(speakers - 1, 3.0))]
    shares = np.maximum(shares, 4.0 / seconds)

    gains = 10 ** (rng.uniform(-condition.levels / 2, condition.levels / 2, speakers) / 20)
    responses = [_room(rng, condition.room) for _ in chosen]
    mixed = np.zeros(int((seconds + 12) * RATE), np.float32)
    spoken = np.zeros(speakers)
    turns: list[Turn] = []
    end = 0.0
    clock, begun, last = float(rng.uniform(0.2, 1.0)), 0.0, -1
    while clock < seconds and any(stock):
        # Who has said least of their share speaks next, with some chance in it, and not twice in a row.
        owed = shares - spoken / max(spoken.sum(), 1) + rng.uniform(0, 0.12, speakers)
        owed[[index for index in range(speakers) if not stock[index]]] = -np.inf
        if last >= 0 and speakers > 1 and np.isfinite(np.delete(owed, last)).any():
            owed[last] = -np.inf
        speaker = int(np.argmax(owed))
        pieces = _take(stock[speaker], rng, short=bool(rng.uniform() < condition.short))
        signal = np.concatenate(pieces) * gains[speaker]
        if turns and rng.uniform() < condition.overlap:
            clock = max(begun + 0.2, clock - float(rng.uniform(0.3, 1.5)))
        else:
            clock += float(np.clip(rng.normal(0.35, 0.25), 0.05, 1.2))
        start = int(clock * RATE)
        wet = np.convolve(signal, responses[speaker])[: len(mixed) - start] if condition.room else signal
        mixed[start : start + len(wet)] += wet[: len(mixed) - start]
        spans = speech_spans(signal, floor=-25, pause=0.3)
        turns += [Turn(clock + a, clock + b, chosen[speaker].name) for a, b in spans]
        spoken[speaker] += len(signal) / RATE
        begun, clock, last = clock, max(end, clock + len(signal) / RATE), speaker
        end = clock
    mixed = mixed[: int((max(turn.end for turn in turns) + 0.5) * RATE)]
    if condition.noise is not None:
        mixed += _hum(rng, len(mixed)) * np.sqrt((mixed**2).mean()) * 10 ** (-condition.noise / 20)
    if condition.telephone:
        mixed = _telephone(mixed)
    mixed *= 0.7 / max(np.abs(mixed).max(), 1e-9)
    ordered = tuple(sorted(turns, key=lambda turn: (turn.start, turn.end)))
    return Conversation(name, half, condition.name, mixed.astype(np.float32), ordered)


def _take(stock: list[Samples], rng: np.random.Generator, *, short: bool) -> list[Samples]:
    """Take the utterances of one turn out of ``stock``."""
    if short:
        brief = [index for index, piece in enumerate(stock) if len(piece) <= 1.5 * RATE]
        if brief:
            return [stock.pop(brief[0])]
    taken = [stock.pop(0)]
    wanted = float(rng.uniform(1, 5.5)) * RATE
    while stock and sum(map(len, taken)) < wanted:
        taken += [np.zeros(int(rng.uniform(0.1, 0.3) * RATE), np.float32), stock.pop(0)]
    return taken


def _room(rng: np.random.Generator, seconds: float) -> Samples:
    """Return the response of a room: the direct sound, and noise that decays to -60 dB in ``seconds``."""
    if not seconds:
        return np.ones(1, np.float32)
    length = int(seconds * RATE)
    time = np.arange(length) / RATE
    tail = rng.normal(0, 1, length) * 10 ** (-3 * time / seconds)
    tail[: int(0.003 * RATE)] = 0
    tail *= float(rng.uniform(0.5, 1.0)) / np.sqrt((tail**2).sum())
    tail[0] = 1.0
    return tail.astype(np.float32)


def _hum(rng: np.random.Generator, length: int) -> Samples:
    """Return noise of RMS 1 whose power falls by 3 dB an octave."""
    spectrum = np.fft.rfft(rng.normal(0, 1, length))
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 20))
    noise = np.fft.irfft(spectrum, length)
    return (noise / np.sqrt((noise**2).mean())).astype(np.float32)


def _telephone(signal: Samples) -> Samples:
    """Return what a telephone leaves: 300 to 3400 Hz, and eight bits of mu-law."""
    spectrum = np.fft.rfft(signal)
    hertz = np.fft.rfftfreq(len(signal), 1 / RATE)
    spectrum *= 1 / (1 + (300 / np.maximum(hertz, 1)) ** 8) / (1 + (hertz / 3400) ** 16)
    band = np.fft.irfft(spectrum, len(signal))
    band *= 0.5 / max(np.abs(band).max(), 1e-9)
    coded = np.round(np.sign(band) * np.log1p(255 * np.abs(band)) / np.log(256) * 127) / 127
    return (np.sign(coded) * (256 ** np.abs(coded) - 1) / 255).astype(np.float32)


# Meetings of one group of people are in the same half; excerpts with under five seconds of speech are not used.
_MEETINGS = {
    "tune": ("dev00", "dev01", "trn03", "trn05", "trn07", "trn08"),
    "report": ("trn04", "trn06", "trn09", "tst00", "tst01", "trn01"),
}


def meetings(work: Path, half: str) -> Iterator[Conversation]:
    """Yield the meetings of a half."""
    archives = sorted(work.glob("pyannote_audio-*.tar.gz"))
    if not archives:
        pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", "pyannote.audio"]
        subprocess.run([*pip, "-d", str(work), MEETINGS_PACKAGE], check=True)
        archives = sorted(work.glob("pyannote_audio-*.tar.gz"))
    root = work / "meetings"
    if not root.is_dir():
        with tarfile.open(archives[0]) as archive:
            for member in archive:
                if "/tests/data/" in member.name and member.name.endswith((".wav", ".rttm")):
                    member.name = Path(member.name).name
                    archive.extract(member, root, filter="data")
    lines = [
        line
        for path in sorted(root.glob("debug.*.rttm"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    for name in _MEETINGS[half]:
        turns = read_rttm("".join(f"{line}\n" for line in lines if line.split()[1] == name))
        yield Conversation(name, half, "meeting", decode(root / f"{name}.wav"), tuple(turns))


def write(conversation: Conversation, folder: Path) -> Path:
    """Write NAME.wav and NAME.rttm; return the path of the wav."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{conversation.name}.wav"
    soundfile.write(path, conversation.samples, RATE)
    path.with_suffix(".rttm").write_text(write_rttm(conversation.turns, conversation.name), encoding="utf-8")
    return path

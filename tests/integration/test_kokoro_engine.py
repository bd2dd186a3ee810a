"""The kokoro engine on real speech: two people of a telephone call, compared by an independent speaker encoder."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.english_words import SENTENCES, letters, said
from benchmarks.languages import Speaker
from judge import Judge
from voiceclone_cli.evaluation.metrics import Recogniser
from voiceclone_cli.evaluation.text import edit_distance
from voiceclone_worker.engines import kokoro
from voiceclone_worker.engines.base import Engine, SegmentError, Speech, SpeechRow
from voiceclone_worker.engines.kokoro.engine import speak_line
from voiceclone_worker.engines.kokoro.fitting import EFFORTS, NETWORK_FILE, WEIGHTS_FILE, SpeakerEncoder
from voiceclone_worker.engines.kokoro.line_plan import FRAME_SECONDS
from voiceclone_worker.engines.kokoro.model import SpeechModel
from voiceclone_worker.engines.kokoro.phonemes import reader, registry
from voiceclone_worker.engines.kokoro.voices import NATIVE_SHARE, FittedVoice, read_voice, voice_table
from voiceclone_worker.protocol import EngineSpec, ReferenceSpec, SegmentSpec

pytestmark = pytest.mark.engine

RATE = 16_000
SECONDS = 10
LINES = (
    "Hello, I wanted to ask you about the meeting on Thursday.",
    "No, I never saw that film, but my sister did.",
    "We could drive there in the morning and be back by noon.",
    "Well, that is rather surprising, if you ask me.",
    "They moved to a smaller house when the children had left.",
    "I would have called you earlier, but the line was busy.",
)


@dataclass(frozen=True)
class Fitted:
    """The sample's two speakers: their speech, and the voices that were fitted to it."""

    spec: EngineSpec
    engine: Engine
    speech: Mapping[str, NDArray[np.float32]]
    references: tuple[ReferenceSpec, ...]
    events: list[tuple[str, dict[str, Any]]]


@pytest.fixture(scope="module")
def fitted(
    model_folders: Mapping[str, Path], sample_wav: Path, tmp_path_factory: pytest.TempPathFactory
) -> Fitted:
    import soundfile

    folder = tmp_path_factory.mktemp("kokoro")
    samples, rate = soundfile.read(sample_wav, dtype="float32")
    assert rate == RATE
    parts = single_speaker_parts(samples, sample_wav.with_suffix(".rttm").read_text())
    speech = {speaker: np.concatenate(own) for speaker, own in parts.items()}
    references = []
    for speaker, own in sorted(parts.items()):
        soundfile.write(folder / f"{speaker}.wav", longest(own), RATE)
        codes = folder / speaker / "voice.npz"
        audio = str(folder / f"{speaker}.wav")
        references.append(ReferenceSpec(speaker, audio, "", str(codes), speaks=("en", "es")))
    folders = {"encoder": str(model_folders["campplus"]), "quality": str(model_folders["dnsmos"])}
    options = {**folders, "threads": 2}
    spec = EngineSpec("kokoro", str(model_folders["kokoro"]), options=options)
    events: list[tuple[str, dict[str, Any]]] = []
    engine = kokoro.load(spec, lambda event, **fields: events.append((event, fields)))
    assert [(reference, None) for reference in references] == list(engine.encode(references))
    return Fitted(spec=spec, engine=engine, speech=speech, references=tuple(references), events=events)


def single_speaker_parts(samples: NDArray[np.float32], rttm: str) -> dict[str, list[NDArray[np.float32]]]:
    """Return the parts in which each speaker speaks alone."""
    turns = [(row.split()[7], float(row.split()[3]), float(row.split()[4])) for row in rttm.splitlines()]
    speakers = sorted({speaker for speaker, _, _ in turns})
    active = np.zeros((len(speakers), len(samples)), bool)
    for speaker, start, seconds in turns:
        active[speakers.index(speaker), round(start * RATE) : round((start + seconds) * RATE)] = True
    alone = active & (active.sum(0) == 1)
    edges = [np.flatnonzero(np.diff(np.r_[0, own.astype(int), 0])).reshape(-1, 2) for own in alone]
    return {
        speaker: [samples[start:end] for start, end in own]
        for speaker, own in zip(speakers, edges, strict=True)
    }


def longest(parts: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the longest parts, in their order, up to SECONDS."""
    order = sorted(range(len(parts)), key=lambda index: -len(parts[index]))
    taken: list[int] = []
    while order and sum(len(parts[index]) for index in taken) < SECONDS * RATE:
        taken.append(order.pop(0))
    return np.concatenate([parts[index] for index in sorted(taken)])


def rows(fitted: Fitted) -> list[SpeechRow]:
    return [
        SpeechRow(0, SegmentSpec(f"{reference.speaker}-{index}", text, "en", seed=index), reference)
        for index, text in enumerate(LINES)
        for reference in fitted.references
    ]


def synthesize(engine: Engine, wanted: list[SpeechRow]) -> dict[str, Speech | SegmentError]:
    outcomes = list(engine.generate(wanted))
    assert sorted(row.segment.id for row, _ in outcomes) == sorted(row.segment.id for row in wanted)
    return {row.segment.id: outcome for row, outcome in outcomes}


def signal_of(outcome: Speech | SegmentError) -> NDArray[np.float32]:
    assert isinstance(outcome, Speech), outcome
    assert outcome.rate == 24_000
    return np.frombuffer(outcome.pcm, "<i2").astype(np.float32) / 32768


@pytest.mark.numerical
def test_the_independent_encoder_distinguishes_the_speakers(fitted: Fitted, judge: Judge) -> None:
    halves = [half for own in fitted.speech.values() for half in np.array_split(own, 2)]
    a1, a2, b1, b2 = (judge.embed(half, RATE) for half in halves)
    same, different = min(a1 @ a2, b1 @ b2), max(a @ b for a in (a1, a2) for b in (b1, b2))
    assert same > 0.85
    assert same > different


@pytest.mark.numerical
def test_lines_are_nearer_to_their_own_speaker_and_at_their_level(fitted: Fitted, judge: Judge) -> None:
    own = {speaker: judge.embed(speech, RATE) for speaker, speech in fitted.speech.items()}
    outcomes = synthesize(fitted.engine, rows(fitted))
    nearest = 0
    for row in rows(fitted):
        signal = signal_of(outcomes[row.segment.id])
        assert 1.2 < len(signal) / 24_000 < 6
        assert 0.01 < np.sqrt(np.mean(signal**2)) < 0.3
        assert np.abs(signal).max() < 0.99
        voice = judge.embed(signal, 24_000)
        nearest += max(own, key=lambda speaker: float(own[speaker] @ voice)) == row.reference.speaker
    assert nearest >= len(outcomes) * 5 / 6


FRENCH_LINES = (
    "Bonjour, je voulais vous parler de la réunion de jeudi.",
    "Non, je n'ai jamais vu ce film, mais ma sœur l'a vu deux fois.",
    "Nous pourrions partir le matin et rentrer avant midi.",
)


@pytest.mark.numerical
def test_speakers_stay_apart_in_a_language_of_which_kokoro_has_one_voice(
    fitted: Fitted, judge: Judge, tmp_path: Path
) -> None:
    """With 0.7 of that voice in both timbres, one of them was nearer to the other."""
    references = [
        replace(each, language="en", speaks=("fr",), codes=str(tmp_path / f"{each.speaker}.npz"))
        for each in fitted.references
    ]
    engine = kokoro.load(fitted.spec, lambda event, **fields: None)
    assert [error for _, error in engine.encode(references)] == [None, None]
    own = {speaker: judge.embed(speech, RATE) for speaker, speech in fitted.speech.items()}
    lines = [
        SpeechRow(0, SegmentSpec(f"{reference.speaker}-{index}", text, "fr", seed=index), reference)
        for index, text in enumerate(FRENCH_LINES)
        for reference in references
    ]
    outcomes = synthesize(engine, lines)
    margins: dict[str, list[float]] = {speaker: [] for speaker in own}
    for line in lines:
        voice = judge.embed(signal_of(outcomes[line.segment.id]), 24_000)
        speaker = line.reference.speaker
        others = [float(voice @ speech) for name, speech in own.items() if name != speaker]
        margins[speaker].append(float(voice @ own[speaker]) - max(others))
    for leads in margins.values():
        assert np.mean(leads) > 0
        assert np.mean(sorted(leads)[:-1]) > 0, "it hangs on one line"


@pytest.mark.numerical
def test_the_same_bytes_in_any_order_and_at_any_number_of_threads(fitted: Fitted) -> None:
    some = rows(fitted)[:4]
    together = synthesize(fitted.engine, some)
    alone = kokoro.load(replace(fitted.spec, options={"threads": 1}), lambda event, **fields: None)
    assert synthesize(alone, some[::-1]) == together
    assert synthesize(alone, some[1:2])[some[1].segment.id] == together[some[1].segment.id]


@pytest.mark.numerical
def test_fitting_again_gives_the_same_voices_and_reports_its_progress(fitted: Fitted, tmp_path: Path) -> None:
    again = [
        replace(reference, codes=str(tmp_path / f"{reference.speaker}.npz"))
        for reference in fitted.references
    ]
    engine = kokoro.load(fitted.spec, lambda event, **fields: None)
    assert all(error is None for _, error in engine.encode(again))
    for first, second in zip(fitted.references, again, strict=True):
        assert Path(first.codes).read_bytes() == Path(second.codes).read_bytes()
    progress = [fields for event, fields in fitted.events if event == "encoding"]
    for reference in fitted.references:
        own = [fields for fields in progress if fields["speaker"] == reference.speaker]
        probes = 2 * EFFORTS["normal"].probes  # of two languages
        assert [fields["completed"] for fields in own] == list(range(1, probes + 1))
        assert {fields["total"] for fields in own} == {probes}


@pytest.mark.numerical
def test_spanish_is_synthesized_and_a_line_is_fitted_to_its_slot(fitted: Fitted) -> None:
    line = SegmentSpec("es", "Hola, ¿cómo estás? Tengo 23 años y vivo en Bogotá.", "es", seed=1)
    short = replace(line, id="short", max_seconds=2.6)
    outcomes = synthesize(
        fitted.engine, [SpeechRow(0, line, fitted.references[0]), SpeechRow(0, short, fitted.references[0])]
    )
    assert len(signal_of(outcomes["es"])) / 24_000 > 2.6
    assert len(signal_of(outcomes["short"])) / 24_000 <= 2.6


@pytest.mark.numerical
def test_a_long_text_is_complete(fitted: Fitted) -> None:
    table = voice_table()
    mixture = read_voice(Path(fitted.references[0].codes), table.names).mixture("en")
    front = SpeechModel(Path(fitted.spec.checkpoint))
    planned = 0.0
    for line in LINES:
        tokens = reader.to_tokens(reader.to_phonemes(line, "en"))
        style = table.style(mixture.acoustic, mixture.prosody, len(tokens))
        planned += front.plan(tokens, style, mixture.speed).seconds()
    row = SpeechRow(0, SegmentSpec("twice", " ".join(LINES * 2), "en", seed=1), fitted.references[0])
    seconds = len(signal_of(synthesize(fitted.engine, [row])["twice"])) / 24_000
    # A longer text is read more briskly, in .9 of the time; cut at the network's 500 tokens it would take .7.
    assert seconds > 0.78 * 2 * planned


def test_a_row_that_cannot_be_made_fails_alone(fitted: Fitted, tmp_path: Path) -> None:
    good = fitted.references[0]
    outcomes = synthesize(
        fitted.engine,
        [
            SpeechRow(0, SegmentSpec("mute", "...", "en", seed=1), good),
            SpeechRow(0, SegmentSpec("foreign", "안녕하세요", "ko", seed=1), good),
            SpeechRow(0, SegmentSpec("unplanned", "Bonjour à tous.", "fr", seed=1), good),
            SpeechRow(
                0, SegmentSpec("voiceless", "Hello.", "en", seed=1), replace(good, codes=str(tmp_path / "no"))
            ),
            SpeechRow(0, SegmentSpec("good", "Hello there.", "en", seed=1), good),
        ],
    )
    codes = {name: outcome.code for name, outcome in outcomes.items() if isinstance(outcome, SegmentError)}
    assert codes == {
        "mute": "nothing_to_speak",
        "foreign": "language",
        "unplanned": "voice_language",
        "voiceless": "voice_missing",
    }
    assert len(signal_of(outcomes["good"])) > 0.3 * 24_000


def test_loading_the_encoder_adds_no_file_to_its_folder(
    model_folders: Mapping[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file more would be another model, and who speaks when would be analyzed again."""
    folder = tmp_path / "campplus"
    folder.mkdir()
    for name in (NETWORK_FILE, WEIGHTS_FILE):
        shutil.copy(model_folders["campplus"] / name, folder)
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    SpeakerEncoder(folder)
    assert {path.name for path in folder.iterdir()} == {NETWORK_FILE, WEIGHTS_FILE}


def test_a_reference_that_cannot_be_used_fails_alone(fitted: Fitted, tmp_path: Path) -> None:
    import soundfile

    broken = {
        "silent": np.zeros(RATE),
        "short": fitted.speech["speaker90"][: RATE // 10],
        "nan": np.full(RATE, np.nan),
    }
    for name, samples in broken.items():
        soundfile.write(tmp_path / f"{name}.wav", samples, RATE, subtype="FLOAT")
    (tmp_path / "text.wav").write_text("no audio")
    references = [
        ReferenceSpec(name, str(tmp_path / f"{name}.wav"), "", str(tmp_path / f"{name}.npz"))
        for name in (*broken, "text", "missing")
    ]
    soundfile.write(tmp_path / "brief.wav", fitted.speech["speaker90"][: 2 * RATE], RATE)
    brief = ReferenceSpec("brief", str(tmp_path / "brief.wav"), "", str(tmp_path / "good.npz"))
    notes: list[str] = []
    engine = kokoro.load(
        replace(fitted.spec, options={**fitted.spec.options, "effort": "fast"}),
        lambda event, **fields: notes.append(fields["message"]) if event == "note" else None,
    )
    outcomes = {spec.speaker: error for spec, error in engine.encode([*references, brief])}
    assert {name: error.code for name, error in outcomes.items() if error} == {
        "silent": "reference_silent",
        "short": "reference_too_short",
        "nan": "reference_unusable",
        "text": "reference_unreadable",
        "missing": "reference_unreadable",
    }
    voice = read_voice(tmp_path / "good.npz", voice_table().names)
    assert not len(voice.mixture("en").conversion.frames), "two seconds are too few for the lookup"
    assert "The voice of brief is matched by" in notes[0] and "--reference" in notes[0]


@pytest.mark.parametrize("language", list(registry.LANGUAGES))
@pytest.mark.numerical
def test_the_rates_of_a_language_are_those_of_its_voices(
    model_folders: Mapping[str, Path], language: str
) -> None:
    """They were measured once; a probe with another text, or read in another way, needs others."""
    table, model, row = voice_table(), SpeechModel(model_folders["kokoro"]), registry.LANGUAGES[language]
    names = [name for name in table.names if name[0] in row.voices and name != "af_nicole"]  # who whispers
    for text, rate in ((row.probe.short, row.rates.short), (row.probe.long, row.rates.long)):
        tokens = reader.to_tokens(reader.to_phonemes(text, language))
        rates = []
        for voice in names[:: 3 if language == "en" else 1]:
            alone = np.array([name == voice for name in table.names], np.float32)
            plan = model.plan(tokens, table.style(alone, alone, len(tokens)), 1.0)
            sounding = np.flatnonzero(plan.energy > 0)  # half frames
            gaps = np.diff(sounding) - 1
            pauses = gaps[gaps >= 0.15 / FRAME_SECONDS * 2].sum()
            seconds = (sounding[-1] - sounding[0] + 1 - pauses) * FRAME_SECONDS / 2
            rates.append(len(tokens) / seconds)
        assert np.mean(rates) == pytest.approx(rate, rel=0.05), text


CHINESE_REFERENCE = "上个月的销售额是320万元，比去年同期增长了15%。我们下周五之前拿出一个方案。"
CHINESE_LINES = ("会议改到明天下午，请大家准时参加。", "我觉得可以先试用一个月，然后再做决定。")


@pytest.mark.numerical
def test_a_chinese_speaker_keeps_the_pace_and_is_spoken_by_native_voices(
    model_folders: Mapping[str, Path], tmp_path: Path
) -> None:
    """With English rules only the digits of such a reference were counted, and the speed became 0.80."""
    import soundfile
    import soxr
    from pypinyin import lazy_pinyin

    folders = {"encoder": str(model_folders["campplus"]), "quality": str(model_folders["dnsmos"])}
    options = {**folders, "threads": 2}
    spec = EngineSpec("kokoro", str(model_folders["kokoro"]), options=options)
    engine = kokoro.load(spec, lambda event, **fields: None)
    table = voice_table()
    alone = np.array([name == "zm_yunyang" for name in table.names], np.float32)
    tokens = reader.to_tokens(reader.to_phonemes(CHINESE_REFERENCE, "zh"))
    model = SpeechModel(model_folders["kokoro"])
    soundfile.write(
        tmp_path / "zhang.wav", model.speak(tokens, table.style(alone, alone, len(tokens)), 1.0), 24_000
    )
    reference = ReferenceSpec(
        "张伟",
        str(tmp_path / "zhang.wav"),
        CHINESE_REFERENCE,
        str(tmp_path / "voice.npz"),
        "zh",
        ("en", "zh"),
    )
    assert [error for _, error in engine.encode([reference])] == [None]
    voice = read_voice(tmp_path / "voice.npz", table.names)
    assert list(voice.mixtures) == ["en", "zh"]
    for mixture in voice.mixtures.values():
        assert 0.9 <= mixture.speed <= 1.15
    chinese, native = voice.mixture("zh-CN"), table.native("zh")
    assert not chinese.prosody[~native].any()
    assert chinese.acoustic[native].sum() > NATIVE_SHARE - 0.01
    assert native[chinese.acoustic.argmax()]

    lines = [
        SpeechRow(0, SegmentSpec(str(n), text, "zh", n), reference) for n, text in enumerate(CHINESE_LINES)
    ]
    outcomes = synthesize(engine, lines)
    recogniser = Recogniser(model_folders["whisper-base"], 2)
    wrong = total = 0
    for row in lines:
        signal = soxr.resample(signal_of(outcomes[row.segment.id]), 24_000, RATE)
        # By their sounds, since the recogniser may write other characters for them.
        wanted, found = (
            lazy_pinyin("".join(filter(str.isalpha, text)))
            for text in (row.segment.text, recogniser.words(signal, "zh") or "")
        )
        wrong, total = wrong + edit_distance(wanted, found), total + len(wanted)
    assert wrong <= 0.1 * total


def test_english_words_in_chinese_lines_are_understood(model_folders: Mapping[str, Path]) -> None:
    """A Chinese voice says "I'll talk", "guitar music" and "It has a look"."""
    import soxr

    speaker = Speaker(model_folders["kokoro"])
    recogniser = Recogniser(model_folders["whisper-base"], 2)
    understood = []
    for word, voice in (("Outlook", "zf_xiaoxiao"), ("GitHub", "zm_yunyang"), ("Tesla", "zf_xiaobei")):
        (line,) = reader.read(SENTENCES[word].format(word), "zh").parts(500)
        _, alone = said(speaker.line_speaker(voice), line)
        recognised = recogniser.words(soxr.resample(alone, 24_000, RATE).astype(np.float32), "en")
        understood.append(letters(word) in letters(recognised or ""))
    assert sum(understood) >= 2


def test_a_voice_with_an_english_mixture_says_the_english_words_alone_with_it(
    model_folders: Mapping[str, Path],
) -> None:
    published = Speaker(model_folders["kokoro"])
    both = published.line_speaker("zm_yunyang", "am_michael")
    chinese = replace(both.voice, mixtures={"zh": both.mixture})
    voice = replace(both.voice, mixtures={**chinese.mixtures, "en": both.voice.mixtures["en"]})

    def spoken(voice: FittedVoice, text: str, slot: float | None = None) -> NDArray[np.int16]:
        segment = SegmentSpec("1", text, "zh", 1, slot)
        return np.frombuffer(speak_line(segment, voice, both.model, both.table).pcm, "<i2")

    assert np.array_equal(spoken(voice, "我们晚上开会。"), spoken(chinese, "我们晚上开会。"))
    mixed = "我们晚上用Zoom开会。"
    whole = spoken(voice, mixed)
    assert len(whole) != len(spoken(chinese, mixed))
    slot = 0.85 * len(whole) / 24_000
    assert len(spoken(voice, mixed, slot)) <= slot * 24_000

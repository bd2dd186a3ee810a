"""The parts of a line in their slot, and what the kokoro engine refuses to start with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from voiceclone_worker.engines import kokoro
from voiceclone_worker.engines.base import EngineError, Speech, SpeechRow
from voiceclone_worker.engines.kokoro import engine
from voiceclone_worker.engines.kokoro.engine import join_parts
from voiceclone_worker.engines.kokoro.line_plan import Floats, LinePlan
from voiceclone_worker.engines.kokoro.model import DECODER_FILE, FRONT_FILE, RATE
from voiceclone_worker.protocol import EngineSpec, ReferenceSpec, SegmentSpec


def planned(seconds: float) -> LinePlan:
    """A plan that sounds for ``seconds``, after a pause of 0.1 s."""
    energy = np.concatenate([np.full(8, -9.0), np.full(round(seconds * 80), 4.0), np.full(16, -9.0)])
    return LinePlan(np.zeros(0), np.zeros(0), energy, np.zeros(0), 1.0)


def sound(seconds: float, breath: float = 0.0) -> Floats:
    """A tone in silence, and a breath of some length that is 38 dB softer."""
    tone = np.sin(np.arange(round(seconds * RATE)) * 0.05)
    soft = 10 ** (-38 / 20) * np.sin(np.arange(round(breath * RATE)) * 0.05)
    pause = np.zeros(RATE // 10)
    return np.concatenate([pause, tone, soft, pause, pause]).astype(np.float32)


def test_a_line_keeps_a_little_of_the_silence_around_it() -> None:
    assert len(join_parts([sound(1.0)], [planned(1.0)], None)) == round(1.04 * RATE)
    assert len(join_parts([sound(1.0)], [planned(1.0)], 1.04)) == round(1.04 * RATE)
    assert len(join_parts([sound(1.0)], [planned(1.0)], 1.01)) == RATE


def test_parts_have_a_pause_between_them() -> None:
    signal = join_parts([sound(1.0), sound(0.5)], [planned(1.0), planned(0.5)], None)
    assert len(signal) == round((1.04 + 0.2 + 0.54) * RATE)


def test_a_breath_that_was_not_planned_fades_where_the_slot_ends() -> None:
    breathing = [sound(1.0, breath=0.2)]
    assert len(join_parts(breathing, [planned(1.0)], None)) == round(1.24 * RATE)
    signal = join_parts(breathing, [planned(1.0)], 1.1)
    assert len(signal) == round(1.1 * RATE)
    assert signal[-1] == 0.0
    assert np.array_equal(signal[:RATE], join_parts(breathing, [planned(1.0)], None)[480 : RATE + 480])


def test_a_line_that_is_too_long_for_its_slot_at_any_speed_is_kept_whole() -> None:
    assert len(join_parts([sound(1.5)], [planned(1.5)], 1.0)) == round(1.5 * RATE)


def test_lines_with_the_most_to_speak_come_first_in_whatever_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve characters of Chinese are more to speak than twenty letters."""
    monkeypatch.setattr(engine, "SpeechModel", lambda checkpoint: None)
    monkeypatch.setattr(engine.voices, "read_voice", lambda codes, names: None)
    monkeypatch.setattr(engine, "speak_line", lambda *line: Speech(b"", RATE, 0))
    started: list[str] = []

    def emit(event: str, **fields: object) -> None:
        started.append(str(fields["id"]))

    texts = {
        "chinese": "我们明天早上再谈这件事吧",
        "short": "Yes, I know.",
        "english": "We talk of it later.",
    }
    rows = [
        SpeechRow(0, SegmentSpec(name, text, "en", 0), ReferenceSpec("ANNA", "", "", ""))
        for name, text in sorted(texts.items(), reverse=True)
    ]
    speaking = engine.KokoroEngine(EngineSpec("kokoro", options={"threads": 1}), emit)
    assert len(list(speaking.generate(rows))) == 3
    assert started == ["chinese", "english", "short"]


def test_a_checkpoint_that_is_not_there_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="voiceclone models pull kokoro") as refused:
        kokoro.load(EngineSpec("kokoro", str(tmp_path)), lambda *event, **fields: None)
    assert refused.value.code == "checkpoint_missing"


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    for name in (FRONT_FILE, DECODER_FILE):
        (tmp_path / name).write_bytes(b"nothing of the kind")
    with pytest.raises(EngineError) as refused:
        kokoro.load(EngineSpec("kokoro", str(tmp_path)), lambda *event, **fields: None)
    assert refused.value.code == "checkpoint_unusable"


@pytest.mark.parametrize("threads", [-1, "two", 1.5, True])
def test_threads_must_be_a_number(tmp_path: Path, threads: object) -> None:
    with pytest.raises(EngineError) as refused:
        kokoro.load(EngineSpec("kokoro", str(tmp_path), options={"threads": threads}), lambda *e, **f: None)
    assert refused.value.code == "bad_option"

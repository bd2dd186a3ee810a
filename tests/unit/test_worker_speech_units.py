"""How much there is to speak in a text, and the length of the tones that stand for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from voiceclone_worker.engines.base import Speech, SpeechRow
from voiceclone_worker.engines.echo import load
from voiceclone_worker.protocol import EngineSpec, ReferenceSpec, SegmentSpec
from voiceclone_worker.speech_units import speech_units


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("", 0),
        ("Hello, world 42!", 12),
        ("你好，世界。", 12),
        ("こんにちは、世界!", 21),
        ("안녕하세요", 15),
        ("用 Google 查", 12),
        ("हिन्दी", 6),
        ("Ｇｏ １２", 4),
        ("… — 🎉 《》", 0),
    ],
)
def test_units_of_a_text(text: str, units: int) -> None:
    assert speech_units(text) == units


def echo_seconds(tmp_path: Path, text: str) -> float:
    engine = load(EngineSpec("echo"), lambda event, **fields: None)
    reference = ReferenceSpec("A", "", "", str(tmp_path / "codes"))
    row = SpeechRow(0, SegmentSpec("1", text, "", 7), reference)
    ((_, speech),) = engine.generate([row])
    assert isinstance(speech, Speech)
    return speech.frames / speech.rate


def test_echo_takes_a_sixteenth_of_a_second_for_each_sign_of_a_latin_text(tmp_path: Path) -> None:
    assert echo_seconds(tmp_path, "Hello, world!") == pytest.approx(13 * 0.06, abs=0.001)


@pytest.mark.parametrize(
    ("text", "spoken"),
    [("大家早上好，今天的会议现在开始。", 2.98), ("早上好。我先汇报一下上个月的销售情况。", 3.57)],
)
def test_echo_takes_about_as_long_for_a_chinese_line_as_people_do(
    tmp_path: Path, text: str, spoken: float
) -> None:
    assert echo_seconds(tmp_path, text) == pytest.approx(spoken, rel=0.15)

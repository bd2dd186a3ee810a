"""A Chinese conversation of two, spoken by two of kokoro's own voices."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from benchmarks.languages import Speaker
from voiceclone_cli.analysis.turns import write_rttm
from voiceclone_cli.types import Turn
from voiceclone_worker.engines.kokoro.model import RATE
from voiceclone_worker.engines.kokoro.phonemes.reader import read

VOICES = {"李娜": "zf_xiaoxiao", "张伟": "zm_yunjian"}
LINES = (
    ("李娜", "今天下午三点我们开会，请大家准备好材料。"),
    ("张伟", "好的，我会带上这个月的销售报告。"),
    ("李娜", "上次客户问的问题解决了吗？"),
    ("张伟", "已经解决了，技术部门昨天发来了答复。"),
    ("李娜", "那太好了，会后请把答复转给我。"),
    ("张伟", "没问题，我今天晚上之前发给您。"),
)


@dataclass(frozen=True)
class ChineseTalk:
    """The files of the talk, and what is said when."""

    wav: Path
    rttm: Path
    turns: tuple[Turn, ...]

    def srt(self, style: str = "{}：{}") -> str:
        """Return the talk as subtitles, with labels in a style."""
        cues = (
            f"{number}\n{_clock(turn.start)} --> {_clock(turn.end)}\n{style.format(speaker, text)}\n"
            for number, (turn, (speaker, text)) in enumerate(zip(self.turns, LINES, strict=True), 1)
        )
        return "\n".join(cues)


def chinese_talk(folder: Path, kokoro: Path) -> ChineseTalk:
    """Speak the talk with the model in ``kokoro``, with .5 s between the lines, and write its files."""
    speaker = Speaker(kokoro)
    pause = np.zeros(RATE // 2, np.float32)
    parts: list[NDArray[np.float32]] = [pause]
    turns = []
    for name, text in LINES:
        sound = speaker.speak(read(text, "zh"), VOICES[name])
        start = sum(map(len, parts)) / RATE
        turns.append(Turn(round(start, 3), round(start + len(sound) / RATE, 3), name))
        parts += [0.06 * sound / np.sqrt(np.mean(sound**2)), pause]
    noise = np.random.default_rng(7).normal(0, 3e-4, sum(map(len, parts)))
    talk = ChineseTalk(folder / "会议.wav", folder / "会议.rttm", tuple(turns))
    soundfile.write(talk.wav, np.concatenate(parts) + noise.astype(np.float32), RATE, subtype="PCM_16")
    talk.rttm.write_text(write_rttm(talk.turns, "会议"), encoding="utf-8")
    return talk


def _clock(seconds: float) -> str:
    milliseconds = round(seconds * 1000)
    return f"00:00:{milliseconds // 1000:02d},{milliseconds % 1000:03d}"

"""A Chinese talk from end to end with the embedded default: words, speakers, voices, scripts and subtitles."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from chinese_talk import LINES, ChineseTalk, chinese_talk
from command import Run, voiceclone
from voiceclone_cli.evaluation.text import edit_distance
from voiceclone_worker.engines.kokoro.phonemes.chinese import simplified

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory, model_folders: Mapping[str, Path]) -> ChineseTalk:
    return chinese_talk(tmp_path_factory.mktemp("chinese"), model_folders["kokoro"])


@pytest.fixture(scope="module")
def run(talk: ChineseTalk) -> Run:
    folder = talk.wav.parent / "会议.voiceclone"
    return Run(voiceclone("run", talk.wav, "--engine", "kokoro", "--out", folder, "--json"), folder)


def letters(text: str) -> list[str]:
    return [character for character in simplified(text) if character.isalnum()]


def test_every_line_is_spoken_in_the_voice_of_who_said_it(run: Run, talk: ChineseTalk) -> None:
    assert run.ended.code == 0, run.ended.err
    assert [row["status"] for row in run.segments] == ["done"] * len(LINES)
    assert {row["language"] for row in run.segments} == {"zh"}
    names: dict[str, set[str]] = {}
    for row in run.segments:
        middle = (row["start"] + row["end"]) / 2
        (name,) = (turn.speaker for turn in talk.turns if turn.start <= middle <= turn.end)
        names.setdefault(name, set()).add(row["speaker"])
    assert len(set.union(*names.values())) == 2
    assert all(len(found) == 1 for found in names.values()), names


def test_the_script_has_the_words_and_full_width_punctuation(run: Run) -> None:
    found = [row["text"] for row in run.segments]
    truth = letters("".join(text for _, text in LINES))
    assert edit_distance(truth, letters("".join(found))) <= 0.1 * len(truth)
    for text in found:
        assert not re.search(r"[,?!;:. ]", text), text
        assert text[-1] in "。？！，", text


def test_its_voices_are_their_speakers_and_its_words_are_understood(run: Run) -> None:
    ended = voiceclone("check", run.folder, "--min-similarity", 0.6, "--min-margin", 0.1, "--max-wer", 0.2)
    assert ended.code == 0, ended.err
    rows = json.loads((run.folder / "check.json").read_text(encoding="utf-8"))["segments"]
    truth = [letter for row in rows for letter in letters(row["text"])]
    errors = sum(edit_distance(letters(row["text"]), letters(row["heard"])) for row in rows)
    assert errors <= 0.05 * len(truth), [(row["text"], row["heard"]) for row in rows]


def test_a_script_of_its_own_words_is_spoken_nearer_to_its_speakers(
    talk: ChineseTalk, tmp_path: Path
) -> None:
    script = tmp_path / "会议.srt"
    script.write_text(talk.srt("{}：{}"), encoding="utf-8")
    given = ("--script", script, "--turns", talk.rttm, "--engine", "kokoro", "--until", "casting")
    ended = voiceclone("run", talk.wav, *given, "--out", tmp_path / "run")
    assert ended.code == 0, ended.err
    kept = json.loads((tmp_path / "run" / "stages" / "casting.json").read_text(encoding="utf-8"))
    assert {row["language"] for row in kept["value"]["references"]} == {"zh"}
    assert "spoken in the recording: Chinese, as whisper-base recognised it" in ended.err


@pytest.mark.parametrize("style", ["{}：{}", "{}:{}", "【{}】{}", "{}：\n{}"])
def test_scripts_of_every_style_have_its_speakers(talk: ChineseTalk, tmp_path: Path, style: str) -> None:
    script = tmp_path / "会议.字幕.srt"
    script.write_text(talk.srt(style), encoding="utf-8")
    given = ("--script", script, "--turns", talk.rttm, "--engine", "echo", "--until", "script")
    ended = voiceclone("run", talk.wav, *given, "--out", tmp_path / "run", "--json")
    assert ended.code == 0, ended.err
    assert [(row["speaker"], row["text"]) for row in ended.document["segments"]] == list(LINES)
    assert ended.document["language"] == "zh"

"""`voiceclone check` and `script --fit` as they are typed: what they refuse, and what they print."""

from __future__ import annotations

from pathlib import Path

import pytest

from check_samples import finished_run, row, voice
from command import voiceclone
from voiceclone_cli import messages
from voiceclone_cli.cli.inspect import _evaluation_lines, _gate_lines
from voiceclone_cli.evaluation.evaluate import summarise
from voiceclone_cli.evaluation.gates import find_gate_failures
from voiceclone_cli.evaluation.model import Evaluation, Flag, GateLimits


def test_a_folder_that_is_no_run_is_bad_input(tmp_path: Path) -> None:
    ended = voiceclone("check", tmp_path)
    assert (ended.code, ended.out) == (2, "")
    assert f"{tmp_path} is not a run directory" in ended.err


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--min-similarity", "1.5"),
        ("--min-margin", "nan"),
        ("--max-wer", "-1"),
        ("--min-mos", "many"),
        ("--against", "nobody"),
    ],
)
def test_a_value_out_of_range_is_bad_input(tmp_path: Path, option: str, value: str) -> None:
    run = finished_run(tmp_path / "talk.voiceclone")
    ended = voiceclone("check", run, option, value)
    assert (ended.code, ended.out) == (2, "")
    assert option in ended.err and "Traceback" not in ended.err


def test_a_baseline_that_was_not_checked_is_bad_input_and_says_how_to(tmp_path: Path) -> None:
    run, other = finished_run(tmp_path / "talk.voiceclone"), finished_run(tmp_path / "other.voiceclone")
    ended = voiceclone("check", run, "--baseline", other / "run.json")
    assert ended.code == 2
    assert f"`voiceclone check {other}` makes it" in ended.err


def test_a_junit_file_that_cannot_be_written_is_reported_before_the_measurement(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "talk.voiceclone")
    ended = voiceclone("check", run, "--junit", tmp_path)
    assert ended.code == 1 and str(tmp_path.parent) in ended.err
    assert not (run / "check.json").exists()


def test_what_a_check_prints_is_in_the_language_that_was_chosen() -> None:
    wrong = {"wer": 0.5, "word_errors": 3, "transcript": "We eat.", "flags": (Flag.WRONG_WORDS, Flag.SILENT)}
    rows = (
        row("0001", mos=1.5),
        row("0002", **{**wrong, "flags": (Flag.WRONG_WORDS,)}),
        row("0003", **wrong),
    )
    gates = GateLimits(min_margin=0.3, max_wer=0.1, min_mos=2.0)
    summary, voices = summarise(rows), (voice(),)
    failures = find_gate_failures(gates, rows, voices, summary)
    evaluation = Evaluation(Path("/run"), rows, voices, summary, gates, failures, {}, ())
    messages.choose("zh")
    say = messages.current().sentence
    assert [say(line) for line in _evaluation_lines(evaluation)] == [
        "  ANNA：相似度 0.60，领先 +0.20，与录音相比（10.0 秒）",
        "  0002  ANNA  相似度  0.60  领先 +0.20  词错误率 0.50  音质 3.20  字词有误：识别为 'We eat.'",
        "  0003  ANNA  相似度  0.60  领先 +0.20  词错误率 0.50  音质 3.20  字词有误、无声：识别为 'We eat.'",
        "失败：3 / 3 句，2 句有标记，相似度 0.60，领先 +0.20，词错误率 0.50，音质 2.63",
    ]
    assert list(_gate_lines(evaluation)) == [
        "全部句子 (ANNA): 对 BERT 的领先 0.200，要求至少 0.3",
        "本次运行: 总的词错误率 0.50，要求至多 0.1",
        "0001 (ANNA): 对 BERT 的领先 0.200，要求至少 0.3",
        "0001 (ANNA): 音质 1.500，要求至少 2",
        "0002 (ANNA): 对 BERT 的领先 0.200，要求至少 0.3",
        "0002 (ANNA): 词错误率 0.50，要求至多 0.1：识别为 'We eat.'",
        "0003 (ANNA): 没有声音",
    ]


def test_the_lines_of_a_script_file_that_are_too_long_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "talk.es.srt"
    path.write_text(
        "1\n00:00:00,000 --> 00:00:01,000\n[ANNA] Hola.\n\n"
        "2\n00:00:01,000 --> 00:00:02,000\n[ANNA] Buenos días a todos, y gracias por venir tan temprano.\n",
        encoding="utf-8",
    )
    listed = voiceclone("script", path, "--fit", "--engine", "echo")
    assert listed.code == 0, listed.err
    first, *rows = listed.out.splitlines()
    assert first == "too long: 1 of 2 lines, even 1.3 times as fast"
    assert [row.split()[0] for row in rows] == ["0002"]
    found = voiceclone("script", path, "--fit", "--engine", "echo", "--json").document
    assert found["schema"] == "voiceclone.fit/1"
    assert [line["fits"] for line in found["lines"]] == [True, False]
    refused = voiceclone("script", path, "--json")
    assert refused.code == 2 and "--json belongs to --fit" in refused.err

"""`voiceclone check` on the sample call, intact and disturbed.

The clones are those of a perfect engine: the speakers themselves, cut from the recording. What kokoro's clones
measure stands in docs/check.md.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import soundfile

from check_samples import load_manifest, save_manifest
from command import Ended, voiceclone
from media_samples import write_wav
from voiceclone_cli.files import file_sha256

pytestmark = pytest.mark.engine

SENSIBLE = ("--min-similarity", 0.6, "--min-margin", 0.1, "--max-wer", 0.5, "--min-mos", 1.5)
LINES = {
    "0001": (
        "CALLER",
        10.64,
        14.08,
        "Okay. I thought, you know, I heard of deep. This is Diane in New Jersey.",
    ),
    "0002": ("CALLED", 14.678, 17.58, "Sheila and Texas, originally from Chicago."),
    "0003": ("CALLER", 18.06, 21.44, "Oh, I'm originally from Chicago also. I'm in New Jersey now, though."),
    "0004": ("CALLED", 21.7, 25.5, "Well, there's not much difference. At least, you know, they all"),
}
TURNS = [("CALLER", 8.3, 9.9), ("CALLER", 10.6, 14.1), ("CALLED", 14.6, 17.7), ("CALLER", 18.0, 21.5)]
TURNS += [("CALLED", 21.6, 27.7), ("CALLER", 28.0, 29.9)]


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory, sample_wav: Path) -> Path:
    """A run of four lines, checked, so that its copies need only be listened to where they differ."""
    run = synthesized(tmp_path_factory.mktemp("runs"), "intact", sample_wav, with_own_voice=True)
    ended = voiceclone("check", run)
    assert ended.code == 0, ended.err
    return run


@pytest.fixture
def run(intact: Path, tmp_path: Path) -> Path:
    """A copy to be disturbed."""
    return shutil.copytree(intact, tmp_path / "run")


def synthesized(folder: Path, name: str, wav: Path, *more: object, with_own_voice: bool) -> Path:
    """A run whose lines are spoken by their own speaker, or each by the other one."""
    segments = [
        {"id": id, "speaker": who, "start": start, "end": end, "text": text, "language": "en"}
        for id, (who, start, end, text) in LINES.items()
    ]
    script, turns = folder / "script.json", folder / "turns.rttm"
    script.write_text(json.dumps({"schema": "voiceclone.script/1", "language": "en", "segments": segments}))
    rows = (f"SPEAKER call 1 {a:.3f} {b - a:.3f} <NA> <NA> {who} <NA> <NA>\n" for who, a, b in TURNS)
    turns.write_text("".join(rows))
    given = ("--script", script, "--turns", turns, "--engine", "echo", "--out", folder / name)
    ended = voiceclone("run", wav, *given, *more)
    assert ended.code == 0, ended.err
    clone(folder / name, wav, list(LINES) if with_own_voice else ["0002", "0001", "0004", "0003"])
    return folder / name


def clone(run: Path, wav: Path, said: list[str]) -> None:
    """Put what is said in the recording's lines ``said`` in the place of the run's tones."""
    samples, rate = soundfile.read(wav, dtype="float32")
    manifest = load_manifest(run)
    for row, id in zip(manifest["segments"], said, strict=True):
        _, start, end, _ = LINES[id]
        path = write_wav(segment(run, row["id"]), samples[int(start * rate) : int(end * rate)], rate)
        row.update(
            seconds=end - start, stretch=1.0, overflow_seconds=0.0, gain_db=0.0, placed_seconds=end - start
        )
        row["sha256"] = file_sha256(path)
    save_manifest(run, manifest)


def flags(run: Path) -> dict[str, list[str]]:
    return {row["id"]: row["flags"] for row in document(run)["segments"]}


def document(run: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((run / "check.json").read_text(encoding="utf-8"))
    return loaded


def rows_on_stderr(ended: Ended) -> list[str]:
    """The ids of the offending rows."""
    return [
        line.split()[0] for line in ended.err.splitlines() if "wanted at least" in line or "is silent" in line
    ]


def segment(run: Path, id: str) -> Path:
    return run / "segments" / f"{id}.wav"


def test_an_unchanged_run_passes_sensible_gates(intact: Path) -> None:
    ended = voiceclone("check", intact, *SENSIBLE, "--json")
    assert ended.code == 0, ended.err
    assert ended.document["status"] == "passed"
    assert flags(intact) == {id: [] for id in LINES}
    for row in ended.document["segments"]:
        assert row["similarity"] > 0.7 and row["margin"] > 0.1 and 1.5 < row["mos"] < 4.5
        assert abs(row["loudness_db"]) < 0.1 and row["duration_ratio"] == pytest.approx(1.0) and row["judged"]
    assert {voice["source"] for voice in ended.document["voices"]} == {"recording"}


def test_stdout_is_the_path_of_the_check(intact: Path) -> None:
    ended = voiceclone("check", intact, "--quiet")
    assert (ended.out, ended.err) == (f"{intact / 'check.json'}\n", "")


def test_clones_of_swapped_references_are_flagged(intact: Path, tmp_path: Path, sample_wav: Path) -> None:
    reference = {name: intact / "speakers" / name / "reference.wav" for name in ("CALLER", "CALLED")}
    given = (f"CALLER={reference['CALLED']}", f"CALLED={reference['CALLER']}")
    options = (option for pair in given for option in ("--reference", pair))
    swapped = synthesized(tmp_path, "swapped", sample_wav, *options, with_own_voice=False)
    # What was heard of these wavs before holds here too.
    shutil.copy(intact / "stages" / "check-segments.json", swapped / "stages")
    ended = voiceclone("check", swapped, "--min-margin", 0)
    assert ended.code == 3
    checked = document(swapped)
    assert all(row["margin"] < 0 and "wrong_speaker" in row["flags"] for row in checked["segments"])
    assert all(voice["margin"] < 0 and voice["source"] == "recording" for voice in checked["voices"])
    assert "the reference given for CALLER is the voice of CALLED" in ended.err
    # Who meant it so says so, and then the voices are right.
    assert voiceclone("check", swapped, "--min-margin", 0, "--against", "reference").code == 0


def test_wavs_of_two_speakers_that_were_exchanged_are_flagged(run: Path) -> None:
    exchange(segment(run, "0001"), segment(run, "0002"))
    ended = voiceclone("check", run, *SENSIBLE)
    assert ended.code == 3
    assert {"0001", "0002"} <= set(rows_on_stderr(ended))
    assert flags(run) == {
        "0001": ["altered", "wrong_speaker", "wrong_words"],
        "0002": ["altered", "wrong_speaker", "wrong_words"],
        "0003": [],
        "0004": [],
    }


def test_a_silenced_segment_is_flagged_and_misses_any_gate(run: Path) -> None:
    samples, rate = soundfile.read(segment(run, "0002"))
    soundfile.write(segment(run, "0002"), np.zeros_like(samples), rate)
    ended = voiceclone("check", run, "--min-mos", 1)
    assert ended.code == 3
    assert rows_on_stderr(ended) == ["0002"]
    (row,) = (row for row in document(run)["segments"] if row["id"] == "0002")
    assert row["flags"] == ["altered", "silent"]
    assert (row["heard"], row["wer"], row["similarity"], row["mos"]) == ("", 1.0, None, None)


def test_another_text_is_flagged(run: Path) -> None:
    shutil.copy(segment(run, "0003"), segment(run, "0001"))
    ended = voiceclone("check", run, "--max-wer", 0.5)
    assert ended.code == 3
    assert "0001 (CALLER): wer" in ended.err
    assert flags(run)["0001"] == ["altered", "wrong_words"]


def test_an_overdriven_segment_is_flagged(run: Path) -> None:
    samples, rate = soundfile.read(segment(run, "0004"))
    soundfile.write(segment(run, "0004"), np.clip(samples * 40, -1, 1), rate)
    assert voiceclone("check", run).code == 0
    assert {"altered", "clipped", "off_level"} <= set(flags(run)["0004"])


def test_a_missing_or_damaged_wav_is_reported_and_the_others_are_measured(run: Path) -> None:
    segment(run, "0001").unlink()
    segment(run, "0002").write_bytes(segment(run, "0002").read_bytes()[:20])
    ended = voiceclone("check", run, "--min-mos", 1)
    assert ended.code == 3
    assert "0001 (CALLER): cannot be read" in ended.err and "Traceback" not in ended.err
    assert flags(run) == {"0001": ["unreadable"], "0002": ["unreadable"], "0003": [], "0004": []}


def test_a_segment_that_failed_in_the_run_misses_any_gate_and_none_without(run: Path) -> None:
    manifest = json.loads((run / "run.json").read_text(encoding="utf-8"))
    reason = {"code": "worker_died", "message": "the worker died"}
    manifest["segments"][2].update(status="failed", file=None, sha256=None, error=reason)
    (run / "run.json").write_text(json.dumps(manifest), encoding="utf-8")
    assert voiceclone("check", run).code == 0
    ended = voiceclone("check", run, "--min-margin", -1)
    assert ended.code == 3
    assert "0003 (CALLER): was not synthesized: the worker died" in ended.err


def test_a_baseline_is_passed_by_itself_and_missed_by_a_worse_run(intact: Path, run: Path) -> None:
    same = voiceclone("check", run, "--baseline", intact / "run.json")
    assert same.code == 0, same.err
    exchange(segment(run, "0003"), segment(run, "0004"))
    ended = voiceclone("check", run, "--baseline", intact)
    assert ended.code == 3
    assert "0003 (CALLER): margin was" in ended.err and "the run: wer was" in ended.err


def test_a_second_check_loads_no_model_and_says_the_same(run: Path) -> None:
    before = (run / "check.json").read_bytes()
    program = (
        "import sys; from pathlib import Path; from voiceclone_cli.evaluation.evaluate import evaluate, write_evaluation;"
        "from voiceclone_cli.config import resolve; write_evaluation(evaluate(Path(sys.argv[1]), resolve({})));"
        "print([name for name in ('torch', 'faster_whisper', 'onnxruntime') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program, run], capture_output=True, encoding="utf-8")
    assert done.stdout.strip() == "[]", done.stderr
    assert json.loads(before)["segments"] == document(run)["segments"]


def test_the_junit_file_names_the_rows_that_missed(run: Path, tmp_path: Path) -> None:
    exchange(segment(run, "0001"), segment(run, "0002"))
    ended = voiceclone("check", run, "--min-margin", -0.02, "--junit", tmp_path / "out" / "check.xml")
    assert ended.code == 3
    document = ET.parse(tmp_path / "out" / "check.xml")
    failed = {
        case.get("name") for case in document.iterfind(".//testcase") if case.find("failure") is not None
    }
    assert {"0001", "0002"} <= failed


def exchange(one: Path, other: Path) -> None:
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)

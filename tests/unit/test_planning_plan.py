"""What a plan says of voices and of time, and how it is shown."""

from __future__ import annotations

import json
import typing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from factories import manifest_segment
from media_samples import syllables, write_wav
from voiceclone_cli.cli.output import MAX_TOO_LONG, plan_header, plan_totals, show_plan
from voiceclone_cli.cli.progress import Display
from voiceclone_cli.config import resolve
from voiceclone_cli.engines.select import EngineChoice
from voiceclone_cli.files import write_text_atomic
from voiceclone_cli.pipeline.context import RunContext
from voiceclone_cli.pipeline.request import RunRequest
from voiceclone_cli.planning.estimate import Estimate
from voiceclone_cli.planning.plan import (
    KEPT,
    TO_DO,
    RunEstimate,
    memory_note,
    rate_reference,
    scratch_directory,
)
from voiceclone_cli.rundir.cache import StageCache
from voiceclone_cli.rundir.directory import RunDir, resume_directory
from voiceclone_cli.script.sounds import omitted_note
from voiceclone_cli.system import Clock
from voiceclone_cli.types import ANALYSIS_RATE, Recording, Reference, Turn, no_progress

if typing.TYPE_CHECKING:
    from voiceclone_cli.types import Samples


# ----------------------------------------------------------------------------------- voices


def recording(samples: Samples) -> Recording:
    return Recording(Path("talk.wav"), samples, ANALYSIS_RATE, len(samples), 1, has_video=False)


def reference(*spans: tuple[float, float], audio: Path = Path("reference.wav")) -> Reference:
    seconds = sum(end - start for start, end in spans) or 8.0
    return Reference("ANNA", audio, "", seconds, spans)


def speech(seconds: float, noise: float = 0.0) -> Samples:
    clean = syllables(seconds, seed=1)
    rng = np.random.default_rng(7)
    level = float(np.sqrt(np.mean(clean**2)))
    return (clean + noise * level * rng.standard_normal(len(clean))).astype(np.float32)


ALONE = (Turn(0.0, 10.0, "ANNA"), Turn(10.0, 12.0, "BERT"))


def test_clean_speech_of_some_seconds_is_a_good_reference() -> None:
    word, quality = rate_reference(reference((1.0, 4.0), (5.0, 9.0)), recording(speech(12.0)), ALONE)
    assert word == "good" and quality.snr_db > 20


def test_the_worst_fault_of_a_reference_is_its_quality() -> None:
    def word(samples: Samples, *spans: tuple[float, float]) -> str:
        return rate_reference(reference(*spans), recording(samples), ALONE)[0]

    assert word(speech(12.0), (1.0, 3.0)) == "short"
    assert word(speech(12.0, noise=0.5), (1.0, 8.0)) == "noisy"
    assert word(np.clip(4 * speech(12.0), -0.3, 0.3), (1.0, 8.0)) == "clipped"
    assert word(speech(12.0), (5.0, 11.0)) == "mixed", "BERT speaks in it"


def test_a_file_that_was_given_is_measured_as_it_is(tmp_path: Path) -> None:
    audio = write_wav(tmp_path / "reference.wav", speech(8.0, noise=0.5))
    assert rate_reference(reference(audio=audio), recording(speech(12.0)), ALONE)[0] == "noisy"


# ------------------------------------------------------------------------ beside a finished run

MADE_FROM = {"model": "a"}


@pytest.fixture
def ctx(tmp_path: Path) -> RunContext:
    """In the directory of a run that heard the recording and spoke a line."""
    run_dir = resume_directory(tmp_path / "run", "abc")
    stages = StageCache(run_dir.root, "abc")
    for stage in ("diarization", "transcription", "casting"):
        stages.save(stage, 1, MADE_FROM, {"found": "then"})
    (run_dir.speakers / "ANNA").mkdir()
    (run_dir.speakers / "ANNA" / "reference.txt").write_text("then", encoding="utf-8")
    finish(run_dir)
    recording = Recording(Path("talk.wav"), np.zeros(16, np.float32), 16_000, 16, 1, has_video=False)
    engine = EngineChoice("echo", "asked", None)
    request = RunRequest(Path("talk.wav"), resolve({"engine": "echo"}))
    return RunContext(request, recording, "abc", engine, None, run_dir, stages, Clock(), [], no_progress)


def finish(run_dir: RunDir) -> None:
    content = {
        "schema": "voiceclone.run/1",
        "status": "success",
        "input": {"sha256": "abc"},
        "run_dir": str(run_dir.root),
        "segments": [manifest_segment()],
    }
    run_dir.manifest.write_text(json.dumps(content), encoding="utf-8")


def again(run_dir: RunDir) -> StageCache:
    return StageCache(run_dir.root, "abc")


def test_a_scratch_directory_holds_all_that_the_run_left(ctx: RunContext) -> None:
    with scratch_directory(ctx) as beside:
        assert beside.run_dir.root != ctx.run_dir.root
        assert beside.run_dir.manifest.read_bytes() == ctx.run_dir.manifest.read_bytes()
        assert beside.cache.load("casting", 1, MADE_FROM) == {"found": "then"}
        assert (beside.run_dir.speakers / "ANNA" / "reference.txt").read_text(encoding="utf-8") == "then"
    assert not list(ctx.run_dir.tasks.iterdir())


def test_what_is_written_in_a_scratch_directory_stays_there(ctx: RunContext) -> None:
    manifest = ctx.run_dir.manifest.read_bytes()
    with scratch_directory(ctx) as beside:
        beside.run_dir.claim()
        write_text_atomic(beside.run_dir.speakers / "ANNA" / "reference.txt", "now")
        beside.cache.save("casting", 1, MADE_FROM, {"found": "now"})
    assert ctx.run_dir.manifest.read_bytes() == manifest
    assert (ctx.run_dir.speakers / "ANNA" / "reference.txt").read_text(encoding="utf-8") == "then"
    assert again(ctx.run_dir).load("casting", 1, MADE_FROM) == {"found": "then"}


def test_new_turns_are_copied_back_even_when_the_plan_fails(ctx: RunContext) -> None:
    with pytest.raises(KeyError), scratch_directory(ctx) as beside:
        beside.cache.save("diarization", 1, {"model": "b"}, {"found": "now"})
        raise KeyError("a script that cannot be read, say")
    assert again(ctx.run_dir).load("diarization", 1, {"model": "b"}) == {"found": "now"}
    assert again(ctx.run_dir).load("transcription", 1, MADE_FROM) == {"found": "then"}


def test_a_file_system_without_hard_links_gets_copies(
    ctx: RunContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("not on this file system")

    monkeypatch.setattr("os.link", refuse)
    before = ctx.run_dir.manifest.stat().st_mtime_ns
    with scratch_directory(ctx) as beside:
        assert beside.run_dir.manifest.stat().st_mtime_ns == before
        assert beside.cache.load("casting", 1, MADE_FROM) == {"found": "then"}


def test_before_the_first_segment_the_plan_uses_the_run_directory(ctx: RunContext) -> None:
    ctx.run_dir.claim()
    with scratch_directory(ctx) as there:
        assert there is ctx


# ------------------------------------------------------------------------------------- time


def left(seconds: float, memory_mb: int = 100, runs: int = 1) -> tuple[str, str, Estimate]:
    """Return a stage that is left to do."""
    return TO_DO, "work", Estimate(seconds, seconds / 2, 2 * seconds, memory_mb, runs)


def test_the_whole_is_the_sum_of_what_is_left() -> None:
    found = RunEstimate({"media": left(1.0), "casting": (KEPT, "", None), "speech": left(5.0)}, (), 1)
    assert found.seconds == (6.0, 3.0, 12.0)


def test_the_workers_take_their_memory_beside_that_of_the_command() -> None:
    stages = {"diarization": left(1.0, 1200), "timeline": left(1.0, 200), "speech": left(1.0, 1000)}
    assert RunEstimate(stages, (), 3).memory_mb == 1200 + 3 * 1000


def test_a_time_is_measured_when_all_that_matters_of_it_is() -> None:
    assert RunEstimate({"speech": left(50.0), "report": left(0.1, runs=0)}, (), 1).is_measured
    assert not RunEstimate({"speech": left(50.0), "encoding": left(9.0, runs=0)}, (), 1).is_measured


# ------------------------------------------------------------------------------------- room


def test_memory_that_may_not_suffice_is_a_note() -> None:
    assert memory_note({"needed_mb": 2300, "free_mb": 9000}) is None
    assert memory_note({"needed_mb": 2300, "free_mb": None}) is None, "nobody knows"
    note = memory_note({"needed_mb": 2300, "free_mb": 1000})
    assert note is not None and "2300 MB of memory and 1000 MB are free" in note and "--workers" in note


# ----------------------------------------------------------------------------------- showing


def document(**changes: Any) -> dict[str, Any]:
    stage = {
        "stage": "speech", "state": "to do", "work": "9 lines", "seconds": 16.2, "seconds_low": 13.0,
        "seconds_high": 21.0, "memory_mb": 1100, "measured_runs": 3,
    }  # fmt: skip
    speaker = {
        "name": "[red]ANNA", "speech_seconds": 90.0, "segments": 9, "to_speak": 7, "reference_seconds": 8.6,
        "reference_quality": "good", "reference_snr_db": 30.4, "warnings": [],
    }  # fmt: skip
    return {
        "run_dir": "/talk.voiceclone",
        "input": {"path": "/talk.wav", "seconds": 120.0, "rate": 16000, "channels": 1, "video": False},
        "engine": {
            "name": "kokoro", "why": "kokoro was asked for", "checkpoint": "/k", "device": "auto",
            "precision": "auto",
        },
        "mode": "parallel", "workers": 2, "threads_each": 1, "batch_size": 5,
        "background": "duck", "watermark": "perth",
        "diarizer": "embedded", "diarizer_why": "it was asked for", "script_from": "whisper-base",
        "language": "es", "language_why": "--language says so",
        "speakers_found": {}, "omitted": [],
        "fit": {"engine": "kokoro", "max_stretch": 1.3, "too_long": 0, "lines": []},
        "speakers": [speaker],
        "segments": {"total": 9, "kept": 2, "to_speak": [f"000{n}" for n in range(3, 10)]},
        "stages": [{**stage, "stage": "diarization", "state": "kept"}, stage, {**stage, "measured_runs": 0}],
        "total": {
            "seconds": 75.0, "seconds_low": 60.0, "seconds_high": 5000.0, "measured": True,
        },
        "memory": {"needed_mb": 2300, "free_mb": 9000, "total_mb": 16000},
        "disk": {"needed_bytes": 15_000_000, "free_bytes": 2_000_000_000},
        "notes": ["something to know"],
        **changes,
    }  # fmt: skip


def test_a_plan_is_on_stdout_and_its_directory_on_stderr(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show_plan(document(), as_json=False, display=Display())
    shown = capsys.readouterr()
    for told in (
        "[red]ANNA",
        "1.5 min",
        "good (30 dB",
        "kept",
        "16 s",
        "3 runs",
        "not yet",
        "13 to 21 s",
    ):
        assert told in shown.out
    assert shown.err.count("\n") == 1 and "/talk.voiceclone" in shown.err


def test_a_plan_lists_what_is_not_spoken(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"where": f"cue {n}", "start": 58.96 + n, "end": 60.0 + n, "text": "[door\nslams]", "reason": "sound"}
        for n in range(1, 13)
    ]
    rows[1] = {
        "where": "cue 2",
        "start": None,
        "end": None,
        "text": "x" * 99,
        "reason": "its times are missing",
    }
    noted = [omitted_note([row["reason"] for row in rows]), "something to know"]
    shown_plan = document(omitted=rows, speakers_found={"label": 12, "nearest": 2}, notes=noted)
    show_plan(shown_plan, as_json=False, display=Display())
    shown = capsys.readouterr().out.splitlines()
    assert "speakers: 12 by label, 2 in silence by the nearest" in shown
    first = shown.index("not spoken: 12 texts (11 sounds, 1 other)")
    assert shown[first + 1].split() == ["cue", "1", "1:00.0", "[door", "slams]", "sound"]
    assert shown[first + 2].endswith("xxx...  its times are missing")
    assert shown[first + 11 : first + 13] == ["  and 2 more, which --json lists", ""]
    assert [line for line in shown if line.startswith("note: ")] == ["note: something to know"]


def test_a_plan_lists_the_worst_of_the_lines_that_are_too_long(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {
            "id": f"{n:04d}", "speaker": "ANNA", "start": 3.0 * n, "text": "a long\nline",
            "expected_seconds": 4.0 + n, "slot_seconds": 2.5, "overflow_seconds": round((4 + n) / 1.3 - 2.5, 3),
            "characters": 61, "budget": 40, "fits": n == 0,
        }
        for n in range(MAX_TOO_LONG + 3)
    ]  # fmt: skip
    fit = {"engine": "kokoro", "max_stretch": 1.3, "too_long": len(rows) - 1, "lines": rows}
    show_plan(document(fit=fit), as_json=False, display=Display())
    shown = capsys.readouterr().out.splitlines()
    first = shown.index("too long: 22 of 23 lines, even 1.3 times as fast")
    assert " ".join(shown[first + 1].split()) == (
        "0003 0:09.0 7.0 s in a slot of 2.5 s 2.9 s over 61 characters, 40 fit a long line"
    ), "0001 and 0002 are the least too long"
    assert shown[first + 20].split()[0] == "0022"
    assert shown[first + 21 : first + 23] == ["  and 2 more, which --json lists", ""]


def test_the_last_lines_say_what_is_left_and_how_sure_that_is() -> None:
    assert list(plan_totals(document())) == [
        "segments: 9; 7 to speak, 2 kept from before",
        "time: about 75 s, probably 60 s to 83 min",
        "memory: about 2300 MB of 9000 MB that are free",
        "disk: at most 15 MB of 2000 MB that are free",
        "note: something to know",
    ]
    guessed = document(total={**document()["total"], "measured": False})
    assert "a guess until these stages have run on this machine" in "\n".join(plan_totals(guessed))


def test_the_first_lines_say_what_would_be_run_and_why() -> None:
    told = "\n".join(plan_header(document()))
    for part in (
        "2.0 min of audio",
        "kokoro was asked for",
        "workers: 2, threads of each: 1",
        "perth",
        "duck",
    ):
        assert part in told
    fish = {**document()["engine"], "name": "fish", "checkpoint": "/s1-mini"}
    assert "checkpoint /s1-mini" in "\n".join(plan_header(document(engine=fish)))

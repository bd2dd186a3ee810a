"""Fingerprints and takes of segments, and the disk space of a run."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fish_checkpoints import S2_SHARDS, make_s2
from voiceclone_cli.config import resolve
from voiceclone_cli.corrections.edits import Edits
from voiceclone_cli.engines.checkpoint import S2
from voiceclone_cli.engines.select import FISH_SAMPLING, EngineChoice
from voiceclone_cli.pipeline.prepare import bytes_of_run, free_space_note
from voiceclone_cli.pipeline.redo import previous_request
from voiceclone_cli.pipeline.request import RunRequest, describe_request
from voiceclone_cli.pipeline.tasks import (
    SynthesisJob,
    encode_task,
    encoding_inputs,
    encodings,
    segment_fingerprints,
    synthesis_tasks,
)
from voiceclone_cli.rundir.directory import resume_directory
from voiceclone_cli.rundir.manifest import Manifest
from voiceclone_cli.types import Recording, Reference, Script, Segment, segment_seed
from voiceclone_worker.engines.kokoro.engine import BRISKER, CALMER, reading_of_take
from voiceclone_worker.engines.kokoro.voices import ACOUSTIC, voice_table
from voiceclone_worker.protocol import SegmentSpec

# What of the fish engine decides how a segment sounds, and what does not.


@pytest.fixture
def fish(tmp_path: Path) -> EngineChoice:
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    for name in ("model.pth", "codec.pth"):
        (checkpoint / name).write_bytes(b"weights")
    return EngineChoice("fish", "asked", "python", str(checkpoint), FISH_SAMPLING, "cuda:0", "bf16")


def test_voices_of_another_effort_are_other_voices_and_lines_know_them_by_their_files(tmp_path: Path) -> None:
    run_dir = resume_directory(tmp_path / "run", "input")
    line = Script((Segment("0001", "S0", 0.0, 1.0, "a line", "en"),))
    fast, best = (
        SynthesisJob(
            line,
            {},
            {"0001": 1.0},
            run_dir,
            EngineChoice("kokoro", "", None, "k", {"effort": effort}),
            resolve({}),
        )
        for effort in ("fast", "best")
    )
    assert encoding_inputs(fast) != encoding_inputs(best)
    assert segment_fingerprints(fast) == segment_fingerprints(best)


def fingerprints(folder: Path, engine: EngineChoice, **flags: Any) -> dict[str, str]:
    segment = Segment("0001", "S0", 0.0, 1.0, "a line", "en")
    run_dir = resume_directory(folder / "run", "input")
    return segment_fingerprints(
        SynthesisJob(Script((segment,)), {}, {"0001": 1.0}, run_dir, engine, resolve(flags))
    )


@pytest.mark.parametrize(
    "change",
    [
        {"precision": "int8"},
        {"device": "cpu"},
        {"options": {**FISH_SAMPLING, "temperature": 0.9}},
        {"options": {**FISH_SAMPLING, "max_new_tokens": 500}},
        {"options": {**FISH_SAMPLING, "source": "/another/fish-speech"}},
    ],
)
def test_what_changes_the_audio_is_in_the_fingerprint(
    tmp_path: Path, fish: EngineChoice, change: dict[str, Any]
) -> None:
    assert fingerprints(tmp_path, replace(fish, **change)) != fingerprints(tmp_path, fish)


@pytest.mark.parametrize("change", [{"device": "cuda:3"}, {"options": {**FISH_SAMPLING, "compile": True}}])
def test_the_gpu_and_its_compilation_are_not_in_the_fingerprint(
    tmp_path: Path, fish: EngineChoice, change: dict[str, Any]
) -> None:
    assert fingerprints(tmp_path, replace(fish, **change)) == fingerprints(tmp_path, fish)


@pytest.mark.parametrize("flags", [{"threads": 7}, {"mode": "parallel", "workers": 4}, {"batch_size": 9}])
def test_the_number_of_workers_is_not_in_the_fingerprint(
    tmp_path: Path, fish: EngineChoice, flags: dict[str, Any]
) -> None:
    assert fingerprints(tmp_path, fish, **flags) == fingerprints(tmp_path, fish)


@pytest.mark.parametrize("name", ["model.pth", "codec.pth"])
def test_other_weights_under_the_same_name_are_fingerprints(
    tmp_path: Path, fish: EngineChoice, name: str
) -> None:
    before = fingerprints(tmp_path, fish)
    weights = Path(fish.checkpoint) / name
    os.utime(weights, ns=(0, weights.stat().st_mtime_ns + 1_000_000_000))
    assert fingerprints(tmp_path, fish) != before


@pytest.fixture
def s2(tmp_path: Path) -> EngineChoice:
    folder = make_s2(tmp_path / "s2")
    return EngineChoice(
        "fish", "asked", "python", str(folder), {**S2.sampling, "tags": "drop"}, "cuda", "bf16"
    )


@pytest.mark.parametrize("name", [*S2_SHARDS, "codec.pth"])
def test_every_shard_of_s2_is_in_the_fingerprint(tmp_path: Path, s2: EngineChoice, name: str) -> None:
    before = fingerprints(tmp_path, s2)
    shard = Path(s2.checkpoint) / name
    os.utime(shard, ns=(0, shard.stat().st_mtime_ns + 1_000_000_000))
    assert fingerprints(tmp_path, s2) != before


def test_what_becomes_of_tags_is_in_the_fingerprint(tmp_path: Path, s2: EngineChoice) -> None:
    kept = replace(s2, options={**s2.options, "tags": "keep"})
    assert fingerprints(tmp_path, kept) != fingerprints(tmp_path, s2)


def test_a_redo_takes_the_checkpoint_and_the_tags_of_the_run_whatever_would_be_chosen_today(
    tmp_path: Path, s2: EngineChoice
) -> None:
    recording = tmp_path / "talk.wav"
    recording.write_bytes(b"sound")
    choice = replace(s2, checkpoint_name="s2-pro")
    request = RunRequest(recording, resolve({"tags": "keep"}))
    fields = describe_request(request, choice)
    assert fields["request"]["checkpoint"] == "s2-pro" and fields["settings"]["checkpoint"]["value"] is None
    root = tmp_path / "run"
    root.mkdir()
    Manifest("done", str(root), input={"sha256": "0"}, **fields).save(root)
    again = previous_request(root, Edits()).settings
    assert (again.engine, again.checkpoint, again.tags) == ("fish", "s2-pro", "keep")


LINE = Segment("0001", "A", 0.0, 1.0, "a line", "en")


def spec(folder: Path, line: Segment, seed: int) -> SegmentSpec:
    job = SynthesisJob(
        Script((line,)),
        {"A": Reference("A", folder / "a.wav", "", 1.0, ())},
        {"0001": 1.0},
        resume_directory(folder / "run", "input"),
        EngineChoice("kokoro", "asked", None),
        resolve({"seed": seed}),
    )
    ((segment,),) = [task.segments for task in synthesis_tasks(job, [line])]
    return segment


def job_of(folder: Path, engine: str, *lines: Segment, language: str = "en") -> SynthesisJob:
    """Return a job of two speakers, whose references are in ``language``."""
    references = {
        speaker: Reference(speaker, folder / "a.wav", "words", 1.0, (), language=language) for speaker in "AB"
    }
    run_dir = resume_directory(folder / "run", "input")
    choice = EngineChoice(engine, "asked", None)
    return SynthesisJob(Script(lines), references, {}, run_dir, choice, resolve({}))


SPANISH = replace(LINE, id="0002", speaker="B", text="una línea", language="es-MX")


def test_every_voice_is_for_the_languages_of_all_lines(tmp_path: Path) -> None:
    """So a line that is given to another speaker leaves the voices as they are."""
    job = job_of(tmp_path, "kokoro", LINE, SPANISH, replace(LINE, id="0003"), language="zh")
    assert {each.speaks for each in encode_task(job).references} == {("en", "es")}
    assert {each.language for each in encode_task(job).references} == {"zh"}
    moved = job_of(tmp_path, "kokoro", LINE, replace(SPANISH, speaker="A"), language="zh")
    assert encoding_inputs(moved) == encoding_inputs(job)


CHINESE = replace(LINE, id="0003", text="我们开会", language="zh-TW")


def test_voices_are_for_english_too_where_a_chinese_line_has_english_words(tmp_path: Path) -> None:
    mixed = replace(CHINESE, text="我们用Zoom开会")
    jobs = {text.text: job_of(tmp_path, "kokoro", text, SPANISH) for text in (CHINESE, mixed)}
    speaks = {text: encode_task(job).references[0].speaks for text, job in jobs.items()}
    assert speaks == {CHINESE.text: ("es", "zh"), mixed.text: ("en", "es", "zh")}
    assert {text: encodings(job) for text, job in jobs.items()} == {CHINESE.text: 4, mixed.text: 6}
    names_in_spanish = job_of(tmp_path, "kokoro", replace(SPANISH, text="Hablamos por Zoom"))
    assert encode_task(names_in_spanish).references[0].speaks == ("es",)


def test_voices_are_fitted_again_for_another_language_and_not_for_another_region(tmp_path: Path) -> None:
    inputs = encoding_inputs(job_of(tmp_path, "kokoro", SPANISH))
    assert inputs == encoding_inputs(job_of(tmp_path, "kokoro", replace(SPANISH, language="es")))
    assert inputs != encoding_inputs(job_of(tmp_path, "kokoro", replace(SPANISH, language="fr")))
    assert inputs != encoding_inputs(job_of(tmp_path, "kokoro", SPANISH, language="fr"))


def test_other_engines_encode_once_for_all_languages(tmp_path: Path) -> None:
    assert encoding_inputs(job_of(tmp_path, "echo", LINE)) == encoding_inputs(
        job_of(tmp_path, "echo", SPANISH, language="fr")
    )


def test_a_run_of_the_default_seed_is_the_first_take(tmp_path: Path) -> None:
    assert spec(tmp_path, LINE, 0).take == 0


def test_a_line_with_its_own_seed_is_the_take_of_a_run_with_that_seed(tmp_path: Path) -> None:
    own = spec(tmp_path, replace(LINE, seed=segment_seed(5, "0001")), 0)
    assert own == spec(tmp_path, LINE, 5) and own.take != 0


def test_the_first_take_is_read_as_long_as_it_is_and_others_are_clearly_not() -> None:
    assert reading_of_take(0) == 1.0
    readings = [reading_of_take(take) for take in range(1, 500)]
    assert len(set(readings)) == len(readings) and readings == [
        reading_of_take(take) for take in range(1, 500)
    ]
    brisk, calm = [r for r in readings if r < 1], [r for r in readings if r > 1]
    assert len(brisk) == pytest.approx(len(calm), abs=2)
    assert min(brisk) >= BRISKER[0] and max(brisk) <= BRISKER[1]
    assert min(calm) >= CALMER[0] and max(calm) <= CALMER[1]


def test_another_reading_has_the_same_timbre_and_another_prosody() -> None:
    table = voice_table()
    one = np.zeros(len(table.names), np.float32)
    one[3] = 1.0
    first, other = table.style(one, one, 40), table.style(one, one, 40, reading=1.5)
    assert np.array_equal(first[:ACOUSTIC], other[:ACOUSTIC])
    assert np.array_equal(other[ACOUSTIC:], table.style(one, one, 60)[ACOUSTIC:])
    assert not np.array_equal(first[ACOUSTIC:], other[ACOUSTIC:])
    assert table.style(one, one, 1, reading=0.1).shape == table.style(one, one, 10**6, reading=9.0).shape


# Disk space


def test_the_space_of_a_run_holds_every_slot_the_mix_and_the_stems() -> None:
    recording = Recording(Path("a.wav"), np.zeros(16_000, np.float32), 480_000, 48_000, 1, False)
    line = Segment("0001", "S0", 1.0, 2.0, "hello", "en")
    wavs = 2 * 44_100 * 3 + 3 * 2 * 48_000 * 10
    assert wavs <= bytes_of_run(recording, [line], {"0001": 4.0}, speakers=2) <= wavs + 5_000_000


def test_enough_free_space_has_no_note(tmp_path: Path) -> None:
    assert free_space_note(tmp_path / "not" / "there yet", 1) is None


def test_too_little_free_space_is_a_note_with_the_folder_and_the_figures(tmp_path: Path) -> None:
    note = free_space_note(tmp_path / "run", 10**18)
    assert note is not None and str(tmp_path / "run") in note and "1000000000000 MB" in note


# The default run directory


def default_directory(name: str) -> Path:
    return RunRequest(Path(name), resolve({}, {})).run_dir


def test_the_run_directory_has_the_name_of_the_recording() -> None:
    assert default_directory("talks/a.b.wav") == Path("a.b.voiceclone")
    longest = "x" * (255 - len(".voiceclone"))
    assert default_directory(f"{longest}.ogg") == Path(f"{longest}.voiceclone")


@pytest.mark.parametrize("stem", ["x" * 246, "x" * 245, "会" * 83, "🎬 " * 50, "x" * 99 + ". " + "y" * 150])
def test_a_name_without_room_for_the_suffix_is_cut_and_stays_unique(tmp_path: Path, stem: str) -> None:
    folder, other = default_directory(f"{stem}.ogg"), default_directory(f"{stem[:-1]}z.ogg")
    assert folder != other and len(os.fsencode(folder)) < 150
    assert folder.name.startswith(stem[:20]) and folder.suffix == ".voiceclone"
    assert folder == default_directory(f"{stem}.wav"), "as with short names, whatever the suffix"
    (tmp_path / folder).mkdir()

"""Correcting a finished run: only what changes is made again. The echo engine, in worker processes."""

from __future__ import annotations

import json
import os
import shutil
import threading
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from media_samples import syllables, write_wav
from short_talk import ShortTalk, short_talk, two_lines
from voiceclone_cli.config import resolve
from voiceclone_cli.corrections.edits import Edits
from voiceclone_cli.corrections.lines import Split
from voiceclone_cli.errors import InputError, PreflightError
from voiceclone_cli.pipeline.redo import redo
from voiceclone_cli.pipeline.request import RunRequest
from voiceclone_cli.pipeline.run import run
from voiceclone_cli.rundir.directory import locked

NOTES = {"run.json", "corrections.json", "report.html", "stages/timeline.json"}
"""Documents that list every correction."""
SCRIPTS = {"script.json", "script.srt"}


def request(talk: ShortTalk, out: Path, **more: Any) -> RunRequest:
    given = {"script": talk.script, "turns": talk.rttm, **more}
    return RunRequest(talk.wav, resolve({"engine": "echo"}), out=out, **given)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("redo")
    assert run(request(short_talk(folder / "talk"), folder / "run")).exit_code == 0
    return folder / "run"


@pytest.fixture
def talk(finished: Path) -> ShortTalk:
    return short_talk(finished.parent / "talk")


@pytest.fixture
def out(tmp_path: Path, finished: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def files(out: Path) -> dict[str, bytes]:
    """Everything in the run directory but locks and logs."""
    found = {path.relative_to(out).as_posix(): path for path in out.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not name.startswith((".", "logs/"))}


def changed(before: dict[str, bytes], after: dict[str, bytes]) -> set[str]:
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def corrected(out: Path, edits: Edits | None = None) -> dict[str, Any]:
    result = redo(out, edits)
    assert result.exit_code == 0, result.document["errors"]
    return result.document


def samples(wav: Path) -> tuple[NDArray[np.int16], int]:
    with wave.open(str(wav)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2"), file.getframerate()


def line(document: dict[str, Any], id: str) -> dict[str, Any]:
    (row,) = (row for row in document["segments"] if row["id"] == id)
    return dict(row)


def test_another_take_changes_its_wav_the_stem_and_the_mix_in_its_slot(out: Path) -> None:
    before, (mix, rate) = files(out), samples(out / "mix.wav")
    document = corrected(out, Edits(ids=("0003",)))
    assert changed(before, files(out)) == {
        *NOTES,
        "script.json",
        "segments/0003.wav",
        "segments/0003.json",
        "stems/B.wav",
        "mix.wav",
    }
    again, row = samples(out / "mix.wav")[0], line(document, "0003")
    differs = np.flatnonzero(mix != again) / rate
    assert len(differs) and row["start"] <= differs.min() and differs.max() < row["slot_end"]
    assert document["reused"] == 9 and row["seed"] == document["history"][0]["seed"]


def test_other_words_change_the_script_too(out: Path) -> None:
    before = files(out)
    document = corrected(out, Edits(ids=("0003",), text="We meet at noon."))
    segment = {"segments/0003.wav", "segments/0003.json"}
    assert changed(before, files(out)) == {*NOTES, *SCRIPTS, *segment, "stems/B.wav", "mix.wav"}
    assert line(document, "0003")["text"] == "We meet at noon."


def test_another_speaker_says_a_line_in_their_own_voice(out: Path) -> None:
    before = files(out)
    document = corrected(out, Edits(ids=("0003",), speaker="A"))
    segment = {"segments/0003.wav", "segments/0003.json"}
    stems = {"stems/A.wav", "stems/B.wav"}
    assert changed(before, files(out)) == {*NOTES, *SCRIPTS, *segment, *stems, "mix.wav"}
    assert line(document, "0003")["speaker"] == "A" and document["reused_stages"][:2] == [
        "casting",
        "encoding",
    ]


def wavs_changed(before: dict[str, bytes], after: dict[str, bytes]) -> set[str]:
    """The ids of the segments whose sound has changed, was added or removed."""
    return {
        Path(name).stem
        for name in changed(before, after)
        if name.startswith("segments/") and name.endswith(".wav")
    }


def test_splitting_joining_moving_and_dropping_change_only_the_lines_named(out: Path) -> None:
    for id in (
        "0002",
        "0004",
        "0005",
        "0006",
    ):  # which fit into any slot: this engine fills one that is too short
        corrected(out, Edits(ids=(id,), text="Short."))
    original, before = files(out), files(out)
    commands = [
        (Edits(split=(Split("3", words="of the talk"),)), {"0003", "9001", "9002"}),
        (Edits(join=("9001", "9002")), {"9001", "9002", "9003"}),
        (Edits(move=(("5", 0.05, True),)), set[str]()),
        (Edits(drop=("7",)), {"0007"}),
    ]
    for edits, ids in commands:
        document = corrected(out, edits)
        after = files(out)
        assert wavs_changed(before, after) == ids
        assert before["mix.wav"] != after["mix.wav"]
        before = after
    rows = {row["id"]: row for row in document["segments"]}
    assert list(rows) == ["0001", "0002", "9003", "0004", "0005", "0006", "0008", "0009", "0010"]
    assert rows["0005"]["start"] == 5.05 and rows["9003"]["text"] == "line number 3 of the talk"
    assert [row["reason"] for row in document["omitted"]] == ["dropped with redo"]
    for _ in commands:
        corrected(out, Edits(undo=True))
    assert not wavs_changed(original, files(out)) and files(out)["mix.wav"] == original["mix.wav"]


def test_renaming_speaks_and_encodes_nothing(out: Path) -> None:
    before = files(out)
    document = corrected(out, Edits(rename=(("A", "Anna"),)))
    after = files(out)
    assert document["reused"] == 10 and document["reused_stages"][:2] == ["casting", "encoding"]
    notes = {"stages/casting.json", "stages/encoding.json", "diarization.rttm"}
    assert {name.replace("Anna", "A") for name in changed(before, after)} - {*NOTES, *SCRIPTS, *notes} == {
        "stems/A.wav",
        "speakers/A/reference.wav",
        "speakers/A/reference.txt",
        "speakers/A/codes.txt",
    }
    for name in ("stems/{}.wav", "speakers/{}/reference.wav", "speakers/{}/codes.txt"):
        assert after[name.format("Anna")] == before[name.format("A")] and name.format("A") not in after
    assert b" Anna " in after["diarization.rttm"] and b" A " not in after["diarization.rttm"]
    assert {row["speaker"] for row in document["turns"]} == {"Anna", "B"}
    assert document["segments"] == corrected(out)["segments"], "and stays so"


def test_merging_speaks_only_the_lines_that_are_another_persons_now(out: Path) -> None:
    before = files(out)
    document = corrected(out, Edits(merge=(("A", "B"),)))
    assert document["reused"] == 5 and document["reused_stages"][:2] == ["casting", "encoding"]
    assert {row["name"] for row in document["speakers"]} == {"B"}
    assert {row["speaker"] for row in document["segments"]} == {"B"}
    after = files(out)
    kept = [name for name in before if name.startswith("speakers/")]
    assert [before[name] for name in kept] == [after[name] for name in kept]
    assert "stems/A.wav" not in after
    assert corrected(out)["reused"] == 10, "later runs keep it so"


def test_a_later_run_has_the_corrections_too(talk: ShortTalk, out: Path) -> None:
    corrected(out, Edits(ids=("0003",), text="We meet at noon.", rename=(("A", "Anna"),)))
    corrected(out, Edits(ids=("0004",)))
    before = files(out)
    again = run(request(talk, out)).document
    assert again["reused"] == 10 and not changed(before, files(out)) - NOTES
    forced = run(request(talk, out, force=True)).document
    assert forced["reused"] == 0 and not changed(before, files(out)) - NOTES - {
        name for name in before if name.startswith("stages/")
    }
    assert len(forced["history"]) == 3


def test_undo_brings_everything_back(out: Path) -> None:
    before = files(out)
    corrected(out, Edits(ids=("0003",), rename=(("A", "Anna"),), merge=(("B", "Anna"),)))
    corrected(out, Edits(undo=True))
    # What was sealed at another moment, or in another order, may say so; what is heard is the same.
    assert not {name for name in changed(before, files(out)) if name.endswith((".wav", ".srt", ".rttm"))}
    assert json.loads((out / "corrections.json").read_text(encoding="utf-8"))["log"] == []


def test_a_script_fed_back_stands_and_can_be_corrected(talk: ShortTalk, out: Path) -> None:
    corrected(out, Edits(ids=("0003",), text="We meet at noon.", rename=(("A", "Anna"),)))
    corrected(out, Edits(ids=("0004",)))
    document = json.loads((out / "script.json").read_text(encoding="utf-8"))
    document["segments"][2]["text"] = "line number 3 of the talk"
    document["segments"][6]["text"] = "And that was it."
    (out / "script.json").write_text(json.dumps(document), encoding="utf-8")
    fed = run(request(talk, out, script=out / "script.json")).document
    assert fed["reused"] == 8 and line(fed, "0003")["text"] == "line number 3 of the talk"
    again = corrected(out, Edits(ids=("0003",), text="See you at one."))
    assert again["reused"] == 9
    assert (
        line(again, "0003")["text"] == "See you at one." and line(again, "0007")["text"] == "And that was it."
    )
    assert line(corrected(out, Edits(undo=True)), "0003")["text"] == "line number 3 of the talk"


def test_subtitles_fed_back_keep_the_takes(talk: ShortTalk, out: Path) -> None:
    """They have no place for a seed."""
    corrected(out, Edits(ids=("0003",)))
    corrected(out, Edits(ids=("0004",), text="We meet at noon.", seed=4))
    corrected(out, Edits(merge=(("A", "B"),)))
    assert run(request(talk, out, script=out / "script.srt")).document["reused"] == 10


def test_the_environment_of_today_does_not_change_the_run(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ENGINE": "kokoro", "SEED": "9", "LANGUAGE": "de", "THREADS": "1"}.items():
        monkeypatch.setenv(f"VOICECLONE_{name}", value)
    document = corrected(out)
    assert document["engine"] == "echo" and document["reused"] == 10
    settings = {name: row["value"] for name, row in document["settings"].items()}
    assert (settings["seed"], settings["language"], settings["threads"]) == (0, None, 1)


def test_a_directory_moves_with_what_lies_about_it(tmp_path: Path) -> None:
    there = tmp_path / "there"
    assert run(request(short_talk(there / "talk"), there / "run")).exit_code == 0
    there.rename(tmp_path / "here")
    assert corrected(tmp_path / "here" / "run", Edits(ids=("0003",)))["reused"] == 9


def test_a_recording_that_moved_has_to_be_given(tmp_path: Path) -> None:
    talk = short_talk(tmp_path / "talk")
    assert run(request(talk, tmp_path / "run")).exit_code == 0
    talk.wav.rename(tmp_path / "elsewhere.wav")
    expect_refusal("input_moved", tmp_path / "run", Edits(ids=("0003",)))
    other = write_wav(tmp_path / "other.wav", syllables(12.0, seed=5))
    with pytest.raises(InputError, match="is not the recording that"):
        redo(tmp_path / "run", input=other)
    result = redo(tmp_path / "run", Edits(ids=("0003",)), input=tmp_path / "elsewhere.wav")
    assert result.exit_code == 0 and result.document["reused"] == 9
    write_wav(tmp_path / "elsewhere.wav", syllables(12.0, seed=6))
    assert "has changed since" in expect_refusal("run_of_another_input", tmp_path / "run")


def expect_refusal(code: str, out: Path, edits: Edits | None = None) -> str:
    before = files(out)
    with pytest.raises(InputError) as info:
        redo(out, edits)
    assert info.value.code == code and not changed(before, files(out))
    return info.value.message


def test_a_renamed_speaker_without_turns_is_reported(talk: ShortTalk, out: Path) -> None:
    corrected(out, Edits(merge=(("A", "B"),)))
    corrected(out, Edits(rename=(("B", "Bert"),)))
    turns = talk.rttm.read_text(encoding="utf-8").replace(" A ", " Bert ").replace(" B ", " Bert ")
    (out.parent / "bert.rttm").write_text(turns, encoding="utf-8")
    lines = talk.script.read_text(encoding="utf-8").replace(",A,", ",Bert,").replace(",B,", ",Bert,")
    (out.parent / "bert.csv").write_text(lines, encoding="utf-8")
    again = run(request(talk, out, turns=out.parent / "bert.rttm", script=out.parent / "bert.csv"))
    assert again.exit_code == 0 and not [note for note in again.document["notes"] if "renamed" in note]
    for name in ("bert.rttm", "bert.csv"):
        zoe = (out.parent / name).read_text(encoding="utf-8").replace("Bert", "ZOE")
        (out.parent / name).write_text(zoe, encoding="utf-8")
    again = run(request(talk, out, turns=out.parent / "bert.rttm", script=out.parent / "bert.csv"))
    reported = [note for note in again.document["notes"] if "is not among the speakers any more" in note]
    assert again.exit_code == 0 and len(reported) == 2


def test_an_impossible_edit_changes_nothing(out: Path) -> None:
    expect_refusal("unknown_line", out, Edits(ids=("0001", "0099")))
    expect_refusal("unknown_speaker", out, Edits(ids=("0001",), speaker="Zoe"))
    expect_refusal("name_taken", out, Edits(rename=(("A", "B"),)))
    (out / "corrections.json").write_text("{}", encoding="utf-8")
    expect_refusal("bad_corrections", out, Edits(ids=("0001",)))


def test_an_incomplete_manifest_is_one_sentence(out: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    expect_refusal("not_a_run_directory", tmp_path / "empty")
    manifest = json.loads((out / "run.json").read_text(encoding="utf-8"))
    for document in (
        {key: value for key, value in manifest.items() if key != "request"},
        {**manifest, "request": {**manifest["request"], "speakers": 2}},
        {**manifest, "request": {**manifest["request"], "input": 7}},
        {**manifest, "settings": {**manifest["settings"], "seed": {"value": "x", "from": "flag"}}},
    ):
        (out / "run.json").write_text(json.dumps(document), encoding="utf-8")
        expect_refusal("bad_manifest", out)
    (out / "run.json").write_text(json.dumps({**manifest, "settings": {"seed": 3}}), encoding="utf-8")
    expect_refusal("manifest_damaged", out)
    (out / "run.json").write_text(json.dumps({**manifest, "schema": "voiceclone.run/9"}), encoding="utf-8")
    expect_refusal("run_schema", out)
    (out / "run.json").write_text("[" * 100_000, encoding="utf-8")
    expect_refusal("manifest_damaged", out)


def test_a_run_that_was_killed_can_be_corrected(out: Path) -> None:
    """Its manifest still says that it is going on, and what was asked for."""
    manifest = json.loads((out / "run.json").read_text(encoding="utf-8"))
    kept = ("schema", "run_dir", "input", "engine", "request", "settings")
    claim = {**{key: manifest[key] for key in kept}, "status": "running"}
    (out / "run.json").write_text(json.dumps(claim), encoding="utf-8")
    shutil.rmtree(out / "speakers" / "A")
    (out / "segments" / "0005.wav").unlink()
    assert corrected(out, Edits(ids=("0003",)))["reused"] == 8


def test_a_run_that_failed_can_be_corrected(talk: ShortTalk, out: Path, tmp_path: Path) -> None:
    voice = tmp_path / "voice.wav"
    voice.write_bytes(b"RIFF, but no sound")
    with pytest.raises(InputError):
        run(request(talk, out, references={"A": voice}))
    assert json.loads((out / "run.json").read_text(encoding="utf-8"))["status"] == "error"
    write_wav(voice, syllables(3.0, seed=7))
    assert corrected(out, Edits(ids=("0003",)))["reused"] == 4, "the lines of B that stayed"


def test_a_rename_that_was_cut_short_only_costs_work(out: Path) -> None:
    before = files(out)
    os.rename(out / "speakers" / "A", out / "speakers" / "Anna")
    assert corrected(out, Edits(rename=(("A", "Anna"),)))["reused"] == 10
    assert files(out)["speakers/Anna/codes.txt"] == before["speakers/A/codes.txt"]


def test_one_correction_at_a_time(out: Path) -> None:
    with locked(out), pytest.raises(PreflightError, match="is in use by"):
        redo(out, Edits(ids=("0003",)))
    assert not (out / "corrections.json").exists()


def test_of_two_corrections_at_once_each_counts_or_is_refused(out: Path) -> None:
    refused: list[str] = []

    def correct(id: str) -> None:
        try:
            redo(out, Edits(ids=(id,)))
        except PreflightError as error:
            refused.append(error.code)

    threads = [threading.Thread(target=correct, args=(id,)) for id in ("0003", "0004")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(refused) <= {"run_in_progress"}
    assert len(corrected(out)["history"]) == 2 - len(refused)


@pytest.mark.engine
def test_kokoro_takes_a_line_again_and_fits_no_voice_again(tmp_path: Path, model_folders: object) -> None:
    talk = two_lines(tmp_path)
    settings = resolve({"engine": "kokoro", "watermark": False})
    out = tmp_path / "run"
    request = RunRequest(talk.wav, settings, out=out, script=talk.script, turns=talk.rttm, report=False)
    assert run(request).exit_code == 0
    before = files(out)
    corrected(out, Edits(ids=("0001",)))
    sounds = {name for name in changed(before, files(out)) if name.endswith((".wav", ".npz"))}
    assert sounds == {"segments/0001.wav", "stems/ANNA.wav", "mix.wav"}
    merged = corrected(out, Edits(merge=(("ANNA", "BERT"),)))
    assert merged["reused"] == 1 and "encoding" in merged["reused_stages"]

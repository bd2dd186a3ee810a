"""The edge: help, exit codes, and what goes to which stream."""

from __future__ import annotations

import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from command import voiceclone
from media_samples import cut, syllables, write_media, write_wav
from report_runs import line, write_run
from voiceclone_cli import __version__

HEAVY = "torch torchaudio numpy scipy soundfile soxr av onnxruntime pyannote faster_whisper ctranslate2 hibari huggingface_hub dotenv rich pydantic"


def test_help_loads_nothing_heavy() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "voiceclone_cli", "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0 and "diarize" in done.stdout
    loaded = {
        line.rsplit("|", 1)[1].strip().split(".")[0] for line in done.stderr.splitlines() if "|" in line
    }
    assert "typer" in loaded
    assert not loaded & set(HEAVY.split())


def test_help_takes_less_than_a_third_of_a_second() -> None:
    """CPU time of the whole process, the least of five: what a machine without other work would take."""
    taken = []
    for _ in range(5):
        before = _children_seconds()
        subprocess.run([sys.executable, "-m", "voiceclone_cli", "--help"], capture_output=True, check=True)
        taken.append(_children_seconds() - before)
    assert min(taken) < 0.3, statistics.median(taken)


def _children_seconds() -> float:
    times = os.times()
    return float(times.children_user + times.children_system)


def test_the_version_is_printed() -> None:
    assert voiceclone("--version").out == f"voiceclone {__version__}\n"


def test_a_wrong_flag_is_a_usage_error() -> None:
    for arguments in (
        ["run"],
        ["run", "x.wav", "--nonsense"],
        ["sing"],
        ["run", "x.wav", "--speakers", "two"],
    ):
        ended = voiceclone(*arguments)
        assert ended.code == 2 and "Traceback" not in ended.err and ended.out == ""


def bad_inputs(folder: Path) -> list[Path]:
    """Every kind of input that cannot be used."""
    speech = syllables(4.0)
    nan = speech.copy()
    nan[1000:1100] = np.nan
    (folder / "empty.wav").write_bytes(b"")
    (folder / "text.wav").write_text("no sound at all\n" * 50, encoding="utf-8")
    (folder / "a folder").mkdir()
    return [
        folder / "missing.wav",
        folder / "empty.wav",
        folder / "text.wav",
        folder / "a folder",
        cut(write_wav(folder / "truncated.wav", speech)),
        cut(write_media(folder / "truncated.mp4", syllables(6.0, 48_000), video=True)),
        _pictures_only(folder / "video_only.mp4"),
        write_wav(folder / "silence.wav", np.zeros(16_000, np.float32)),
        write_wav(folder / "no_samples.wav", np.zeros(0, np.float32)),
        write_wav(folder / "one_sample.wav", np.full(1, 0.5, np.float32)),
        write_wav(folder / "nan.wav", nan, subtype="FLOAT"),
    ]


def _pictures_only(path: Path) -> Path:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(10):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8))))
        container.mux(stream.encode(None))
    return path


def test_every_bad_input_is_one_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    for path in bad_inputs(tmp_path):
        ended = voiceclone("run", path, "--progress", "none", cwd=work)
        assert ended.code == 2, (path.name, ended)
        assert ended.out == "" and "Traceback" not in ended.err
        (sentence,) = ended.err.splitlines()
        assert re.fullmatch(r"voiceclone: .+", sentence), path.name
        assert not list(work.iterdir()), f"{path.name} left something behind"


def test_with_json_an_error_is_a_document_too(tmp_path: Path) -> None:
    ended = voiceclone("run", tmp_path / "missing.wav", "--json", "--progress", "none")
    assert ended.code == 2
    assert ended.document["status"] == "error"
    assert ended.document["errors"][0]["code"] == "media_missing"


def test_a_script_or_reference_that_cannot_be_used_is_a_usage_error(tmp_path: Path) -> None:
    recording = tmp_path / "in.wav"
    write_wav(recording, syllables(2.0))
    for flags in (["--reference", "nobody"], ["--workers", "0"], ["--engine", "nightingale"]):
        ended = voiceclone("run", recording, *flags, "--progress", "none")
        assert ended.code == 2 and ended.err.startswith("voiceclone: --"), ended


def test_config_show_masks_the_token(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("HF_TOKEN=hf_very_secret\nFISH_NUM_WORKERS=3\n", encoding="utf-8")
    ended = voiceclone("config", "show", "--json", cwd=tmp_path)
    rows = {row["name"]: row for row in json.loads(ended.out)}
    assert rows["token"]["value"] == "(set)" and "secret" not in ended.out
    assert (rows["workers"]["value"], rows["workers"]["source"]) == (3, ".env")


def test_no_model_source_within_reach_is_a_preflight_error(tmp_path: Path) -> None:
    recording = tmp_path / "in.wav"
    write_wav(recording, syllables(2.0))
    nowhere = tmp_path / "empty"
    nowhere.mkdir()
    env = {"VOICECLONE_HOME": str(tmp_path / "home"), "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(nowhere)}
    done = subprocess.run(
        [sys.executable, "-m", "voiceclone_cli", "run", str(recording), "--progress", "none"],
        env={**os.environ, **env, "HF_HUB_OFFLINE": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 4, done.stderr
    assert len(done.stderr.splitlines()) == 1 and "Traceback" not in done.stderr


def test_an_interrupt_ends_with_130_and_no_traceback(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", "import sys, time, voiceclone_cli.__main__ as c\nfrom voiceclone_cli.cli.app import app\n"
         "app.command('wait')(lambda: time.sleep(60))\nsys.argv = ['voiceclone', 'wait']\n"
         "print('ready', flush=True)\nc.main()"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err == "voiceclone: stopped\n"


def test_a_stderr_that_is_closed_from_the_start_costs_nothing_but_the_words(tmp_path: Path) -> None:
    write_wav(tmp_path / "in.wav", syllables(2.0))
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "voiceclone_cli",
            "run",
            "in.wav",
            "--turns",
            "nowhere.rttm",
            "--engine",
            "echo",
        ],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        preexec_fn=lambda: os.close(2),
    )
    assert (done.returncode, done.stdout) == (2, b""), "the sentence goes nowhere, its exit code does not"


def test_a_working_directory_that_was_removed_is_one_sentence(tmp_path: Path) -> None:
    if os.name == "nt":
        return  # Windows keeps a folder that a program is in
    for command in ("run x.wav --json", "doctor", "config show", "--version"):
        script = f"mkdir d; cd d; rmdir ../d; {sys.executable} -m voiceclone_cli {command}"
        done = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert "the working directory was removed" in done.stderr and "cd" in done.stderr


def test_a_name_longer_than_the_file_system_allows_is_one_sentence(tmp_path: Path) -> None:
    for words in (["run"], ["run", "--json"], ["diarize"], ["report"], ["run", "--list"]):
        ended = voiceclone(*words, "x" * 300 + ".csv", cwd=tmp_path)
        assert ended.code == 2 and ended.err.count("\n") == 1 and "too long" in ended.err, ended.err


CHINESE = "voiceclone: missing.wav 不存在：请检查路径。"
ENGLISH = "voiceclone: missing.wav does not exist"


def refusal(folder: Path, *options: str, **environment: str) -> str:
    """Return the first line that a run of a missing file prints."""
    ended = voiceclone("run", "missing.wav", *options, cwd=folder, environment=environment)
    assert ended.code == 2 and ended.out == ""
    return ended.err.splitlines()[0]


def test_an_option_goes_before_the_environment_a_file_and_the_locale(tmp_path: Path) -> None:
    assert refusal(tmp_path).startswith(ENGLISH)
    assert refusal(tmp_path, LANG="zh_CN.UTF-8") == CHINESE
    (tmp_path / ".env").write_text("VOICECLONE_LANG=en\n", encoding="utf-8")
    assert refusal(tmp_path, LANG="zh_CN.UTF-8").startswith(ENGLISH)
    assert refusal(tmp_path, LANG="zh_CN.UTF-8", VOICECLONE_LANG="zh") == CHINESE
    assert refusal(tmp_path, "--lang", "en", VOICECLONE_LANG="zh").startswith(ENGLISH)
    assert refusal(tmp_path, "--lang", "zh") == CHINESE


def test_a_document_is_the_same_in_every_language(tmp_path: Path) -> None:
    documents = [
        voiceclone("run", "missing.wav", "--json", "--lang", lang, cwd=tmp_path).document
        for lang in ("en", "zh")
    ]
    assert documents[0] == documents[1]


def test_a_language_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    ended = voiceclone("run", "missing.wav", "--lang", "fr", cwd=tmp_path)
    assert ended.code == 2 and "'fr' is not one of 'en', 'zh'" in ended.err
    (tmp_path / ".env").write_text("VOICECLONE_LANG=fr\n", encoding="utf-8")
    ended = voiceclone("run", "missing.wav", cwd=tmp_path)
    assert ended.code == 2 and "VOICECLONE_LANG (.env): must be one of en, zh" in ended.err


def test_help_is_english_in_every_language(tmp_path: Path) -> None:
    chinese = voiceclone("plan", "--help", cwd=tmp_path, environment={"LANG": "zh_CN.UTF-8"})
    assert chinese.out == voiceclone("plan", "--help", cwd=tmp_path).out


def test_chinese_goes_to_a_stream_that_cannot_show_it_as_escapes(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "谈话", [line(0, "李娜", "你好。")])
    for encoding, shown in (("utf-8", "谈话"), ("cp1252", "\\u8c08\\u8bdd")):
        ended = voiceclone(
            "report", folder, "--lang", "zh", environment={"PYTHONIOENCODING": encoding}, cwd=tmp_path
        )
        assert (ended.code, ended.out) == (0, f"{tmp_path}/{shown}/report.html\n")

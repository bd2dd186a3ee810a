"""Each command in the README and in docs/ runs as it stands there.

With the echo engine where a command does not name one, through the setting that the docs describe:
the engines have tests of their own, this is about the commands.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import soundfile

from command import TONES, benchmark_environment, expect_understood, path_with_the_command
from media_samples import write_media
from voiceclone_cli.__main__ import main
from voiceclone_cli.analysis import analyzer, transcription
from voiceclone_cli.audio.dsp import Samples
from voiceclone_cli.batch import run
from voiceclone_cli.evaluation import metrics
from voiceclone_cli.models import download
from voiceclone_cli.pipeline import prepare
from voiceclone_cli.types import Recording

ROOT = Path(__file__).parents[2]
README, CHINESE = ROOT / "README.md", ROOT / "README.zh-CN.md"
QUICKSTART = ROOT / "docs" / "quickstart.md"
CHINESE_PAGE = ROOT / "docs" / "dubbing-a-video.zh-CN.md"
DOCS = [README, *sorted((ROOT / "docs").glob("*.md"))]


def commands(path: Path, shell: str = "sh") -> list[str]:
    blocks = re.findall(
        rf"^```{shell}\n(.*?)^```", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    lines = (re.sub(r"(^|\s)#.*", "", line).strip() for block in blocks for line in block.splitlines())
    return [line for line in lines if line]


@pytest.fixture(scope="module")
def analyses() -> dict[object, Any]:
    """What was made of a recording, for all pages: hearing takes longest, and every page has the same input."""
    return {}


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory,
    sample_wav: Path,
    model_folders: object,
    analyses: dict[object, Any],
) -> Path:
    """A run directory for the pages that begin with one."""
    folder = tmp_path_factory.mktemp("docs") / "talk.voiceclone"
    command = ["voiceclone", "run", str(sample_wav), "--engine", "echo", "--out", str(folder)]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder.parent)
        _remember(analyses, patch)
        assert _voiceclone(command, patch) == 0
    return folder


@pytest.mark.engine
@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_each_command_runs(
    path: Path,
    tmp_path: Path,
    sample_wav: Path,
    finished: Path,
    analyses: dict[object, Any],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in TONES.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", path_with_the_command())
    _lay_out(tmp_path, sample_wav, finished)
    _remember(analyses, monkeypatch)
    # Completion is for the shell that the command is typed into, and a test may have none.
    monkeypatch.setattr("shellingham.detect_shell", lambda: ("bash", "/bin/bash"))
    for line in commands(path):
        words = shlex.split(line)
        code = _run(words, monkeypatch)
        out, err = capfd.readouterr()
        # Tones carry no watermark, which `verify` says by its exit code, and have no quality that a comparison with
        # a baseline could rely on.
        may_differ = words[:2] == ["voiceclone", "verify"] or "--baseline" in words
        assert code in ((0, 3) if may_differ else (0,)), f"{line}\n{err}"
        assert out or words[0] in ("make", "cp", "pipx", "uv") or "pip" in words, f"{line}\n{err}"


@pytest.mark.parametrize("path", [*DOCS, CHINESE], ids=lambda path: path.name)
def test_each_command_can_be_read(path: Path) -> None:
    """Its verb is one, and so are its options; nothing is run."""
    for line in commands(path):
        program, *words = shlex.split(line)
        # What stands before a verb ends the command by itself.
        if program == "voiceclone" and not words[0].startswith("--"):
            expect_understood(*words)


@pytest.mark.parametrize("page", [QUICKSTART, CHINESE_PAGE], ids=lambda path: path.name)
def test_the_installation_is_the_same_on_every_platform_but_for_the_virtual_environment(page: Path) -> None:
    assert commands(page, "powershell") == ["py -3.12 -m venv .venv", r".venv\Scripts\activate"]
    assert commands(page, "shell")[:2] == ["python3 -m venv .venv", ". .venv/bin/activate"]
    assert commands(page)[:2] == commands(README)[:2] == ["python -m pip install .", "voiceclone demo"]


def test_every_picture_and_page_that_is_named_is_there() -> None:
    for path in (*DOCS, CHINESE, ROOT / "benchmarks" / "README.md"):
        text = path.read_text(encoding="utf-8")
        links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)|(?:src|srcset)=\"([^\"]+)\"", text)
        for target in (link or picture for link, picture in links):
            assert (path.parent / target).exists(), f"{path.name} names {target}"


def test_every_page_can_be_reached_from_the_readme() -> None:
    named = set(re.findall(r"\]\(docs/([^)#]+\.md)", README.read_text(encoding="utf-8")))
    assert named == {path.name for path in (ROOT / "docs").glob("*.md")}


def test_both_readmes_name_the_same_commands_files_and_pages() -> None:
    english, chinese = (path.read_text(encoding="utf-8") for path in (README, CHINESE))
    assert commands(README) == commands(CHINESE)
    for what in (
        r"`([^`\n]+)`",  # commands and names within the text
        r"\]\((?!README)([^)]+)\)",  # pages
        r"srcs?e?t?=\"([^\"]+)\"",  # pictures
        r"^ {4,8}([A-Za-z_.\d/]+)",  # what a run leaves
        r"^(#+) ",  # sections
    ):
        found = [sorted(re.findall(what, text, re.MULTILINE)) for text in (english, chinese)]
        assert found[0] == found[1], what


def test_both_readmes_name_the_size_of_the_models() -> None:
    megabytes = sum(entry.size for entry in download.model_entries() if entry.embedded) / 1e6
    for path, words in ((README, r"the models \(about (\d+) MB"), (CHINESE, r"下载模型（约 (\d+) MB")):
        (stated,) = re.findall(words, path.read_text(encoding="utf-8"))
        assert abs(int(stated) - megabytes) < 0.1 * megabytes, path.name


def _run(words: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """What a shell would do with this line; a target of make is only looked for."""
    match words[0]:
        case "voiceclone":
            return _voiceclone(words, monkeypatch)
        case "python" if words[1:4] == ["-m", "pip", "install"]:
            return _installs(words[4:])
        case "pipx" | "uv":
            return _installs(words[words.index("install") + 1 :])
        case "python":
            program = words[1:] if words[1] == "-m" else [str(ROOT / words[1]), *words[2:]]
            return subprocess.run(
                [sys.executable, *program], stdin=subprocess.DEVNULL, env=benchmark_environment()
            ).returncode
        case "bash":
            return subprocess.run(words, stdin=subprocess.DEVNULL).returncode
        case "cp":
            shutil.copy(words[1], words[2])
            return 0
        case "make":
            makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
            return 0 if re.search(rf"^{words[1]}:", makefile, re.MULTILINE) else 2
    raise AssertionError(f"the docs name a program that is not known here: {words[0]}")


def _installs(what: list[str]) -> int:
    """An installation is only looked at; tests/integration/test_wheel.py installs the package."""
    return 0 if what == ["."] and (ROOT / "pyproject.toml").is_file() else 2


def _remember(analyses: dict[object, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands in this process hear and measure nothing that one of them heard or measured before."""
    for module, name in ((analyzer, "diarize"), (transcription, "transcribe")):
        monkeypatch.setattr(module, name, _once(getattr(module, name), analyses))
    measure = metrics.MetricModels.measure
    monkeypatch.setattr(metrics.MetricModels, "measure", _measured_once(measure, analyses))
    # Analyses in child processes would share nothing with the other pages (tests/e2e/test_run.py and test_batch.py have
    # the real ones).
    for module in (analyzer, prepare):
        monkeypatch.setattr(module, "concurrent_transcription", lambda *arguments: None)
    monkeypatch.setattr(run, "open_analyzer", lambda settings, progress: nullcontext(analyzer.LOCAL_ANALYZER))


def _once(analyze: Callable[..., Any], analyses: dict[object, Any]) -> Callable[..., Any]:
    def remembering(recording: Recording, *arguments: Any, **options: Any) -> Any:
        chosen = [options.get(name) for name in ("count", "language")]
        key = (analyze.__name__, recording.samples.tobytes(), str(chosen))
        if key not in analyses:
            analyses[key] = analyze(recording, *arguments, **options)
        return analyses[key]

    return remembering


def _measured_once(
    measure: Callable[..., Any], analyses: dict[object, Any]
) -> Callable[[metrics.MetricModels, Samples, str], Any]:
    """What `check` measures of a line: of all tones what it measured of the first, since none of them has words or a
    voice (tests/integration/test_check.py measures each line)."""

    def remembering(models: metrics.MetricModels, speech: Samples, language: str) -> Any:
        key = ("measure", language)
        if key not in analyses:
            analyses[key] = measure(models, speech, language)
        return analyses[key]

    return remembering


def _voiceclone(words: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """Through the console script's own function, in this process: pyannote is imported once for all."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    monkeypatch.setattr(sys, "argv", words)
    try:
        with pytest.raises(SystemExit) as end:
            main()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return int(end.value.code or 0)


def _lay_out(folder: Path, sample_wav: Path, finished: Path) -> None:
    """The files that the docs speak of."""
    shutil.copytree(finished, folder / finished.name)
    shutil.copy(sample_wav, folder / "input.wav")
    samples, rate = soundfile.read(sample_wav, dtype="float32")
    write_media(folder / "input.mp4", samples, rate, video=True)
    shutil.copy(finished / "speakers" / "SPEAKER_01" / "reference.wav", folder / "voice.wav")
    shutil.copytree(ROOT / "examples", folder / "examples")
    for language in ("es", "zh"):
        shutil.copy(ROOT / "examples" / f"sample.{language}.srt", folder / f"translation.{language}.srt")
    season = folder / "season"
    season.mkdir()
    shutil.copy(folder / "input.wav", season / "E01.wav")
    shutil.copy(folder / "input.mp4", season / "E02.mp4")
    for name in ("E01.es.srt", "E02.es.srt"):
        shutil.copy(folder / "translation.es.srt", season / name)
    page = (ROOT / "docs" / "batch.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"^```csv\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    (season / "episodes.csv").write_text(table, encoding="utf-8")
    task = {
        "schema": "voiceclone.task/1",
        "speaker": "SPEAKER_00",
        "engine": {"name": "echo"},
        "reference": {"audio": str(folder / "voice.wav"), "text": "", "codes": ""},
        "output_dir": str(folder / "spoken"),
        "segments": [{"id": "0001", "text": "Hello.", "language": "en", "seed": 1, "max_seconds": None}],
    }
    (folder / "task.json").write_text(json.dumps(task), encoding="utf-8")

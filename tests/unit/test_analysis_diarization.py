"""Which diarizer is chosen, which numbers are refused, and which progress is reported."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from platforms import needs_posix_paths
from voiceclone_cli.analysis import diarization
from voiceclone_cli.analysis.diarization import SpeakerCount, progress_hook
from voiceclone_cli.errors import InputError, PreflightError
from voiceclone_cli.types import ProgressEvent


class Registry:
    """A registry that keeps what was requested; ``closed`` entries are not available."""

    def __init__(self, *, closed: Sequence[str] = ()) -> None:
        self.closed = closed
        self.requested: list[str] = []

    def __call__(self, names: Sequence[str]) -> Mapping[str, Path]:
        self.requested += names
        for name in names:
            if name in self.closed:
                raise PreflightError(f"{name} needs a token.", code="model_gated")
        return {name: Path("models") / name for name in names}


def choose(
    diarizer: str, registry: Registry, *, here: Sequence[str] = (), token: str | None = None
) -> diarization.DiarizationModel:
    return diarization.choose_diarizer(
        diarizer, models=registry, is_downloaded=lambda name: name in here, token=token
    )


def test_auto_is_embedded_and_asks_nothing_of_the_hub_without_files_or_token() -> None:
    registry = Registry(closed=["community-1"])
    model = choose("auto", registry)
    assert model.name == "embedded"
    assert "no hub token" in model.why
    assert registry.requested == ["segmentation-3.0", "campplus"]


@pytest.mark.parametrize(("here", "token"), [(["community-1"], None), ([], "hf_x")])
def test_auto_is_community_1_where_its_files_or_a_token_are(here: list[str], token: str | None) -> None:
    model = choose("auto", Registry(), here=here, token=token)
    assert model.name == "community-1"
    assert model.folders == {"community-1": Path("models/community-1")}


def test_auto_falls_back_and_says_why_when_the_token_opens_nothing() -> None:
    model = choose("auto", Registry(closed=["community-1"]), token="hf_x")
    assert model.name == "embedded"
    assert "community-1 needs a token." in model.why


def test_community_1_by_name_is_never_silently_replaced() -> None:
    with pytest.raises(PreflightError, match="needs a token"):
        choose("community-1", Registry(closed=["community-1"]))


def test_embedded_by_name_does_not_ask_for_community_1() -> None:
    registry = Registry()
    assert choose("embedded", registry, here=["community-1"], token="hf_x").name == "embedded"
    assert "community-1" not in registry.requested


def test_a_folder_with_a_config_is_a_diarizer(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("pipeline: {}\n", encoding="utf-8")
    registry = Registry()
    assert choose(str(tmp_path), registry).name == str(tmp_path)
    assert registry.requested == []


@pytest.mark.parametrize("name", ["", "pyannote", "no/such/folder", "."])
def test_anything_else_is_refused_in_one_sentence(name: str) -> None:
    with pytest.raises(InputError, match="neither auto, embedded, community-1 nor a folder") as error:
        choose(name, Registry())
    assert error.value.code == "unknown_diarizer"


@needs_posix_paths
def test_the_home_of_an_unknown_user_is_refused_in_one_sentence() -> None:
    with pytest.raises(
        InputError, match="~nobody-99/x names the home of a user who is not known on this machine"
    ):
        choose("~nobody-99/x", Registry())


@pytest.mark.parametrize(
    ("exactly", "least", "most", "sentence"),
    [
        (0, None, None, "--speakers must be 1 or more"),
        (None, -1, None, "--min-speakers must be 1 or more"),
        (None, None, 0, "--max-speakers must be 1 or more"),
        (None, 4, 3, "--min-speakers 4 is more than --max-speakers 3"),
        (2, 3, None, "--speakers 2 is outside"),
        (5, None, 4, "--speakers 5 is outside"),
    ],
)
def test_numbers_of_speakers_that_make_no_sense_are_refused_before_any_work(
    exactly: int | None, least: int | None, most: int | None, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence) as error:
        SpeakerCount(exactly, least, most)
    assert error.value.code == "speaker_count"


@pytest.mark.parametrize(
    ("count", "found", "mismatch"),
    [
        (SpeakerCount(), 1, None),
        (SpeakerCount(2), 2, None),
        (SpeakerCount(5, None, None), 3, "3 speakers found, although at least 5 were requested"),
        (SpeakerCount(None, None, 2), 3, "3 speakers found, although at most 2 were requested"),
        (SpeakerCount(None, 1, 4), 4, None),
    ],
)
def test_a_number_that_was_asked_for_and_not_found_is_reported(
    count: SpeakerCount, found: int, mismatch: str | None
) -> None:
    assert count.mismatch(found) == mismatch


def reported(calls: Sequence[Callable[[Callable[..., None]], None]]) -> list[ProgressEvent]:
    events: list[ProgressEvent] = []
    hook = progress_hook(events.append, 30.0)
    for call in calls:
        call(hook)
    return events


def test_progress_never_runs_backwards_nor_past_the_end() -> None:
    events = reported(
        [
            lambda hook: hook("segmentation", None, completed=0, total=21),
            lambda hook: hook("segmentation", None, completed=np.int64(32), total=np.int64(21)),
            lambda hook: hook("embeddings", None, completed=1, total=2, file={}),
            lambda hook: hook("segmentation", None, completed=1, total=21),
            lambda hook: hook("embeddings", None),
            lambda hook: hook("discrete_diarization", None),
        ]
    )
    done = [event.completed for event in events]
    assert done == sorted(done)
    assert done[0] == 0.0
    assert done[-1] == 30.0
    assert all(type(event.completed) is float and event.total == 30.0 for event in events)


def test_steps_of_foreign_pipelines_are_passed_over() -> None:
    assert reported([lambda hook: hook("something else", None, completed=1, total=2)]) == []


def test_torchaudio_without_its_cuda_libraries_is_imported_without_its_binary_half(tmp_path: Path) -> None:
    extension = tmp_path / "torchaudio" / "_extension.py"
    extension.parent.mkdir()
    extension.with_name("__init__.py").write_text("from torchaudio import _extension\n", encoding="utf-8")
    extension.write_text(
        "raise OSError('libc10_cuda.so: cannot open shared object file')\n", encoding="utf-8"
    )
    assert printed_after_ensuring("torchaudio._extension._IS_ALIGN_AVAILABLE", tmp_path) == "False"


def test_a_torchaudio_that_works_is_left_as_it_is(tmp_path: Path) -> None:
    extension = tmp_path / "torchaudio" / "_extension.py"
    extension.parent.mkdir()
    extension.with_name("__init__.py").write_text("from torchaudio import _extension\n", encoding="utf-8")
    extension.write_text("OWN = 'its own'\n", encoding="utf-8")
    assert printed_after_ensuring("torchaudio._extension.OWN", tmp_path) == "its own"


def printed_after_ensuring(expression: str, folder: Path) -> str:
    """What a fresh interpreter prints that finds torchaudio in ``folder``."""
    return fresh_python(
        "from voiceclone_cli.analysis.diarization import ensure_torchaudio;"
        f"ensure_torchaudio(); import torchaudio; print({expression})",
        folder,
    )


def fresh_python(code: str, *folders: Path) -> str:
    answer = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (*folders, *sys.path)))},
    )
    return answer.stdout.strip()


def test_importing_the_package_imports_nothing_heavy() -> None:
    heavy = {"torch", "pyannote", "torchaudio", "scipy"}
    code = (
        "import sys, voiceclone_cli.analysis.diarization, voiceclone_cli.references.build;"
        f"print(sorted({heavy} & set(sys.modules)))"
    )
    assert fresh_python(code) == "[]"


def test_what_other_threads_print_meanwhile_is_not_lost(capsys: pytest.CaptureFixture[str]) -> None:
    def diarize(name: str) -> None:
        begun.wait()
        for _ in range(50):
            with diarization.quiet_libraries():
                print("of a library")
            sys.stdout.write(f"{name}\n")

    begun = threading.Barrier(3)
    threads = [threading.Thread(target=diarize, args=(name,)) for name in ("one", "two")]
    stdout = sys.stdout
    for thread in threads:
        thread.start()
    begun.wait()
    for _ in range(50):
        sys.stdout.write("three\n")
    for thread in threads:
        thread.join()
    assert sys.stdout is stdout
    printed = capsys.readouterr().out.split()
    assert {name: printed.count(name) for name in set(printed)} == {"one": 50, "two": 50, "three": 50}

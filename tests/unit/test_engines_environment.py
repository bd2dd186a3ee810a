"""Where the fish environment lies, what counts as complete, and what it is built with."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from platforms import needs_shell_scripts, needs_symlinks
from voiceclone_cli.cli.app import app
from voiceclone_cli.config import Settings, resolve
from voiceclone_cli.engines import environment
from voiceclone_cli.engines.environment import (
    ChildFailedError,
    EnvironmentState,
    Recipe,
    find_base,
    pip_environment,
    run_logged,
)
from voiceclone_cli.errors import InputError, PreflightError

RUNNING = (sys.version_info[0], sys.version_info[1])


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """With a home of their own, for the library and the command."""
    monkeypatch.setenv("VOICECLONE_HOME", str(tmp_path / "home"))
    return resolve({})


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    return recipe_of(tmp_path, "tiny==1.0\n")


def recipe_of(folder: Path, lock: str) -> Recipe:
    path = folder / "lock.txt"
    path.write_text(lock, encoding="utf-8", newline="")
    return Recipe(path)


def write_environment(settings: Settings, recipe: Recipe) -> Path:
    """Write what a finished build leaves, without its packages."""
    folder = environment.environment_folder(settings, recipe)
    python = environment.environment_interpreter(folder)
    python.parent.mkdir(parents=True)
    python.write_bytes(b"x" * 1000)
    record = {
        "torch": "torch==2.13.0",
        "index": "",
        "python": "3.11.7",
        "base": "/usr/bin/python3.11",
        "lock": recipe.digest,
        "created": "2026-01-02T03:04:05+00:00",
    }
    (folder / "complete.json").write_text(json.dumps(record), encoding="utf-8")
    return folder


def run(*arguments: str) -> tuple[str, str, BaseException | None]:
    result = CliRunner().invoke(app, ["env", *arguments])
    return result.stdout, result.stderr, result.exception


def test_the_real_recipe_pins_the_old_protobuf_and_is_found_in_the_checkout() -> None:
    recipe = environment.fish_recipe()
    assert recipe.lock == Path(__file__).parents[2] / "worker_env" / "requirements-fish.txt"
    assert recipe.pins()["protobuf"] == "3.19.6"
    assert recipe.torch == "torch==2.13.0"


def test_a_pin_counts_where_its_marker_holds(tmp_path: Path) -> None:
    recipe = recipe_of(
        tmp_path,
        '# a comment\ntiny==1.0\nclock==1.2; sys_platform == "win32"\nold==3.0; python_version < "3.12"\n',
    )
    assert recipe.pins({"sys_platform": "win32", "python_version": "3.12"}) == {"tiny": "1.0", "clock": "1.2"}
    assert recipe.pins({"sys_platform": "darwin", "python_version": "3.11"}) == {"tiny": "1.0", "old": "3.0"}


def test_on_windows_the_lock_has_what_its_packages_need_only_there() -> None:
    recipe = environment.fish_recipe()
    there, here = (recipe.pins({"sys_platform": system}) for system in ("win32", "linux"))
    assert there.keys() - here.keys() == {"colorama", "win32-setctime"}
    assert recipe.pins({"sys_platform": "darwin"}) == here


def test_the_lock_lies_beside_the_worker_or_in_it(tmp_path: Path) -> None:
    worker = tmp_path / "voiceclone_worker"
    worker.mkdir()
    with pytest.raises(PreflightError, match="install voiceclone again"):
        environment.fish_recipe(worker)
    in_a_checkout = tmp_path / "requirements-fish.txt"
    in_a_checkout.touch()
    assert environment.fish_recipe(worker).lock == in_a_checkout
    in_a_wheel = worker / "requirements-fish.txt"
    in_a_wheel.touch()
    assert environment.fish_recipe(worker).lock == in_a_wheel


def test_a_changed_lock_is_another_folder_and_line_ends_do_not_count(
    tmp_path: Path, settings: Settings
) -> None:
    first = environment.environment_folder(settings, recipe_of(tmp_path, "tiny==1.0\n"))
    windows = environment.environment_folder(settings, recipe_of(tmp_path, "tiny==1.0\r\n"))
    second = environment.environment_folder(settings, recipe_of(tmp_path, "tiny==1.1\n"))
    assert first == windows != second
    assert first.parent == second.parent == tmp_path / "home" / "environments"


def test_without_a_home_it_lies_in_the_platforms_data_folder(recipe: Recipe) -> None:
    from platformdirs import user_data_path

    folder = environment.environments_folder(resolve({}, {}))
    assert folder == user_data_path("voiceclone", appauthor=False) / "environments"


def test_a_complete_environment_has_an_interpreter(settings: Settings, recipe: Recipe) -> None:
    assert environment.environment_python(settings, recipe) is None
    folder = write_environment(settings, recipe)
    assert environment.environment_python(settings, recipe) == environment.environment_interpreter(folder)
    assert environment.environment_status(settings, recipe).state is EnvironmentState.COMPLETE


@pytest.mark.parametrize("text", ["", "{", "[]", '{"torch": "x"}', None])
def test_without_a_record_that_can_be_read_it_is_broken(
    settings: Settings, recipe: Recipe, text: str | None
) -> None:
    path = write_environment(settings, recipe) / "complete.json"
    path.unlink() if text is None else path.write_text(text, encoding="utf-8")
    assert environment.environment_python(settings, recipe) is None
    assert environment.environment_status(settings, recipe).state is EnvironmentState.BROKEN


@needs_symlinks
def test_without_its_base_interpreter_it_is_broken(settings: Settings, recipe: Recipe) -> None:
    python = environment.environment_interpreter(write_environment(settings, recipe))
    python.unlink()
    python.symlink_to("/no/such/python")
    assert environment.environment_python(settings, recipe) is None
    assert environment.environment_status(settings, recipe).state is EnvironmentState.BROKEN


def test_show_of_nothing_says_what_to_do(settings: Settings) -> None:
    out, err, error = run("show")
    assert out.splitlines()[0].split() == ["state", "absent"]
    assert "voiceclone env create" in out
    assert (err, error) == ("", None)


def test_show_names_what_is_complete_stale_and_used_instead(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_environment(settings, environment.fish_recipe())
    stale = write_environment(settings, recipe_of(tmp_path, "old==1.0\n"))
    monkeypatch.setenv("FISH_SPEECH_PYTHON", "/opt/other/python")
    out, err, _ = run("show")
    rows = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert rows["state"] == "complete"
    assert rows["folder"] == str(folder)
    assert rows["torch"] == "torch==2.13.0"
    assert rows["stale"].startswith(str(stale))
    assert "/opt/other/python: that interpreter is used instead" in err
    document = json.loads(run("show", "--json")[0])
    assert document["schema"] == "voiceclone.environment/1"
    assert (document["state"], document["python_version"]) == ("complete", "3.11.7")
    assert document["size"] > 1000
    assert [row["folder"] for row in document["stale"]] == [str(stale)]
    assert document["used_instead"] == "/opt/other/python"


def test_remove_takes_this_one_and_names_the_others(settings: Settings, tmp_path: Path) -> None:
    folder = write_environment(settings, environment.fish_recipe())
    stale = write_environment(settings, recipe_of(tmp_path, "old==1.0\n"))
    environment.environment_log(folder).write_text("words", encoding="utf-8")
    out, err, _ = run("remove")
    assert out == f"{folder}\n"
    assert "1 more" in err and "--all" in err
    assert not folder.exists() and not environment.environment_log(folder).exists() and stale.exists()


def test_remove_all_takes_the_stale_ones_and_nothing_else(settings: Settings, tmp_path: Path) -> None:
    stale = write_environment(settings, recipe_of(tmp_path, "old==1.0\n"))
    bystander = stale.parent / "notes"
    bystander.mkdir()
    assert run("remove", "--all")[0] == f"{stale}\n"
    assert bystander.exists() and not stale.exists()


def test_remove_says_when_there_is_nothing_and_what_it_leaves(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FISH_SPEECH_PYTHON", "/opt/other/python")
    out, err, error = run("remove")
    assert (out, error) == ("", None)
    assert "Nothing to remove" in err
    assert "/opt/other/python, which is not removed" in err


def test_a_folder_that_cannot_be_used_is_one_sentence(tmp_path: Path, recipe: Recipe) -> None:
    (tmp_path / "home").write_text("a file is in the way", encoding="utf-8")
    settings = resolve({}, {"VOICECLONE_HOME": str(tmp_path / "home")})
    with pytest.raises(PreflightError, match="VOICECLONE_HOME to another folder"):
        environment.create_environment(settings, recipe=recipe)


def test_this_interpreter_is_taken_when_it_fits() -> None:
    found = find_base(None, [RUNNING])
    assert found.path == sys.executable
    assert found.version == sys.version_info[:3]


def test_no_interpreter_that_fits_is_one_sentence_that_names_those_tried() -> None:
    with pytest.raises(
        PreflightError, match=r"needs Python 3\.98 or 3\.99, and this one is Python 3\."
    ) as error:
        find_base(None, [(3, 99), (3, 98)])
    assert "python3.99 is not on the PATH" in error.value.message
    assert "--python" in error.value.message
    assert error.value.exit_code == 4


@needs_shell_scripts
def test_a_shim_on_the_path_that_does_not_run_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shim = tmp_path / "python3.99"
    shim.write_text("#!/bin/sh\necho 'command not found' >&2\nexit 127\n", encoding="utf-8")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(PreflightError, match=r"python3\.99 does not answer as a Python does"):
        find_base(None, [(3, 99)])


@pytest.mark.skipif(os.name == "nt", reason="the launcher is a shell script here")
def test_the_launcher_finds_an_interpreter_that_is_not_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows. The script answers for one version and fails for others, as the launcher does."""
    wanted = f"{RUNNING[0]}.{RUNNING[1]}"
    launcher = tmp_path / "py"
    launcher.write_text(
        f'#!/bin/sh\n[ "$1" = -{wanted} ] || exit 103\nshift\nexec {sys.executable} "$@"\n', encoding="utf-8"
    )
    launcher.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "another python"))
    found = find_base(None, [(3, 99), RUNNING])
    assert found.version[:2] == RUNNING
    assert Path(found.path).name.startswith("python"), "the interpreter, not the launcher"
    with pytest.raises(PreflightError, match=r"py -3\.99 does not answer as a Python does"):
        find_base(None, [(3, 99)])


def test_the_interpreter_that_is_named_must_fit(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no program", encoding="utf-8")
    with pytest.raises(PreflightError, match=r"is Python 3\.\d+\.\d+: name a Python 3\.99"):
        find_base(sys.executable, [(3, 99)])
    with pytest.raises(PreflightError, match="cannot be started"):
        find_base(str(tmp_path / "nowhere"), [RUNNING])
    with pytest.raises(PreflightError, match="cannot be started"):
        find_base(str(text), [RUNNING])
    assert find_base(sys.executable, [RUNNING]).path == sys.executable


def test_an_option_for_pip_must_look_like_one(settings: Settings) -> None:
    _, _, error = run("create", "requests")
    assert isinstance(error, InputError)
    assert "env create -- " in error.message


def test_pip_gets_its_settings_and_proxies_and_nothing_of_this_environment() -> None:
    kept = {"PIP_INDEX_URL": "https://example.org/simple", "HTTPS_PROXY": "http://proxy:1", "PATH": "/bin"}
    unwanted = ["PYTHONPATH", "PYTHONHOME", "__PYVENV_LAUNCHER__", "VIRTUAL_ENV", "PIP_TARGET", "HF_TOKEN"]
    seen = pip_environment({**kept, **dict.fromkeys(unwanted, "x")})
    assert kept.items() <= seen.items()
    assert not set(unwanted) & set(seen)


def test_a_login_that_a_child_prints_is_hidden_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pip itself hides logins, but not that of a proxy whose URL it cannot parse."""
    monkeypatch.setenv("HTTPS_PROXY", "http://me:pass/word@proxy:x")
    log, lines = tmp_path / "log", list[str]()
    program = "import os, sys; sys.exit('ERROR: Failed to parse: ' + os.environ['HTTPS_PROXY'])"
    with pytest.raises(ChildFailedError) as caught:
        run_logged([sys.executable, "-c", program], os.environ, log, lines.append)
    texts = [str(caught.value), *lines, log.read_text(encoding="utf-8")]
    assert len(texts) == 3 and all("Failed to parse" in text and "pass/word" not in text for text in texts)


def test_the_output_of_a_child_is_passed_on_and_logged_and_its_error_is_the_reason(tmp_path: Path) -> None:
    log, lines = tmp_path / "log", list[str]()
    log.write_text("before\n", encoding="utf-8")
    program = (
        "print('one'); print('ERROR: no such package'); print('ERROR: ResolutionImpossible: see a page');"
        "print('hint: try another'); raise SystemExit(1)"
    )
    with pytest.raises(ChildFailedError, match=r"^no such package$"):
        run_logged([sys.executable, "-c", program], os.environ, log, lines.append)
    assert (lines[0], lines[-1], len(lines)) == ("one", "hint: try another", 4)
    assert log.read_text(encoding="utf-8").splitlines() == ["before", *lines]


def test_a_child_that_fails_in_silence_still_has_a_reason(tmp_path: Path) -> None:
    with pytest.raises(ChildFailedError, match="exit code 3"):
        run_logged(
            [sys.executable, "-c", "raise SystemExit(3)"], os.environ, tmp_path / "log", lambda line: None
        )

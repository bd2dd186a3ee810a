"""The nevers of the structure: which imports there are not (docs/architecture.md)."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIBRARY = "voiceclone_cli"
WORKER = "voiceclone_worker"

SHARED = {
    f"{WORKER}.{name}"
    for name in (
        *("protocol", "validation", "telemetry", "runtime", "atomic", "engines"),
        *("dnsmos", "speech_units", "tags", "engines.fish.configuration", "engines.fish.layout"),
    )
}
"""Standard library only: what is said, how a child of either environment behaves, and what both measure."""

PHONEMES = f"{WORKER}.engines.kokoro.phonemes"
"""How a language is read, for speaking and for checking: standard library only, until a text is read."""

WAY_OF_THE_DATA = (
    "audio",
    "workers",
    "analysis",
    "script",
    "references",
    "mixing",
    "video",
    "report",
)


def sources() -> dict[str, Path]:
    """Every module of both packages, by its dotted name; a package is its ``__init__``."""
    found = {}
    for base in (ROOT / "src", ROOT / "worker_env"):
        for path in base.rglob("*.py"):
            parts = path.relative_to(base).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


SOURCES = sources()


def imported(path: Path) -> Iterator[str]:
    """The names in a file's import statements, those inside functions and for types too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"a relative import in {path}"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in SOURCES else node.module


GRAPH = {module: {name for name in imported(path) if name in SOURCES} for module, path in SOURCES.items()}


def room(module: str) -> str:
    """The folder or file of the library that a module belongs to."""
    return module.split(".")[1] if "." in module else module


def rooms() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for module, names in GRAPH.items():
        if module.split(".")[0] == LIBRARY:
            reached = {room(name) for name in names if name.split(".")[0] == LIBRARY}
            found.setdefault(room(module), set()).update(reached - {room(module), LIBRARY})
    return found


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    """One that is in the graph; none where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found
    return []


def test_no_module_imports_itself_through_others() -> None:
    assert circle({module: names - {module} for module, names in GRAPH.items()}) == []


def test_no_room_of_the_library_reaches_itself_through_others() -> None:
    assert circle(rooms()) == []


def test_a_circle_would_be_found() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) != []


def test_no_room_reaches_back_along_the_way_of_the_data() -> None:
    there = rooms()
    for number, early in enumerate(WAY_OF_THE_DATA):
        assert not there[early] & set(WAY_OF_THE_DATA[number + 1 :]), early
    assert {name for pair in pairwise(WAY_OF_THE_DATA) for name in pair} <= there.keys()


def test_the_library_does_not_import_the_command() -> None:
    for module, names in GRAPH.items():
        if room(module) not in ("cli", "__main__"):
            assert not [name for name in names if room(name) == "cli"], module


def test_only_the_command_imports_what_draws_and_parses() -> None:
    for module, path in SOURCES.items():
        if room(module) not in ("cli", "__main__"):
            drawn = {name.split(".")[0] for name in imported(path)} & {"rich", "typer", "click"}
            assert not drawn, module


def is_shared(module: str) -> bool:
    """Whether a module of the worker may be imported by the UI package."""
    return module in SHARED or module == PHONEMES or module.startswith(f"{PHONEMES}.")


def test_the_ui_package_imports_nothing_of_the_worker_but_what_is_made_to_be_shared() -> None:
    for module, path in SOURCES.items():
        if module.split(".")[0] == LIBRARY:
            names = {name for name in imported(path) if name.split(".")[0] == WORKER}
            assert not [name for name in names if not is_shared(name)], module


def test_the_worker_imports_nothing_of_the_ui_package() -> None:
    for module, path in SOURCES.items():
        if module.split(".")[0] == WORKER:
            assert not [name for name in imported(path) if name.split(".")[0] == LIBRARY], module


@pytest.mark.parametrize("shared", sorted(SHARED))
def test_what_is_shared_needs_only_the_standard_library(shared: str) -> None:
    for name in imported(SOURCES[shared]):
        assert is_shared(name) or name.split(".")[0] in sys.stdlib_module_names, name


def test_the_modules_of_languages_load_nothing_else_before_they_read() -> None:
    names = sorted(module for module in SOURCES if is_shared(module) and module not in SHARED)
    assert f"{PHONEMES}.registry" in names and f"{PHONEMES}.spanish" in names
    program = (
        f"import sys; before = set(sys.modules); import {', '.join(names)}; print(*set(sys.modules) - before)"
    )
    path = os.pathsep.join((str(ROOT / "worker_env"), *filter(None, (os.environ.get("PYTHONPATH"),))))
    answer = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        check=True,
    )
    loaded = {name.split(".")[0] for name in answer.stdout.decode().split()}
    assert WORKER in loaded
    assert loaded - {WORKER} <= set(sys.stdlib_module_names)


def test_a_class_name_stands_for_one_thing() -> None:
    places: dict[str, list[str]] = {}
    for module, path in SOURCES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(module)
    assert {name: modules for name, modules in places.items() if len(modules) > 1} == {}


PLATFORM_MODULES = {f"{LIBRARY}.system", f"{LIBRARY}.children", f"{WORKER}.runtime"}
"""What differs from platform to platform is there, and nowhere else."""

PLATFORM_IMPORTS = {"fcntl", "resource", "shlex", "msvcrt", "winreg", "pwd", "grp", "termios"}

PLATFORM_CALLS = {
    *("os.kill", "os.killpg", "os.getuid", "os.getppid", "os.getpgrp", "os.fork", "os.waitid", "os.setsid"),
    *("signal.signal", "signal.getsignal", "signal.raise_signal", "subprocess.Popen"),
}

DESCRIBES_THE_CPU = f"{WORKER}.tools"
"""Reads /proc/cpuinfo, where there is one, for what no library tells."""


def test_what_platforms_do_otherwise_is_in_the_platform_modules_only() -> None:
    for module, path in SOURCES.items():
        if module in PLATFORM_MODULES:
            continue
        assert not set(imported(path)) & PLATFORM_IMPORTS, module
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                assert ast.unparse(node.func) not in PLATFORM_CALLS, f"{module}:{node.lineno}"
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert module == DESCRIBES_THE_CPU or not node.value.startswith("/proc/"), (
                    f"{module}:{node.lineno}"
                )


UNLIMITED_WAITS = {"wait", "join", "get", "result", "acquire", "communicate"}

NO_WAITS_OF_THE_MAIN_THREAD = {
    (f"{LIBRARY}.children", "await_end"): "the thread of a worker's end",
    (f"{LIBRARY}.rundir.directory", "locked"): "a lock that is tried once",
    (f"{LIBRARY}.doctor.run", "run_checks"): "a future that is done",
    (f"{LIBRARY}.provenance.watermark", "process"): "futures that are done",
    (f"{LIBRARY}.provenance.watermark", "__exit__"): "futures that are done",
    (f"{LIBRARY}.workers.pool", "run"): "the result of a job that is over",
    (f"{LIBRARY}.workers.process", "_put_event"): "the thread of a worker's stderr",
    (f"{LIBRARY}.cluster.worker", "_take_message"): "an actor of Ray",
    (f"{LIBRARY}.cluster.worker", "_take_report"): "the thread of a worker on a node",
    (f"{LIBRARY}.cluster.connection", "_join"): "the method that waits for JOIN_SECONDS",
    (f"{LIBRARY}.cluster.connection", "_live"): "the thread of the session",
    (f"{LIBRARY}.translation.translate", "_answer_to"): "a thread that waits for its turn",
    (f"{LIBRARY}.analysis.remote", "run"): "a job that is over, and a method that waits in steps",
}
"""Calls that look like a wait without a limit, by module and function, and what they are."""


def unlimited_waits(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Function and line of every call of a method that may wait for ever."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            for node in ast.walk(function):
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Attribute)
                    and node.func.attr in UNLIMITED_WAITS
                    and not node.args
                    and not node.keywords
                ):
                    yield function.name, node.lineno


def test_the_main_thread_waits_for_nothing_without_a_limit() -> None:
    """On Windows no signal ends a wait: Ctrl-C is heard when it is over."""
    met = set()
    for module, path in SOURCES.items():
        if module.split(".")[0] == LIBRARY:
            for function, line in unlimited_waits(ast.parse(path.read_text(encoding="utf-8"))):
                assert (module, function) in NO_WAITS_OF_THE_MAIN_THREAD, f"{module}:{line}"
                met.add((module, function))
    assert met == NO_WAITS_OF_THE_MAIN_THREAD.keys()


TEXT_METHODS = {"read_text": 0, "write_text": 1}
"""Which argument is the encoding, where it has no name."""


def test_text_is_read_and_written_in_an_encoding_that_is_said() -> None:
    """What Python takes for it otherwise is the code page on Windows."""
    for module, path in SOURCES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or any(given.arg == "encoding" for given in node.keywords):
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
            where = f"{module}:{node.lineno}"
            if name in TEXT_METHODS:
                assert len(node.args) > TEXT_METHODS[name], where
            elif ast.unparse(node.func) == "open" or (name == "open" and is_path_open(node)):
                modes = [given.value for given in node.args if isinstance(given, ast.Constant)]
                assert any("b" in str(mode) for mode in modes), where


def is_path_open(call: ast.Call) -> bool:
    """Whether ``x.open(...)`` is that of a path: what modules and archives open has more arguments, or none."""
    first = call.args[0] if call.args else None
    return (
        isinstance(first, ast.Constant) and isinstance(first.value, str) and set(first.value) <= set("rwxab+")
    )


def test_a_wait_and_a_text_without_their_limits_would_be_found() -> None:
    found = list(unlimited_waits(ast.parse("def f():\n    thread.join()\n    thread.join(1)\n")))
    assert found == [("f", 2)]
    assert is_path_open(ast.parse("path.open('w')").body[0].value)  # type: ignore[attr-defined]


def test_the_registries_that_every_command_reads_load_neither_a_reader_nor_the_protocol() -> None:
    program = f"import sys, {WORKER}.engines; print(*(name for name in sys.modules if {WORKER!r} in name))"
    loaded = subprocess.check_output(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": str(ROOT / "worker_env")}, text=True
    )
    assert set(loaded.split()) == {
        *(WORKER, f"{WORKER}.engines", f"{WORKER}.engines.kokoro", PHONEMES, f"{PHONEMES}.registry")
    }

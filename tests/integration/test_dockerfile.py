"""The Dockerfile. Without Docker its instructions are read and what it copies is built; with it the image is built."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import venv
from pathlib import Path

import pytest

from package_build import build_wheel

ROOT = Path(__file__).parents[2]


def instructions() -> list[tuple[str, str]]:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = (line.strip() for line in text.splitlines())
    return [
        (word, rest.strip())
        for word, _, rest in (line.partition(" ") for line in lines if line and line[0] != "#")
    ]


def copied() -> list[str]:
    return [path for word, rest in instructions() if word == "COPY" for path in shlex.split(rest)[:-1]]


def test_what_the_dockerfile_copies_is_sent_to_the_builder_and_makes_the_package(tmp_path: Path) -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert next(line for line in ignored if line and line[0] != "#") == "*"
    assert {line[1:] for line in ignored if line.startswith("!")} == set(copied())
    for path in copied():
        copy = shutil.copytree if (ROOT / path).is_dir() else shutil.copy
        copy(ROOT / path, tmp_path / path)
    assert build_wheel(tmp_path / "wheel", tmp_path).stat().st_size > 1_000_000


def test_the_dockerfile_installs_the_pins_before_the_code_and_keeps_the_models_in_a_volume() -> None:
    steps = instructions()
    runs = [rest for word, rest in steps if word == "RUN"]
    pins, package = (
        next(n for n, rest in enumerate(runs) if part in rest)
        for part in ("-r requirements-ui", "--no-deps .")
    )
    assert pins < package < next(n for n, rest in enumerate(runs) if "env create" in rest)
    environ = dict(pair.split("=", 1) for word, rest in steps if word == "ENV" for pair in shlex.split(rest))
    assert environ["VOICECLONE_HOME"] in [rest for word, rest in steps if word == "VOLUME"]
    assert environ["FISH_SPEECH_PYTHON"].startswith("/opt/fish/")
    assert steps[-2:] == [("ENTRYPOINT", '["voiceclone"]'), ("CMD", '["--help"]')]


@pytest.mark.skipif(os.name == "nt", reason="the line is for the image's shell")
def test_the_line_that_links_the_fish_environment_leads_to_its_packages(tmp_path: Path) -> None:
    """With a small environment in the place of that of fish-speech: its Python must know where it is, through the link."""
    environment = tmp_path / "fish" / "environments" / "fish-0123"
    venv.create(environment, with_pip=False, symlinks=True)
    (site,) = environment.glob("lib/python*/site-packages")
    (site / "of_this_environment.py").touch()
    command = tmp_path / "voiceclone"
    command.write_text(
        f'#!/bin/sh\n[ "$VOICECLONE_HOME $*" = "{tmp_path}/fish env create" ] && echo {environment}/bin/python\n',
        encoding="utf-8",
    )
    command.chmod(0o755)
    (line,) = (rest for word, rest in instructions() if word == "RUN" and "env create" in rest)
    environ = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run(["sh", "-c", line.replace("/opt/fish", f"{tmp_path}/fish")], env=environ, check=True)
    (named,) = (
        rest.partition("=")[2] for word, rest in instructions() if rest.startswith("FISH_SPEECH_PYTHON=")
    )
    python = named.replace("/opt/fish", f"{tmp_path}/fish")
    subprocess.run([python, "-c", "import of_this_environment"], env={}, check=True)


def test_the_lines_of_the_quick_start_mount_what_the_dockerfile_names() -> None:
    page = (ROOT / "docs" / "quickstart.md").read_text(encoding="utf-8")
    lines = re.findall(r"^docker .*", page, re.MULTILINE)
    volumes = {rest for word, rest in instructions() if word in ("VOLUME", "WORKDIR")}
    assert lines[0] == "docker build -t voiceclone ." and len(lines) == 4
    for line in lines[1:]:
        assert {pair.rpartition(":")[2] for pair in re.findall(r"-v (\S+)", line)} <= volumes


def builder() -> str | None:
    """Docker or podman, where it works and has the image that the Dockerfile begins with."""
    base = next(rest for word, rest in instructions() if word == "FROM")
    for name in ("docker", "podman"):
        program = shutil.which(name)
        if (
            program
            and subprocess.run([program, "image", "inspect", base], capture_output=True).returncode == 0
        ):
            return program
    return None


@pytest.mark.engine
@pytest.mark.skipif(builder() is None, reason="needs docker or podman, and its python:3.11-slim")
def test_the_image_is_built_and_checks_itself() -> None:
    program = builder()
    assert program is not None
    subprocess.run([program, "build", "-t", "voiceclone-test", str(ROOT)], check=True)
    done = subprocess.run(
        [program, "run", "--rm", "voiceclone-test", "env", "show"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    done = subprocess.run(
        [program, "run", "--rm", "voiceclone-test", "demo", "--engine", "echo"], capture_output=True
    )
    assert done.returncode == 0, done.stderr

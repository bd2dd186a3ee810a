"""With everything in the cache nothing at all is contacted: shown in a network namespace without a route.

The kernel counts there what any process, of whatever language, tries to send and finds no route for; a
watched interpreter says who it was. So the runs also prove that nobody waits for an answer or tries again.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import soundfile

from media_samples import write_wav
from short_talk import two_lines
from voiceclone_cli.models import store
from watch import WatchedPython, watched

_COUNT = """
"$@"
code=$?
cat /proc/net/snmp > "$0"
exit $code
"""


@dataclass(frozen=True)
class Lonely:
    """A process that ended in a namespace without a route."""

    done: subprocess.CompletedProcess[str]
    attempts: int
    """Packets that had nowhere to go."""

    @property
    def document(self) -> Any:
        return json.loads(self.done.stdout)


def alone(folder: Path, *command: object, **variables: str) -> Lonely:
    """Run ``command`` in a namespace of its own, in ``folder``, for a user whose home is ``folder/user``.

    Skips the test where the system forbids it.
    """
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-rn", "true"], capture_output=True).returncode != 0:
        pytest.skip("this system does not let a test make a network namespace (unshare -rn)")
    counts, user = folder / "snmp", folder / "user"
    user.mkdir(exist_ok=True)
    given = {"PATH": os.environ["PATH"], "HOME": str(user), "VOICECLONE_HOME": str(store.default_home())}
    done = subprocess.run(
        [unshare, "-rn", "sh", "-c", _COUNT, str(counts), *map(str, command)],
        cwd=folder,
        env=given | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=900,
    )
    names, numbers = (
        line.split() for line in counts.read_text(encoding="ascii").splitlines() if line.startswith("Ip:")
    )
    return Lonely(done, int(numbers[names.index("OutNoRoutes")]))


@pytest.fixture
def python(tmp_path: Path) -> WatchedPython:
    return watched(Path(sys.executable), tmp_path / "python")


def test_the_count_and_the_watch_see_a_call(python: WatchedPython, tmp_path: Path) -> None:
    """What the other tests rest on."""
    program = "import socket; socket.socket().connect_ex(('192.0.2.1', 443))"
    lonely = alone(tmp_path, python.python, "-c", program)
    assert lonely.attempts == 1
    assert python.calls == [["192.0.2.1", 443]]


@pytest.mark.engine
def test_a_run_with_the_models_in_the_cache_contacts_nobody(
    python: WatchedPython, sample_wav: Path, tmp_path: Path, model_folders: Mapping[str, Path]
) -> None:
    samples, rate = soundfile.read(sample_wav, dtype="float32")
    talk = write_wav(tmp_path / "talk.wav", samples[6 * rate : 18 * rate], rate)
    verb = (python.python, "-m", "voiceclone_cli", "run", talk, "--voice-effort", "fast")
    lonely = alone(tmp_path, *verb, "--out", "out", "--json")
    assert lonely.done.returncode == 0, lonely.done.stderr
    assert lonely.document["status"] == "success" and lonely.document["engine"] == "kokoro"
    assert len(python.processes) > 1, "the worker is watched too"
    assert (lonely.attempts, python.calls) == (0, [])
    # Telemetry that cannot be sent is kept for later. matplotlib's list of the system's fonts is none.
    left = [path for path in (tmp_path / "user").rglob("*") if path.is_file()]
    own = {"voiceclone", "matplotlib"}  # ours: how fast this machine is, and that its user was told
    assert [path for path in left if path.parent.name not in own] == []


@pytest.mark.engine
def test_a_run_with_fish_contacts_nobody(
    python: WatchedPython, tmp_path: Path, fish_python: Path, tiny_checkpoint: Path
) -> None:
    fish = watched(fish_python, tmp_path / "fish")
    flags = ("--engine", "fish", "--checkpoint", tiny_checkpoint, "--json")
    verb = (python.python, "-m", "voiceclone_cli", "run", *two_lines(tmp_path).inputs)
    lonely = alone(tmp_path, *verb, *flags, FISH_SPEECH_PYTHON=str(fish.python))
    assert lonely.done.returncode == 0, lonely.done.stderr
    assert lonely.document["engine"] == "fish" and lonely.document["status"] == "success"
    assert fish.processes and (lonely.attempts, python.calls, fish.calls) == (0, [], [])


@pytest.mark.engine
def test_looking_at_models_and_machine_contacts_nobody(
    python: WatchedPython, tmp_path: Path, model_folders: Mapping[str, Path], tiny_checkpoint: Path
) -> None:
    verb = (python.python, "-m", "voiceclone_cli")
    listed = alone(tmp_path, *verb, "models", "list", "--json")
    assert listed.done.returncode == 0 and listed.attempts == 0
    doctor = alone(tmp_path, *verb, "doctor", "--engine", "fish", "--checkpoint", tiny_checkpoint, "--json")
    assert doctor.done.returncode in (0, 4) and doctor.document["rows"], doctor.done.stderr
    assert (doctor.attempts, python.calls) == (0, [])


def test_with_a_token_and_no_network_the_hub_is_asked_once_and_no_more(
    python: WatchedPython, tmp_path: Path
) -> None:
    """It is looked up by its name; nothing else is."""
    home, hub = tmp_path / "home", tmp_path / "hub"
    lonely = alone(
        tmp_path,
        *(python.python, "-m", "voiceclone_cli", "models", "pull", "community-1"),
        **{"VOICECLONE_HOME": str(home), "HF_HOME": str(hub), "HF_TOKEN": "hf_neverToBeSent"},
    )
    assert lonely.done.returncode == 4 and "hub was not reached" in lonely.done.stderr
    assert {call[0] for call in python.calls} == {"huggingface.co"} and len(python.calls) == 1

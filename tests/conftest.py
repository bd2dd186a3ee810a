"""What every test shares: a home of its own, so that no user's settings or models leak in."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from judge import Judge, fetch_weights
from small_set import lacks
from voiceclone_cli import messages
from voiceclone_worker.telemetry import refuse_telemetry

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Messages are tested in English, whatever the locale is.
os.environ["LANG"] = "C.UTF-8"
for variable in ("LC_ALL", "LC_MESSAGES", "LANGUAGE"):
    os.environ.pop(variable, None)
refuse_telemetry()

# What is started in the background ignores these, and so would the commands under test.
for number in (signal.SIGINT, getattr(signal, "SIGHUP", signal.SIGTERM)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler)

if os.name == "nt":
    from hypothesis import HealthCheck, settings

    # Under wine a process is slow in its first seconds, whatever it does.
    settings.register_profile("windows", suppress_health_check=[HealthCheck.too_slow], deadline=None)
    settings.load_profile("windows")

_MODEL_HOME = os.environ.get("VOICECLONE_HOME")

_MINUTES = (
    "test_run",
    "test_docs",
    "test_kokoro_engine",
    "test_fish_run",
    "test_fish_engine",
    "test_cluster_faults",
    "test_cluster",
)
"""Files that take the longest: begun first, so that no core waits for one of them at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    place = {name: number for number, name in enumerate(_MINUTES)}
    items.sort(key=lambda item: place.get(item.path.stem, len(place)))


@pytest.hookimpl(tryfirst=True)
def pytest_make_collect_report(collector: pytest.Collector) -> pytest.CollectReport | None:
    """Skip a file that imports a package which was left out."""
    if isinstance(collector, pytest.Module):
        try:
            _ = collector.obj
        except collector.CollectError as error:
            if package := lacks(error.__cause__):
                reason = (str(collector.path), 0, _left_out(package))
                return pytest.CollectReport(collector.nodeid, "skipped", reason, [])
    return None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    return (yield from _skipping_what_is_left_out())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    return (yield from _skipping_what_is_left_out())


def _skipping_what_is_left_out() -> Iterator[None]:
    try:
        return (yield)
    except ModuleNotFoundError as error:
        if package := lacks(error):
            pytest.skip(_left_out(package))
        raise


def _left_out(package: str) -> str:
    return f"needs {package}, which is left out here (small_set.py)"


@pytest.hookimpl(optionalhook=True)
def pytest_handlecrashitem(crashitem: str, report: pytest.TestReport) -> None:
    """Name the test whose process died, at once: the summary comes last, and not at all where a time limit ends the run."""
    print(f"\n{crashitem}: {report.longrepr}", file=sys.stderr, flush=True)


@pytest.fixture(autouse=True)
def isolated_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting, token or .env of the user's reaches a test, and no test what is remembered of the machine."""
    for name in [key for key in os.environ if key.startswith(("FISH_", "VOICECLONE_", "HF_"))]:
        monkeypatch.delenv(name)
    if _MODEL_HOME:
        monkeypatch.setenv("VOICECLONE_HOME", _MODEL_HOME)
    messages.choose(None)
    # What is remembered of the machine; on Windows platformdirs asks the system for the folder, and this first.
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("WIN_PD_OVERRIDE_LOCAL_APPDATA", str(tmp_path / "state"))
    work = tmp_path / "cwd"
    work.mkdir()
    monkeypatch.chdir(work)


@pytest.fixture(scope="session")
def model_folders() -> Mapping[str, Path]:
    """The embedded models, fetched once and kept in the ordinary cache."""
    from voiceclone_cli.models import download

    return download.ensure_models(["segmentation-3.0", "campplus", "whisper-base", "kokoro", "dnsmos"])


@pytest.fixture(scope="session")
def fish_python() -> Path:
    """The interpreter of the fish environment, which is built once and kept where the command keeps it."""
    from voiceclone_cli.config import resolve
    from voiceclone_cli.engines.environment import environment_python

    environ = {"VOICECLONE_HOME": _MODEL_HOME} if _MODEL_HOME else {}
    python = environment_python(resolve({}, environ, dotenv=Path(os.devnull)))
    if python is None:
        pytest.fail("There is no fish environment: run `make fish`, or `voiceclone env create`.")
    return python


@pytest.fixture(scope="session")
def tiny_checkpoints(tmp_path_factory: pytest.TempPathFactory, fish_python: Path) -> Mapping[str, Path]:
    """A generated checkpoint of each generation: it speaks no words, but as long as a text asks. Made once for all
    processes of the suite, and not to be written into."""
    from filelock import FileLock

    from benchmarks.random_checkpoint import Size, make_checkpoint
    from voiceclone_cli.config import resolve

    settings = resolve({}, {"FISH_SPEECH_PYTHON": str(fish_python)}, dotenv=Path(os.devnull))
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "checkpoint"
    folder.mkdir(exist_ok=True)
    with FileLock(folder / "lock"):
        for size in (Size.TINY, Size.S2_TINY):
            if not (folder / size.value).exists():
                make_checkpoint(folder / size.value, size, settings)
    return {"S1": folder / Size.TINY.value, "S2": folder / Size.S2_TINY.value}


@pytest.fixture(scope="session")
def tiny_checkpoint(tiny_checkpoints: Mapping[str, Path]) -> Path:
    """The generated checkpoint of S1, for what does not depend on the generation."""
    return tiny_checkpoints["S1"]


@pytest.fixture(scope="session", params=["S1", "S2"])
def each_checkpoint(request: pytest.FixtureRequest, tiny_checkpoints: Mapping[str, Path]) -> Path:
    """Each of the generated checkpoints in turn."""
    return tiny_checkpoints[request.param]


@pytest.fixture(scope="session")
def sample_wav() -> Path:
    """A recording of 30 s; its turns, as people heard them, stand beside it (.rttm)."""
    from media_samples import conversation

    return conversation()


@pytest.fixture(scope="session")
def judge(pytestconfig: pytest.Config) -> Judge:
    """Who tells voices apart; it is fetched once and kept in pytest's cache."""
    assert pytestconfig.cache is not None
    return Judge(fetch_weights(pytestconfig.cache.mkdir("judge")))

"""Workers on a Ray cluster of three nodes on this machine, loopback only."""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cluster import Machines, machines
from echo_faults import with_faults
from processes import descendants
from voiceclone_cli.cluster.launcher import RayLauncher
from voiceclone_cli.config import Settings
from voiceclone_cli.doctor.run import node_rows
from voiceclone_cli.engines.select import choose_engine
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.workers.pool import Pool
from voiceclone_cli.workers.process import LocalLauncher, worker_command
from voiceclone_cli.workers.protocol import Lease, one_lease, shared_leases
from voiceclone_worker.protocol import EncodeTask, EngineSpec, ReferenceSpec, SegmentSpec, SynthesisTask

PEOPLE = ("ANNA", "BERT", "CARL")


@pytest.fixture(scope="module")
def there() -> Iterator[Machines]:
    with machines(3) as found:
        yield found


def work(folder: Path, lines: int = 8, **options: Any) -> tuple[EncodeTask, list[SynthesisTask]]:
    """References and lines of three people; the same sounds in any folder."""
    engine = EngineSpec("echo", options=options)
    references = []
    for person in PEOPLE:
        audio = folder / person / "reference.wav"
        audio.parent.mkdir(parents=True)
        audio.write_bytes(person.encode() * 20_000)
        references.append(ReferenceSpec(person, str(audio), "words", str(audio.with_name("codes.txt"))))
    tasks = [
        SynthesisTask(
            reference.speaker,
            engine,
            reference,
            str(folder / "segments"),
            tuple(
                SegmentSpec(f"{reference.speaker}{number}", "a few words " * (number % 4 + 1), "en", number)
                for number in range(lines)
            ),
        )
        for reference in references
    ]
    return EncodeTask(engine, tuple(references)), tasks


def synthesized(pool: Pool, folder: Path, **options: Any) -> dict[str, bytes]:
    """Encode and synthesize; return the wavs in the folder by name. Every row is reported once."""
    encode, tasks = work(folder, **options)
    assert {row.status for row in pool.run(one_lease([encode])).references.values()} == {"done"}
    reported: Counter[str] = Counter()
    outcome = pool.run(shared_leases(tasks, 3, 2), lambda row: reported.update([row.id]))
    assert set(reported.values()) == {1} and len(reported) == len(outcome.segments)
    assert {row.status for row in outcome.segments.values()} == {"done"}, outcome.errors
    return {path.name: path.read_bytes() for path in (folder / "segments").glob("*.wav")}


def local(folder: Path) -> dict[str, bytes]:
    tasks = folder / "tasks"
    tasks.mkdir(parents=True)
    with Pool(LocalLauncher(worker_command(None, threads=1), 1, tasks)) as pool:
        return synthesized(pool, folder)


@pytest.mark.parametrize("sharing", [True, False])
def test_segments_are_the_same_to_the_byte_as_those_of_this_machine(
    there: Machines, tmp_path: Path, sharing: bool
) -> None:
    settings = there.settings()
    with (
        closing(RayLauncher(settings, choose_engine(settings), sharing=sharing)) as launcher,
        Pool(launcher) as pool,
    ):
        assert launcher.room() == 3
        far = synthesized(pool, tmp_path / "far", delay=0.02)
        nodes = {worker.node.id for worker in launcher.workers}
        fetched = sum(worker.fetched for worker in launcher.workers)
    assert far == local(tmp_path / "near") and len(far) == 24
    assert nodes <= {node.node_id for node in there.nodes}
    if sharing:
        assert fetched == 0, "these nodes see the coordinator's files"
    else:
        # The encoding worker fetched three references; then every node three references and codes, at most once.
        assert 0 < fetched <= 6 * 3


def test_slots_of_one_node_fetch_what_they_need_once_between_them(there: Machines, tmp_path: Path) -> None:
    settings = there.settings(workers=6)
    with (
        closing(RayLauncher(settings, choose_engine(settings), sharing=False)) as launcher,
        Pool(launcher) as pool,
    ):
        assert launcher.room() == 6
        synthesized(pool, tmp_path, lines=16, delay=0.05)
        workers = list(launcher.workers)
    assert max(Counter(worker.node.id for worker in workers).values()) == 2
    assert sum(worker.fetched for worker in workers) <= 6 * 3


def test_no_cache_and_no_worker_is_left(there: Machines, tmp_path: Path) -> None:
    settings = there.settings()
    with closing(RayLauncher(settings, choose_engine(settings), sharing=False)) as launcher:
        with Pool(launcher) as pool:
            synthesized(pool, tmp_path)
        job = launcher.job
    assert list(Path("/tmp").glob(f"voiceclone-cache-*{job}*")) == []
    commands = [Path(f"/proc/{pid}/cmdline") for pid in descendants(os.getpid())]
    assert not [path for path in commands if path.exists() and b"voiceclone_worker" in path.read_bytes()]


def test_a_workers_log_stands_with_the_controller(there: Machines, tmp_path: Path) -> None:
    settings, faults = there.settings(workers=1), tmp_path / "faults"
    faults.mkdir()
    (faults / "generate.loud").touch()
    with (
        closing(RayLauncher(settings, choose_engine(settings), log_dir=tmp_path)) as launcher,
        Pool(launcher) as pool,
    ):
        synthesized(pool, tmp_path / "run", **with_faults(faults_dir=str(faults)))
    assert "line 199 of a long complaint" in (tmp_path / "worker-1.log").read_text()


def test_a_torn_event_loses_no_file(there: Machines, tmp_path: Path) -> None:
    settings, faults = there.settings(workers=1), tmp_path / "faults"
    faults.mkdir()
    (faults / "generate.ANNA3.torn").touch()
    with (
        closing(RayLauncher(settings, choose_engine(settings))) as launcher,
        Pool(launcher) as pool,
    ):
        assert "ANNA3.wav" in synthesized(pool, tmp_path / "run", **with_faults(faults_dir=str(faults)))


def test_a_worker_sees_nothing_of_ray(there: Machines, tmp_path: Path) -> None:
    settings = there.settings(workers=1)
    with (
        closing(RayLauncher(settings, choose_engine(settings))) as launcher,
        Pool(launcher) as pool,
    ):
        synthesized(pool, tmp_path)
        (worker,) = launcher.workers
        environment = Path(f"/proc/{worker.worker_pid}/environ").read_bytes().split(b"\0")
    assert len(environment) > 5
    assert not [entry for entry in environment if entry.upper().startswith(b"RAY") or b"/ray" in entry]


def test_a_resource_that_no_node_offers_is_told(there: Machines) -> None:
    settings = there.settings(ray_resources="voices=1")
    with (
        closing(RayLauncher(settings, choose_engine(settings))) as launcher,
        pytest.raises(PreflightError, match="voices=1") as refused,
    ):
        launcher.room()
    assert refused.value.code == "ray_resources"


def test_a_node_with_another_version_gets_no_slot_and_the_note_says_why(
    there: Machines, tmp_path: Path
) -> None:
    other = tmp_path / "voiceclone_cli"
    other.mkdir()
    (other / "__init__.py").write_text('__version__ = "0.0.1"\n')
    settings = there.settings()
    there.add({"PYTHONPATH": str(tmp_path)})
    notes: list[str] = []
    with closing(
        RayLauncher(settings, choose_engine(settings), progress=lambda event: notes.append(event.note))
    ) as launcher:
        room = launcher.room()
    rows = {row.check: row for row in node_rows(settings, tmp_path)}
    there.lose(3)
    assert room == 3
    assert [note for note in notes if "it has voiceclone 0.0.1" in note]
    assert rows["cluster"].found == "4 nodes, 3 of them with workers for echo, 3 in all"
    assert [row for row in rows.values() if "it has voiceclone 0.0.1" in row.advice]
    shared = {row.found for row in rows.values() if row.check.endswith("shares")}
    assert shared <= {"the working directory is seen there", "nothing: files travel"} and shared


def test_a_node_that_cannot_read_the_languages_of_the_lines_gets_no_worker(
    there: Machines, tmp_path: Path, model_folders: object
) -> None:
    """As if the package had not been installed there."""
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['haqumei'] = None\n")
    settings = there.settings(engine="kokoro", language="ja")
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    there.add({"PYTHONPATH": path})
    notes: list[str] = []
    lack = "it cannot read Japanese: run `pip install haqumei==0.12.3` there, in the environment of its Ray"
    launchers = [
        RayLauncher(
            settings,
            choose_engine(settings),
            languages=languages,
            progress=lambda event: notes.append(event.note),
        )
        for languages in (("en", "ja"), ("en", "zh", "yue"), ())
    ]
    with closing(launchers[0]), closing(launchers[1]), closing(launchers[2]):
        rooms = [launcher.room() for launcher in launchers for _ in range(2)]
    rows = list(node_rows(settings, tmp_path))
    of_any = list(node_rows(replace(settings, language=None), tmp_path))
    there.lose(len(there.nodes) - 1)
    assert rooms == [3, 3, 4, 4, 4, 4], notes
    host = socket.gethostname()
    assert [note for note in notes if lack in note] == [
        f"the node {host} gets no worker: {lack}",
        f"some lines may fail on the node {host}: {lack}",
    ]
    assert [row.check[7:] for row in rows if row.advice == lack] == ["workers"]
    assert [row.check[7:] for row in of_any if row.advice == lack] == ["languages"]


def test_the_fish_environment_never_imports_ray() -> None:
    program = worker_command(None, threads=1).program
    sources = list(program.rglob("*.py"))
    assert len(sources) > 20
    assert not [path for path in sources if "import ray" in path.read_text(encoding="utf-8")]


@pytest.mark.engine
def test_kokoro_sounds_the_same_on_a_node(
    there: Machines, tmp_path: Path, model_folders: Any, sample_wav: Path
) -> None:
    """Its voices are fitted on one node and used on others."""
    settings = there.settings(engine="kokoro", voice_effort="fast")
    choice = choose_engine(settings)
    reference = ReferenceSpec("A", str(sample_wav), "", "")
    results = []
    for place in ("near", "far"):
        folder = tmp_path / place
        folder.mkdir()
        own = replace(reference, codes=str(folder / choice.codes_name))
        spec = choice.spec(batch_size=2, threads=1)
        lines = tuple(
            SegmentSpec(f"{n}", text, "en", n) for n, text in enumerate(("Good morning.", "Thank you."))
        )
        task = SynthesisTask("A", spec, own, str(folder / "out"), lines)
        (folder / "out").mkdir()
        with _pool(place, settings, folder) as pool:
            pool.run([Lease((EncodeTask(spec, (own,)),), 1)])
            pool.run(shared_leases([task], 2, 1))
        results.append({path.name: path.read_bytes() for path in (folder / "out").glob("*.wav")})
    assert len(results[0]) == 2 and results[0] == results[1]


class _pool:
    """A pool here or there."""

    def __init__(self, place: str, settings: Settings, folder: Path) -> None:
        self._launcher = (
            LocalLauncher(worker_command(None, threads=1), 1, folder)
            if place == "near"
            else RayLauncher(settings, choose_engine(settings))
        )
        self._pool = Pool(self._launcher)

    def __enter__(self) -> Pool:
        return self._pool.__enter__()

    def __exit__(self, *error: Any) -> None:
        self._pool.__exit__(*error)
        self._launcher.close()

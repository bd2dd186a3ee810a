"""A pool of echo workers that misbehave for real, as they are ordered (``faults_dir``)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from echo_faults import with_faults
from factories import engine_spec, segment_specs, synthesis_task
from voiceclone_cli.workers.pool import Pool
from voiceclone_cli.workers.process import LocalLauncher, WorkerCommand, worker_command
from voiceclone_cli.workers.protocol import PoolResult, one_lease, shared_leases
from voiceclone_worker.protocol import EncodeTask, SynthesisTask

TIMEOUT_SCALE = 0.005
"""A stall is found after 1.5 s, a hang after 3 s, the shortest deadlines."""


def instead_of_the_worker(program: Path, text: str) -> WorkerCommand:
    """Return a command that starts this program where a worker is expected."""
    program.write_text(text, encoding="utf-8")
    return replace(worker_command(None, threads=1), program=program)


class EchoPool:
    """A folder with faults, a task of six lines, and a pool that synthesizes them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.faults = folder / "faults"
        self.tasks = folder / "tasks"
        for each in (self.faults, self.tasks):
            each.mkdir(parents=True)
        (folder / "A.wav").write_bytes(b"some sound")
        self.events: list[str] = []
        self.always: dict[str, str] = {}

    def order(self, *names: str) -> None:
        for name in names:
            (self.faults / name).touch()

    @property
    def task(self) -> SynthesisTask:
        engine = engine_spec(**with_faults(faults_dir=str(self.faults), faults=self.always))
        return synthesis_task(self.folder, segments=segment_specs(6), engine=engine)

    def run(self, workers: int = 1, command: WorkerCommand | None = None, **settings: Any) -> PoolResult:
        """Encode the speaker, then synthesize the lines: in one lease with one worker, else in leases of two."""
        task = self.task
        command = command or worker_command(None, threads=1)
        log_dir = settings.pop("log_dir", None)
        with Pool(
            LocalLauncher(command, workers, self.tasks, log_dir=log_dir),
            on_event=lambda worker, event: self.events.append(event["event"]),
            **{"timeout_scale": TIMEOUT_SCALE, **settings},
        ) as pool:
            encoded = pool.run(one_lease([EncodeTask(task.engine, (task.reference,))]))
            leases = one_lease([task]) if workers == 1 else shared_leases([task], workers, 2)
            synthesized = pool.run(leases)
        synthesized.references = encoded.references
        synthesized.errors = encoded.errors + synthesized.errors
        synthesized.notes = encoded.notes + synthesized.notes
        return synthesized

    def assert_whole(self, outcome: PoolResult) -> None:
        """Everything is done, every fault was met, and nothing is left over."""
        rows = {key[1]: row for key, row in outcome.segments.items()}
        assert {name: row.status for name, row in rows.items()} == {f"{n:04d}": "done" for n in range(6)}
        assert outcome.references["A"].status == "done"
        assert outcome.errors == []
        assert not list(self.faults.iterdir()), "every fault was met"
        assert not list(self.tasks.iterdir()), "no task file is left"
        assert sorted(path.name for path in (self.folder / "out").glob("*.wav")) == [
            f"{number:04d}.wav" for number in range(6)
        ]

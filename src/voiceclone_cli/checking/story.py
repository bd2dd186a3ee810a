"""The story of a check."""

from __future__ import annotations

from pathlib import Path

from voiceclone_cli.atomic import explain_write_errors, write_text_atomic
from voiceclone_cli.checking import baseline
from voiceclone_cli.checking.document import to_document
from voiceclone_cli.checking.ears import Ears
from voiceclone_cli.checking.gates import check_gates, missed
from voiceclone_cli.checking.judging import judge
from voiceclone_cli.checking.junit import to_junit
from voiceclone_cli.checking.memory import hear_all
from voiceclone_cli.checking.model import Against, Check, Gates
from voiceclone_cli.checking.originals import measure_originals
from voiceclone_cli.checking.reading import read_finished
from voiceclone_cli.checking.summary import describe_voices, summarise
from voiceclone_cli.checking.voices import choose_standards
from voiceclone_cli.rundir.paths import RunPaths
from voiceclone_cli.rundir.stages import Stages
from voiceclone_cli.settings import Settings
from voiceclone_cli.types import Progress, no_progress
from voiceclone_worker.contract import dump_json


def check(
    run_dir: Path,
    settings: Settings,
    gates: Gates | None = None,
    progress: Progress = no_progress,
    *,
    against: Against = Against.AUTO,
) -> Check:
    """Listen to every segment of a run again, and hold it against what it should be.

    What was measured before is kept in the run directory's ``stages`` while wav, reference and models are
    the same; nothing else is written. Raises InputError (no run, no baseline, a gate out of range),
    PreflightError (no model) and RunError (the run directory cannot be written).
    """
    gates = gates or Gates()
    check_gates(gates)
    finished = read_finished(run_dir)
    before = None if gates.baseline is None else baseline.read_baseline(gates.baseline)
    stages = Stages(finished.root, finished.input_sha256)
    ears = Ears(settings, progress)
    originals = measure_originals(finished, ears, stages, progress)
    standards, notes = choose_standards(finished, originals, against)
    if finished.recording is None:
        notes.append("the recording is not at hand: voices are judged by their references, loudness is not")
    listened = hear_all(finished, ears, stages, progress)
    rows = tuple(
        judge(line, listened.get(line.id), standards, originals.levels.get(line.id))
        for line in finished.lines
    )
    summary = summarise(rows)
    voices = describe_voices(rows, listened, standards)
    offences = missed(gates, rows, voices, summary)
    if before is not None:
        offences += baseline.worse(rows, summary, before)
    return Check(finished.root, rows, voices, summary, gates, offences, ears.names, tuple(notes))


def write_check(checked: Check) -> Path:
    """Write check.json into the run directory; where a report is there, it is made anew with it.

    Raises RunError where the run directory cannot be written.
    """
    paths = RunPaths(checked.run_dir)
    with explain_write_errors(checked.run_dir):
        write_text_atomic(paths.check, dump_json(to_document(checked), indent=1) + "\n")
    if paths.report.exists():
        from voiceclone_cli.report import write_report

        write_report(checked.run_dir)
    return paths.check


def write_junit(checked: Check, path: Path) -> None:
    """Write the check as JUnit XML. Raises RunError where it cannot be written."""
    with explain_write_errors(path.parent):
        write_text_atomic(path, to_junit(checked))

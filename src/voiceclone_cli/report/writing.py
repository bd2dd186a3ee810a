"""From a run directory to its report.html."""

from __future__ import annotations

from pathlib import Path

from voiceclone_cli.atomic import explain_write_errors, write_text_atomic
from voiceclone_cli.report.content import content_of
from voiceclone_cli.report.folder import open_folder
from voiceclone_cli.report.page_file import page_of
from voiceclone_cli.rundir.paths import RunPaths
from voiceclone_cli.types import Progress, no_progress


def write_report(run_dir: Path, progress: Progress = no_progress) -> Path:
    """Write ``run_dir``/report.html from its run.json, check.json and sounds; return its path.

    The page links to files beside it by relative URLs, so the directory can be moved and passed on. It
    shows what there is: a run that was stopped, failed lines and manifests of older versions too.

    Progress: stage "report", in lines. Raises InputError, as ``read_manifest`` does, and RunError when the
    page cannot be written.
    """
    folder = open_folder(run_dir)
    page = page_of(content_of(folder, progress))
    report = RunPaths(folder.root).report
    with explain_write_errors(folder.root):
        write_text_atomic(report, page)
    return report

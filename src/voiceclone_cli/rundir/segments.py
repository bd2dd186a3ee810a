"""Whether a segment that lies there is what would be spoken now: the note beside its wav."""

from __future__ import annotations

import json
from collections.abc import Mapping
from errno import ENOENT
from typing import Any

from voiceclone_cli.atomic import write_error, write_text_unsynced
from voiceclone_cli.fingerprints import file_sha256
from voiceclone_cli.rundir.directory import RunDir
from voiceclone_cli.rundir.manifest import json_object


def note_segment(run_dir: RunDir, segment_id: str, made_from: str, details: Mapping[str, Any]) -> None:
    """Put the fingerprint beside a segment that has just been written. ``details`` are its row's,
    with the wav's sha256. Raises OSError, and RunError when the run directory is gone: half a directory
    that is made anew would be taken for a foreign one."""
    if not run_dir.manifest.exists():
        raise write_error(run_dir.root, FileNotFoundError(ENOENT, "it is gone"))
    note = {"fingerprint": made_from, **details}
    # Replaced, but not flushed to the disk: after a power cut the segment is simply made again.
    write_text_unsynced(run_dir.segment_note(segment_id), json.dumps(note, indent=1) + "\n")


def noted_segment(run_dir: RunDir, segment_id: str, made_from: str) -> dict[str, Any] | None:
    """What an earlier run noted of this segment, if it was made from the same inputs and its wav
    is the one that was written then; None when it has to be made (again)."""
    note = json_object(run_dir.segment_note(segment_id))
    try:
        same = note["fingerprint"] == made_from and note["sha256"] == file_sha256(
            run_dir.segment_wav(segment_id)
        )
    except (OSError, KeyError):
        return None
    return note if same else None

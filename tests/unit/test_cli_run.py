"""What `voiceclone run` says to people when it ends."""

from __future__ import annotations

from typing import Any

import pytest

from voiceclone_cli.cli.outcome import summarise


def failed(code: str, segment: str | None) -> dict[str, Any]:
    return {"code": code, "message": f"what {code} says", "segment": segment}


def test_what_stopped_everything_is_said_once_and_not_for_every_segment(
    capsys: pytest.CaptureFixture[str],
) -> None:
    errors = [failed("checkpoint_unusable", None)]
    errors += [failed("checkpoint_unusable", f"{n:04d}") for n in range(50)]
    errors += [failed("language", "0051")]
    summarise(
        {
            "status": "error",
            "run_dir": "/run",
            "speakers": [],
            "notes": ["the checkpoint was generated"],
            "segments": [],
            "errors": errors,
            "reused": 0,
            "timing": {"total": 1.0},
        }
    )
    assert capsys.readouterr().err.splitlines() == [
        "  note: the checkpoint was generated",
        "  run failed (checkpoint_unusable): what checkpoint_unusable says",
        "  0051 failed (language): what language says",
        "error: 0 of 0 segments, 1.0 s, in /run",
    ]

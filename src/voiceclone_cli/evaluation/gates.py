"""Gates: what a run has to reach, and the rows that do not."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voiceclone_cli.errors import InputError
from voiceclone_cli.evaluation.model import (
    EvaluationSummary,
    Flag,
    GateFailure,
    GateLimits,
    SegmentScore,
    SpeakerScore,
)
from voiceclone_cli.rundir.manifest import CHECK_SCHEMA

# A run against an earlier one that was good: segment by segment, and as a whole.


GATE = "baseline"
_MAX_BYTES = 200 * 2**20


@dataclass(frozen=True, slots=True)
class Tolerance:
    """By how much a measure may be worse than it was. ``sign`` is 1 where more is better."""

    measure: str
    sign: int
    of_row: float
    of_run: float


TOLERANCES = (
    Tolerance("similarity", 1, 0.10, 0.03),
    Tolerance("margin", 1, 0.10, 0.03),
    Tolerance("mos", 1, 0.30, 0.10),
    Tolerance("wer", -1, 0.15, 0.03),
)
_BASELINE_SLIP = 1
"""One more wrong word in a row is the recogniser's as likely as the clone's."""


def read_baseline(path: Path) -> dict[str, Any]:
    """The check of an earlier run: its check.json, or the one beside its run.json or in its directory.

    Raises InputError where there is none, saying how to make it, and for one that is damaged.
    """
    folder = path if path.is_dir() else path.parent
    file = path if path.is_file() and path.name != "run.json" else folder / "check.json"
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise ValueError("it is larger than 200 MB")
        document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if document["schema"] != CHECK_SCHEMA:
            raise ValueError(f"its schema is {document['schema']!r:.40}")
        for row in document["segments"]:
            _check(row, ("id", "speaker", "sha256"))
        _check(document["summary"], ())
    except OSError as error:
        raise InputError(
            f"--baseline {path}: {file} cannot be read ({error.strerror}); `voiceclone check {folder}` makes it",
            code="baseline_missing",
        ) from error
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise InputError(
            f"--baseline {path}: {file} is no check of this version ({type(error).__name__}: {error}); "
            f"`voiceclone check {folder}` makes it anew",
            code="baseline_damaged",
        ) from error
    return document


def compare_with_baseline(
    rows: Sequence[SegmentScore], summary: EvaluationSummary, baseline: Mapping[str, Any]
) -> tuple[GateFailure, ...]:
    """What has become worse by more than the tolerance, or is not there any more.

    Segments are the same when id and speaker are; new ones are only counted in the whole.
    """
    before = _by_identity(baseline["segments"])
    now = {(row.id, row.speaker): row for row in rows}
    return (
        *_run_differences(summary, baseline["summary"]),
        *(
            gate_failure
            for identity, row in before.items()
            for gate_failure in _segment_differences(identity, row, now.get(identity))
        ),
    )


def _run_differences(summary: EvaluationSummary, before: Mapping[str, Any]) -> Iterator[GateFailure]:
    for tolerance in TOLERANCES:
        was, now = before.get(tolerance.measure), getattr(summary, tolerance.measure)
        if _loss(tolerance, was, now) > tolerance.of_run:
            yield GateFailure(GATE, None, None, f"{tolerance.measure} {_change(was, now)}")


def _segment_differences(
    identity: tuple[str, str], before: Mapping[str, Any], row: SegmentScore | None
) -> Iterator[GateFailure]:
    id, speaker = identity
    if before["sha256"] is None:
        return
    if row is None:
        yield GateFailure(GATE, id, speaker, "is in the baseline, and not in this run")
        return
    if {Flag.FAILED, Flag.UNREADABLE, Flag.SILENT} & set(row.flags):
        return  # that misses any gate, and is told once
    for tolerance in TOLERANCES:
        was, now = before.get(tolerance.measure), getattr(row, tolerance.measure)
        if _counts(tolerance, row, before) and _loss(tolerance, was, now) > tolerance.of_row:
            yield GateFailure(GATE, id, speaker, f"{tolerance.measure} {_change(was, now)}")


def _counts(tolerance: Tolerance, row: SegmentScore, before: Mapping[str, Any]) -> bool:
    """Whether a measure of one row tells enough."""
    if not row.judged or not before.get("judged"):
        return False
    more_errors = (row.word_errors or 0) - (before.get("word_errors") or 0)
    return tolerance.measure != "wer" or more_errors > _BASELINE_SLIP


def _loss(tolerance: Tolerance, was: float | None, now: float | None) -> float:
    """By how much it is worse. What cannot be measured any more, as silence has no voice, lost everything."""
    if was is None:
        return -math.inf
    return math.inf if now is None else tolerance.sign * (was - now)


def _change(was: float | None, now: float | None) -> str:
    is_now = "cannot be measured now" if now is None else f"is {now:.3f}"
    return f"was {was:.3f} in the baseline and {is_now}"


def _by_identity(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], Mapping[str, Any]]:
    return {(str(row["id"]), str(row["speaker"])): row for row in rows}


def _check(row: Mapping[str, Any], needed: Sequence[str]) -> None:
    """Raises KeyError, TypeError, ValueError or AttributeError for what is no row of a check."""
    for name in needed:
        row[name]
    for tolerance in TOLERANCES:
        value = row.get(tolerance.measure)
        if value is not None and not math.isfinite(value):
            raise ValueError(f"{tolerance.measure} is {value!r:.40}")


_SLIP = 1
"""Wrong words in a row that are the recogniser's as likely as the clone's; they count in the whole run."""
_RANGES = {"min_similarity": (-1, 1), "min_margin": (-2, 2), "max_wer": (0, 100), "min_mos": (1, 5)}
_UNSPOKEN = {
    Flag.FAILED: "was not spoken",
    Flag.UNREADABLE: "cannot be read",
    Flag.SILENT: "is silent",
}


def check_gates(gates: GateLimits) -> None:
    """Raises InputError for a gate that nothing could miss, or that nothing could pass."""
    for name, (lowest, highest) in _RANGES.items():
        value = getattr(gates, name)
        # Not a number is within no range.
        if value is not None and not lowest <= value <= highest:
            raise InputError(
                f"--{name.replace('_', '-')} must be a number from {lowest} to {highest}, not {value}",
                code="bad_gate",
            )


def describe_failure(
    gates: GateLimits,
    rows: Sequence[SegmentScore],
    voices: Sequence[SpeakerScore],
    summary: EvaluationSummary,
) -> tuple[GateFailure, ...]:
    """Every gate that was missed, in the order of the rows; those of speakers and of the run come first.

    A row that was not spoken, cannot be read or is silent misses any gate; one that is too short to tell
    misses no other, but counts in its speaker and in the run.
    """
    if not gates.are_set:
        return ()
    return (
        *(gate_failure for voice in voices for gate_failure in _of_voice(gates, voice)),
        *_run_failures(gates, summary),
        *(gate_failure for row in rows for gate_failure in _segment_failures(gates, row)),
    )


def _segment_failures(gates: GateLimits, row: SegmentScore) -> Iterator[GateFailure]:
    for flag, what in _UNSPOKEN.items():
        if flag in row.flags:
            reason = f": {row.error['message']}" if row.error else ""
            yield _offence(flag.value, row, f"{what}{reason}")
            return
    if not row.judged:
        return
    yield from _too_low("min_similarity", row, "similarity", row.similarity, gates.min_similarity)
    yield from _too_low("min_margin", row, _over(row.nearest_other), row.margin, gates.min_margin)
    yield from _too_low("min_mos", row, "mos", row.mos, gates.min_mos)
    is_a_slip = (row.word_errors or 0) <= _SLIP and Flag.WRONG_WORDS not in row.flags
    if gates.max_wer is not None and row.wer is not None and row.wer > gates.max_wer and not is_a_slip:
        message = f"wer {row.wer:.2f}, wanted at most {gates.max_wer:g}: heard {_quoted(row.heard)}"
        yield _offence("max_wer", row, message)


def _quoted(heard: str | None) -> str:
    return f"{heard!r:.80}" if heard else "no words"


def _of_voice(gates: GateLimits, voice: SpeakerScore) -> Iterator[GateFailure]:
    if voice.judged:
        yield from _too_low("min_similarity", voice, "similarity", voice.similarity, gates.min_similarity)
        yield from _too_low("min_margin", voice, _over(voice.nearest_other), voice.margin, gates.min_margin)


def _run_failures(gates: GateLimits, summary: EvaluationSummary) -> Iterator[GateFailure]:
    if gates.max_wer is not None and summary.wer is not None and summary.wer > gates.max_wer:
        message = f"wer {summary.wer:.2f} over all segments, wanted at most {gates.max_wer:g}"
        yield GateFailure("max_wer", None, None, message)


def _too_low(
    gate: str, where: SegmentScore | SpeakerScore, name: str, value: float | None, wanted: float | None
) -> Iterator[GateFailure]:
    if wanted is not None and value is not None and value < wanted:
        yield _offence(gate, where, f"{name} {value:.3f}, wanted at least {wanted:g}")


def _over(other: str | None) -> str:
    return f"margin over {other}" if other else "margin"


def _offence(gate: str, where: SegmentScore | SpeakerScore, message: str) -> GateFailure:
    return GateFailure(gate, where.id if isinstance(where, SegmentScore) else None, where.speaker, message)

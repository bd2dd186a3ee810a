"""Gates: what a run has to reach, and the rows that do not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from voiceclone_cli.checking.model import Flag, Gates, Offence, Row, Summary, Voice
from voiceclone_cli.errors import InputError

_SLIP = 1
"""Wrong words in a row that are the recogniser's as likely as the clone's; they count in the whole run."""
_RANGES = {"min_similarity": (-1, 1), "min_margin": (-2, 2), "max_wer": (0, 100), "min_mos": (1, 5)}
_UNSPOKEN = {
    Flag.FAILED: "was not spoken",
    Flag.UNREADABLE: "cannot be read",
    Flag.SILENT: "is silent",
}


def check_gates(gates: Gates) -> None:
    """Raises InputError for a gate that nothing could miss, or that nothing could pass."""
    for name, (lowest, highest) in _RANGES.items():
        value = getattr(gates, name)
        # Not a number is within no range.
        if value is not None and not lowest <= value <= highest:
            raise InputError(
                f"--{name.replace('_', '-')} must be a number from {lowest} to {highest}, not {value}",
                code="bad_gate",
            )


def missed(
    gates: Gates, rows: Sequence[Row], voices: Sequence[Voice], summary: Summary
) -> tuple[Offence, ...]:
    """Every gate that was missed, in the order of the rows; those of speakers and of the run come first.

    A row that was not spoken, cannot be read or is silent misses any gate; one that is too short to tell
    misses no other, but counts in its speaker and in the run.
    """
    if not gates.are_set:
        return ()
    return (
        *(offence for voice in voices for offence in _of_voice(gates, voice)),
        *_of_run(gates, summary),
        *(offence for row in rows for offence in _of_row(gates, row)),
    )


def _of_row(gates: Gates, row: Row) -> Iterator[Offence]:
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


def _of_voice(gates: Gates, voice: Voice) -> Iterator[Offence]:
    if voice.judged:
        yield from _too_low("min_similarity", voice, "similarity", voice.similarity, gates.min_similarity)
        yield from _too_low("min_margin", voice, _over(voice.nearest_other), voice.margin, gates.min_margin)


def _of_run(gates: Gates, summary: Summary) -> Iterator[Offence]:
    if gates.max_wer is not None and summary.wer is not None and summary.wer > gates.max_wer:
        message = f"wer {summary.wer:.2f} over all segments, wanted at most {gates.max_wer:g}"
        yield Offence("max_wer", None, None, message)


def _too_low(
    gate: str, where: Row | Voice, name: str, value: float | None, wanted: float | None
) -> Iterator[Offence]:
    if wanted is not None and value is not None and value < wanted:
        yield _offence(gate, where, f"{name} {value:.3f}, wanted at least {wanted:g}")


def _over(other: str | None) -> str:
    return f"margin over {other}" if other else "margin"


def _offence(gate: str, where: Row | Voice, message: str) -> Offence:
    return Offence(gate, where.id if isinstance(where, Row) else None, where.speaker, message)

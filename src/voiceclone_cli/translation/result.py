"""A translated script: every line of the original, with what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from voiceclone_cli.mixing.fit import LineFit
from voiceclone_cli.translation.translator import TokenCount
from voiceclone_cli.types import Script, Segment


class LineStatus(StrEnum):
    """What became of a line."""

    DONE = "done"
    KEPT = "kept"
    """It has no words, or is in the language already."""
    FAILED = "failed"
    """It is in its original language, for a reason."""
    PENDING = "pending"
    """It was not to be asked for."""


@dataclass(frozen=True, slots=True)
class LineTranslation:
    """A line after the stage."""

    segment: Segment
    """Translated, or unchanged."""
    status: LineStatus
    reason: str = ""
    """Why it failed."""
    fit: LineFit | None = None
    """None where fitting is off."""


@dataclass(frozen=True, slots=True)
class ScriptTranslation:
    """A script after the stage: every line of the original, in its order."""

    target: str
    source: str
    lines: tuple[LineTranslation, ...]
    script: Script
    translator: str
    destination: str
    from_cache: int
    """Lines that an earlier command had asked for."""
    requests: int
    usage: TokenCount
    pending: TokenCount
    """About what a language model would take for the lines that are PENDING."""
    notes: tuple[str, ...]

    def with_status(self, status: LineStatus) -> tuple[LineTranslation, ...]:
        """Return the lines of a status."""
        return tuple(line for line in self.lines if line.status is status)

    @property
    def too_long(self) -> tuple[LineTranslation, ...]:
        """The lines that are expected to be heard past their slots."""
        return tuple(line for line in self.lines if line.fit is not None and not line.fit.fits)

    def in_target(self, script: Script, rewritten: Mapping[str, tuple[str, str]]) -> Script:
        """Return a corrected script, where failed lines that were written anew are in the target language.

        ``rewritten``: texts before and after their corrections, by line, also of lines that were made of others.
        """
        translated = {line.segment.id for line in self.lines if line.status is not LineStatus.FAILED}

        def corrected(segment: Segment) -> Segment:
            before, after = rewritten.get(segment.id, ("", ""))
            if segment.text != after or segment.id in translated:
                return segment
            return replace(segment, language=self.target, original=segment.original or before)

        return replace(script, segments=tuple(map(corrected, script.segments)))

    def document(self) -> dict[str, Any]:
        """Return what the manifest and ``--json`` say of a translation."""
        return {
            "from": self.source,
            "to": self.target,
            "translator": self.translator,
            "destination": self.destination,
            "lines": len(self.lines),
            **{status.value: len(self.with_status(status)) for status in LineStatus},
            "from_cache": self.from_cache,
            "failed_lines": [
                {"id": line.segment.id, "reason": line.reason} for line in self.with_status(LineStatus.FAILED)
            ],
            "too_long": [line.segment.id for line in self.too_long],
            "requests": self.requests,
            "tokens": self.usage.total,
        }

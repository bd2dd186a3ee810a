"""What speakers are called since they were renamed and merged.

A name that a speaker has borne is never another's later (see granting.py), so that a script or a reference
means the same speaker by an old name and by a new one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from voiceclone_cli.correcting.corrections import Correction, LineCorrection, Merge, Rename
from voiceclone_cli.types import Diarization, Turn


class Names:
    """The renames and merges among corrections, in order."""

    def __init__(self, corrections: Iterable[Correction] = ()) -> None:
        self._corrections = list(corrections)
        self._steps = [step for step in self._corrections if isinstance(step, Rename | Merge)]

    @property
    def ever(self) -> frozenset[str]:
        """Every name that was taken away or given."""
        return frozenset(name for step in self._steps for name in (step.old, step.new))

    def now(self, name: str) -> str:
        """Who speaks today what ``name`` spoke."""
        for step in self._steps:
            if step.old == name:
                name = step.new
        return name

    def voice(self, name: str) -> str:
        """What the voice itself is called: renamed as its speaker, but merged into nobody. Its folder
        in speakers/ has this name."""
        for step in self._steps:
            if step.old == name:
                if isinstance(step, Merge):
                    return name
                name = step.new
        return name

    def lent(self) -> frozenset[str]:
        """The voices of which some lines, or all, were given to others."""
        merged = [step.old for step in self._steps if isinstance(step, Merge) and step.lines]
        lines = [step for step in self._corrections if isinstance(step, LineCorrection) and step.speaker]
        return frozenset(self.voice(name) for name in (*merged, *(line.was.speaker for line in lines)))

    def unheard(self, speakers: Iterable[str]) -> list[str]:
        """Whoever was renamed or merged and is not among the speakers any more, by no name."""
        heard = {self.now(name) for name in speakers}
        return [step.old for step in self._steps if self.now(step.old) not in heard]

    def of_speakers(self, diarization: Diarization) -> Diarization:
        """The turns of today's speakers."""
        today = {name: self.now(name) for name in diarization.speakers}
        return _relabelled(diarization, today)

    def of_voices(self, diarization: Diarization) -> Diarization:
        """The turns by voice: renamed, not merged."""
        return _relabelled(diarization, {name: self.voice(name) for name in diarization.speakers})


def _relabelled(diarization: Diarization, names: dict[str, str]) -> Diarization:
    def relabelled(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
        return tuple(replace(turn, speaker=names.get(turn.speaker, turn.speaker)) for turn in turns)

    return replace(
        diarization, turns=relabelled(diarization.turns), exclusive=relabelled(diarization.exclusive)
    )

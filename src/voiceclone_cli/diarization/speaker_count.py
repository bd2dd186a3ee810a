"""How many speakers the user says there are."""

from __future__ import annotations

from dataclasses import dataclass

from voiceclone_cli.errors import InputError


@dataclass(frozen=True, slots=True)
class SpeakerCount:
    """An exact number of speakers, or bounds of it; None where nothing is said.

    Raises InputError for numbers below 1 and for numbers that contradict each other.
    """

    exactly: int | None = None
    least: int | None = None
    most: int | None = None

    def __post_init__(self) -> None:
        for flag, number in (
            ("--speakers", self.exactly),
            ("--min-speakers", self.least),
            ("--max-speakers", self.most),
        ):
            if number is not None and number < 1:
                raise _contradiction(f"{flag} must be 1 or more, not {number}.")
        if self.least is not None and self.most is not None and self.least > self.most:
            raise _contradiction(
                f"--min-speakers {self.least} is more than --max-speakers {self.most}; swap them or drop one."
            )
        if self.exactly is not None and not (
            (self.least or self.exactly) <= self.exactly <= (self.most or self.exactly)
        ):
            raise _contradiction(
                f"--speakers {self.exactly} is outside --min-speakers and --max-speakers; "
                "give the one or the others."
            )

    def complaint(self, found: int) -> str | None:
        """One sentence where what was found is not what was asked for."""
        least, most = self.exactly or self.least, self.exactly or self.most
        if least is not None and found < least:
            return f"{_speakers(found)} found, although at least {least} were asked for"
        if most is not None and found > most:
            return f"{_speakers(found)} found, although at most {most} were asked for"
        return None


def _speakers(number: int) -> str:
    return "1 speaker" if number == 1 else f"{number} speakers"


def _contradiction(sentence: str) -> InputError:
    return InputError(sentence, code="speaker_count")

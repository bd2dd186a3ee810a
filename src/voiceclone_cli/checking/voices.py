"""Which voice each speaker's clones are judged by, and how near a clone is to it."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import dataclass

from voiceclone_cli.checking.embedding import cosine
from voiceclone_cli.checking.model import Against
from voiceclone_cli.checking.originals import Originals, Sample
from voiceclone_cli.checking.reading import Finished

if typing.TYPE_CHECKING:
    from voiceclone_cli.checking.embedding import Embedding

PLAINLY_SOMEBODY = 0.7
"""Similarity of two samples of real speech, some seconds long, from which on they are one person's: one
person's have .9, two people's .36, over one telephone line .59."""
SAME_VOICE = 0.95
"""Two speakers who are meant to sound alike are no "others" to each other."""

SHORTEST_JUDGED = 1.5
"""Seconds. A shorter clone is measured, but tells little: of real speech a quarter of the cuts of half a second
are nearer to another speaker, one in 25 of 1.5 s, and none of 2 s; and its words are often misheard."""
_LEAST_SAMPLE = 2.0
"""Seconds of a speaker's own speech that clones can be compared with."""


@dataclass(frozen=True, slots=True)
class Standard:
    """What a speaker should sound like."""

    sample: Sample
    source: Against


@dataclass(frozen=True, slots=True)
class Likeness:
    similarity: float | None
    margin: float | None
    nearest_other: str | None


UNKNOWN = Likeness(None, None, None)


def choose_standards(
    finished: Finished, originals: Originals, against: Against
) -> tuple[dict[str, Standard], list[str]]:
    """The voice that each speaker is judged by, and sentences for the user where that needs saying.

    With AUTO it is the speaker's own speech in the recording; where the user gave a reference, that one,
    unless it is another speaker's voice: then two references were mixed up, and the recording decides.
    """
    standards: dict[str, Standard] = {}
    notes: list[str] = []
    for speaker in sorted({line.speaker for line in finished.lines}):
        wanted, note = _wanted(speaker, finished, originals, against)
        notes += [note] if note else []
        standard = _standard(speaker, originals, wanted)
        if standard is None:
            notes.append(
                f"there are not {_LEAST_SAMPLE:.0f} s of speech of {speaker} to compare with: "
                "their voice is not judged"
            )
        else:
            standards[speaker] = standard
    return standards, notes


def _wanted(speaker: str, finished: Finished, originals: Originals, against: Against) -> tuple[Against, str]:
    """Which voice a speaker should have, RECORDING or REFERENCE, and a sentence about it or none."""
    if against is not Against.AUTO:
        return against, ""
    if speaker not in finished.given:
        return Against.RECORDING, ""
    other = _somebody_elses(speaker, originals)
    if other is None:
        return Against.REFERENCE, ""
    return Against.RECORDING, (
        f"the reference given for {speaker} is the voice of {other} in the recording: {speaker} is "
        "judged by their own speech there (--against reference takes the reference all the same)"
    )


def _standard(speaker: str, originals: Originals, wanted: Against) -> Standard | None:
    """The wanted voice of a speaker, or the other where there is none; None where neither is long enough."""
    samples = {
        Against.RECORDING: originals.own.get(speaker),
        Against.REFERENCE: originals.references.get(speaker),
    }
    for source in (wanted, *(other for other in samples if other is not wanted)):
        sample = samples[source]
        if sample is not None and sample.seconds >= _LEAST_SAMPLE:
            return Standard(sample, source)
    return None


def is_long_enough(seconds: float) -> bool:
    """Whether so much of a clone tells something about voice, words and quality."""
    return seconds >= SHORTEST_JUDGED


def _somebody_elses(speaker: str, originals: Originals) -> str | None:
    """Whose voice the reference of ``speaker`` plainly is, if it is not their own."""
    reference, own = originals.references.get(speaker), originals.own.get(speaker)
    if reference is None or own is None:
        return None
    likeness = {name: cosine(reference.embedding, sample.embedding) for name, sample in originals.own.items()}
    nearest = max(likeness, key=lambda name: likeness[name])
    return nearest if nearest != speaker and likeness[nearest] >= PLAINLY_SOMEBODY else None


def likeness(embedding: Embedding | None, speaker: str, standards: Mapping[str, Standard]) -> Likeness:
    """How near a clone is to its speaker, and by how much nearer than to anybody else."""
    if embedding is None or speaker not in standards:
        return UNKNOWN
    own = standards[speaker].sample.embedding
    similarity = cosine(embedding, own)
    others = {
        name: cosine(embedding, standard.sample.embedding)
        for name, standard in standards.items()
        if name != speaker and cosine(own, standard.sample.embedding) < SAME_VOICE
    }
    if not others:
        return Likeness(similarity, None, None)
    nearest = max(others, key=lambda name: others[name])
    return Likeness(similarity, similarity - others[nearest], nearest)

from __future__ import annotations

from dataclasses import replace

from factories import encode_task, segment_specs, synthesis_task
from voiceclone_cli.workers.protocol import AnalysisTask, large_leases, one_lease, part, shared_leases
from voiceclone_worker.protocol import SynthesisTask


def task(speaker: str, count: int, text: str = "some words") -> SynthesisTask:
    return synthesis_task("", speaker, segments=segment_specs(count, f"{speaker}-", text))


def synthesized(leases: list) -> list[str]:  # type: ignore[type-arg]
    return [s.id for lease in leases for t in lease.tasks for s in t.segments]


def test_sequential_mode_is_one_lease_of_all_speakers() -> None:
    (lease,) = one_lease([task("A", 3), task("B", 2)])
    assert [t.speaker for t in lease.tasks] == ["A", "B"]
    assert one_lease([]) == []


def test_sequential_mode_is_one_lease_until_it_grows_large() -> None:
    tasks = [task("A", 3), task("B", 6), task("C", 1)]
    assert large_leases(tasks) == one_lease(tasks)
    cut = large_leases(tasks, 4)
    assert [[(t.speaker, len(t.segments)) for t in lease.tasks] for lease in cut] == [
        [("A", 3), ("B", 1)],
        [("B", 4)],
        [("B", 1), ("C", 1)],
    ]
    lines = [segment for lease in cut for part in lease.tasks for segment in part.segments]
    assert lines == [segment for whole in tasks for segment in whole.segments]
    assert sum(lease.cost for lease in cut) == one_lease(tasks)[0].cost
    assert large_leases([]) == []


def test_shared_leases_hold_every_segment_once_and_one_speaker_each() -> None:
    tasks = [task("A", 17), task("B", 4), task("C", 1)]
    leases = shared_leases(tasks, workers=3, batch_size=5)
    assert sorted(synthesized(leases)) == sorted(s.id for t in tasks for s in t.segments)
    assert all(len(lease.tasks) == 1 for lease in leases)
    assert all(len(lease.tasks[0].segments) <= 5 for lease in leases)  # type: ignore[union-attr]


def test_a_dominant_speaker_is_shared_among_the_workers() -> None:
    leases = shared_leases([task("A", 80), task("B", 20)], workers=4, batch_size=5)
    largest = max(lease.cost for lease in leases)
    assert largest <= sum(lease.cost for lease in leases) / 4 / 2


def test_the_longest_lease_goes_first() -> None:
    leases = shared_leases([task("A", 5, "short"), task("B", 5, "a much longer line")], 1, 5)
    assert leases[0].tasks[0].speaker == "B"  # type: ignore[union-attr]
    assert [lease.cost for lease in leases] == sorted((lease.cost for lease in leases), reverse=True)


def test_few_segments_still_reach_every_worker() -> None:
    leases = shared_leases([task("A", 4)], workers=2, batch_size=5)
    assert len(leases) == 4


def test_a_part_of_a_lease_holds_only_what_was_named() -> None:
    (lease,) = one_lease([task("A", 2), task("B", 1)])
    assert synthesized(part(lease, {(0, "A-0001"), (1, "B-0000")})) == ["A-0001", "B-0000"]
    assert synthesized(part(lease, {(1, "B-0000")})) == ["B-0000"]
    assert part(lease, set()) == []


def test_a_part_may_be_of_references() -> None:
    encode = encode_task("", "A", "B")
    (lease,) = one_lease([encode, task("A", 2)])
    (encoding,) = part(lease, {(0, "B"), (1, "no such line")})
    assert encoding.tasks == (replace(encode, references=encode.references[1:]),)


def test_an_analysis_is_part_of_a_lease_or_not() -> None:
    analysis = AnalysisTask("words", {}, None, 3.0)
    (lease,) = one_lease([analysis])
    assert lease.cost == 3
    assert [each.tasks for each in part(lease, {(0, "words")})] == [(analysis,)]
    assert part(lease, {(0, "turns")}) == []

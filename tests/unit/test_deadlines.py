from __future__ import annotations

from voiceclone_cli.workers.faults.deadlines import Deadlines, Watch
from voiceclone_cli.workers.held import Held
from voiceclone_cli.workers.leases import Lease
from voiceclone_worker.contract import EncodeTask, EngineSpec, ReferenceSpec, SegmentSpec, SynthesisTask

REFERENCE = ReferenceSpec("A", "a.wav", "", "a.npy")


def held(characters: int = 100, *, encode: bool = False) -> Held:
    if encode:
        return Held(Lease((EncodeTask(EngineSpec("echo"), (REFERENCE,)),), 1))
    lines = (SegmentSpec("0", "x" * characters, "en", 0), SegmentSpec("1", "x", "en", 0))
    return Held(Lease((SynthesisTask("A", EngineSpec("echo"), REFERENCE, "out", lines),), characters))


def said(event: str, **fields: object) -> dict[str, object]:
    return {"event": event, **fields}


def watch(*, loaded_in: float = 0.0, patience: float = 1.0) -> Watch:
    """A worker that was started at 0 and has loaded its engine at ``loaded_in``."""
    made = Watch(Deadlines(patience), 0.0)
    made.hear(said("hello"), 0.0, of_lease=False)
    made.hear(said("loading"), 0.0, of_lease=True)
    made.hear(said("ready", seconds=loaded_in), loaded_in, of_lease=True)
    return made


def ended_after(watched: Watch, lease: Held, since: float) -> float:
    """Seconds without progress, but with a heartbeat, until the worker is ended."""
    for seconds in range(1, 100_000):
        if watched.overdue(lease, since + seconds, since + seconds):
            return seconds
    raise AssertionError("it is never ended")


def test_a_silent_worker_is_ended_after_a_minute() -> None:
    assert watch().overdue(held(), 100.0, 160.0) is None
    assert "no sign of life for 60 s" in str(watch().overdue(held(), 100.0, 160.1))


def test_the_slowest_healthy_worker_is_left_alone() -> None:
    """An 860 M model on a CPU: most of a second for a character, eight lines of 120 characters at a time,
    the codec's ten seconds for each second of them at the end, and half a minute to load."""
    slow = watch(loaded_in=30.0)
    lease = held(8 * 120)
    lease.begin((0, "0"))
    assert ended_after(slow, lease, 30.0) > 8 * 120 * 0.8 + 8 * 8 * 10


def test_a_stall_is_found_and_later_where_there_is_more_to_speak_or_loading_took_long() -> None:
    def stalled(characters: int, loaded_in: float) -> float:
        lease = held(characters)
        lease.begin((0, "0"))
        return ended_after(watch(loaded_in=loaded_in), lease, loaded_in)

    assert 300 < stalled(10, 0.0) < stalled(500, 0.0) < 3600
    assert stalled(10, 0.0) < stalled(10, 60.0) < 3600


def test_only_what_is_being_spoken_counts() -> None:
    lease = held(1000)
    lease.begin((0, "0"))
    many = ended_after(watch(), lease, 0.0)
    lease.finish((0, "0"))
    lease.begin((0, "1"))
    assert ended_after(watch(), lease, 0.0) < many / 2


def test_each_step_begins_a_new_count_and_a_heartbeat_is_none() -> None:
    watched = watch()
    watched.hear(said("segment_progress"), 200.0, of_lease=True)
    watched.hear(said("heartbeat"), 480.0, of_lease=True)
    watched.hear(said("segment_progress"), 480.0, of_lease=False)
    assert watched.overdue(held(), 499.0, 499.0) is None
    assert "no progress for 300 s while speaking" in str(watched.overdue(held(), 501.0, 501.0))


def test_loading_and_encoding_have_limits_of_their_own() -> None:
    loading = Watch(Deadlines(), 0.0)
    assert loading.overdue(held(), 900.0, 900.0) is None
    assert "while loading" in str(loading.overdue(held(), 901.0, 901.0))
    assert "while encoding" in str(watch().overdue(held(encode=True), 421.0, 421.0))


def test_patience_multiplies_but_a_heartbeat_is_always_waited_for() -> None:
    assert Deadlines(2.0).loading() == 1800
    assert Deadlines(0.5).generating(100, 10.0) == 0.5 * Deadlines().generating(100, 10.0)
    assert Deadlines(0.5).encoding(3, 0.0) == 0.5 * Deadlines().encoding(3, 0.0)
    assert Deadlines(0.01).silence(greeted=True) == 3
    assert Deadlines(0.01).silence(greeted=False) == 15


def test_time_in_which_nobody_listened_is_forgiven() -> None:
    watched = watch()
    watched.forgive(1000.0)
    assert watched.overdue(held(), 1.0, 1050.0) is None


def test_a_worker_that_tells_nonsense_of_its_loading_gains_no_time_by_it() -> None:
    for nonsense in (10**400, -5, float("nan"), float("inf"), "long", None, True):
        watched = watch()
        watched.hear(said("ready", seconds=nonsense), 0.0, of_lease=True)
        assert ended_after(watched, held(), 0.0) <= 311

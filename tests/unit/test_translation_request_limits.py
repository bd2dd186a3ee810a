"""The limits that all requests to one server share, with threads that ask at the same time."""

from __future__ import annotations

import threading

import pytest

from voiceclone_cli.children import start_thread, wait_for_thread
from voiceclone_cli.translation.request_limits import RequestLimits
from voiceclone_cli.translation.translator import Failing, TokenCount, TranslatorError

SMALL = TokenCount(10, 10)


class Asked:
    """A thread that has a request on its way as soon as it may."""

    def __init__(self, limits: RequestLimits, estimate: TokenCount = SMALL) -> None:
        self._limits, self._estimate = limits, estimate
        self._goes, self._back = threading.Event(), threading.Event()
        self._thread = start_thread(self._run, "request")

    def _run(self) -> None:
        with self._limits.request(self._estimate) as sent:
            self._goes.set()
            self._back.wait()
            sent.used = self._estimate

    def is_on_way(self, seconds: float = 0.1) -> bool:
        """Whether it was sent, now or in this time."""
        return self._goes.wait(seconds)

    def come_back(self) -> None:
        """Let it be answered as soon as it was sent, and wait for that."""
        self._back.set()
        assert wait_for_thread(self._thread, 5)


def test_no_more_than_the_most_are_on_their_way() -> None:
    limits = RequestLimits(2, 1000)
    asked = [Asked(limits) for _ in range(3)]
    found = [each.is_on_way() for each in asked]
    assert found.count(True) == 2
    for each in sorted(asked, key=lambda each: not each.is_on_way()):
        each.come_back()
    assert limits.usage == TokenCount(30, 30)


def test_after_a_failure_all_wait_one_goes_first_and_the_others_follow_its_answer() -> None:
    waits, go_on = threading.Event(), threading.Event()

    def pause(seconds: float) -> None:
        waits.set()
        go_on.wait(5)

    limits = RequestLimits(4, 1000, pause)
    with limits.request(SMALL) as sent:
        assert limits.failed(sent, is_overload=False) == 1
        assert limits.begin_wait(7.0)
        assert not limits.begin_wait(3.0)
    waiting = start_thread(lambda: limits.wait(lambda: None), "wait")
    assert waits.wait(5)
    asked = [Asked(limits) for _ in range(3)]
    assert not any(each.is_on_way() for each in asked)
    go_on.set()
    assert wait_for_thread(waiting, 5)
    # One by one until a request says that it was answered.
    for left in (3, 2, 1):
        found = [each.is_on_way() for each in asked]
        assert (len(found), found.count(True)) == (left, 1)
        asked.pop(found.index(True)).come_back()
    with limits.request(SMALL) as sent:
        limits.got_reply(sent)
    asked = [Asked(limits) for _ in range(4)]
    assert all(each.is_on_way(5) for each in asked)
    for each in asked:
        each.come_back()


def test_failures_of_requests_that_were_sent_together_count_once() -> None:
    limits = RequestLimits(4, 1000)
    with limits.request(SMALL) as first, limits.request(SMALL) as second, limits.request(SMALL) as old:
        assert limits.failed(first, is_overload=True) == 1
        assert limits.failed(second, is_overload=True) == 1
        assert limits.most == 2
    with limits.request(SMALL) as again:
        assert limits.failed(again, is_overload=True) == 2
        assert limits.most == 2  # it was alone
    limits.got_reply(old)  # says nothing of the server as it is now
    with limits.request(SMALL) as again:
        assert limits.failed(again, is_overload=True) == 3
    with limits.request(SMALL) as again:
        limits.got_reply(again)
        assert limits.failed(again, is_overload=True) == 1


def test_the_longest_wait_that_was_asked_for_counts() -> None:
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(round(seconds))
        if len(pauses) == 1:
            assert not limits.begin_wait(9.0)

    limits = RequestLimits(4, 1000, pause)
    assert limits.begin_wait(4.0)
    limits.wait(lambda: None)
    assert pauses == [4, 5]
    with limits.request(SMALL):
        pass


def test_where_several_wait_for_each_other_they_go_one_by_one() -> None:
    limits = RequestLimits(4, 1000)
    with limits.request(SMALL):
        limits.too_slow()
        assert limits.most == 4
        with limits.request(SMALL):
            limits.too_slow()
    assert limits.most == 1


def test_tokens_on_their_way_count_and_what_they_leave_is_used() -> None:
    limits = RequestLimits(4, 50)
    with limits.request(TokenCount(20, 20)) as sent:
        asked = Asked(limits, TokenCount(10, 10))
        assert not asked.is_on_way()  # it may be too much, or not
        sent.used = TokenCount(20, 5)
    asked.come_back()
    with (
        pytest.raises(TranslatorError, match=r"The limit of 50 tokens is reached \(45 used") as caught,
        limits.request(TokenCount(10, 10)),
    ):
        pass
    assert (caught.value.code, caught.value.failing) == ("translator_limit", Failing.REFUSED)


def test_a_server_that_asks_for_a_long_wait_is_sent_nothing() -> None:
    limits = RequestLimits(4, 1000)
    error = TranslatorError("Later.", code="translator_busy", failing=Failing.BUSY)
    limits.leave_alone(100.0, error)
    with pytest.raises(TranslatorError, match="Later"), limits.request(SMALL):
        pass
    limits.leave_alone(0.0, error)
    with limits.request(SMALL):
        pass


def test_after_the_end_nothing_is_sent_and_nobody_waits() -> None:
    limits = RequestLimits(1, 1000)
    raised: list[TranslatorError] = []

    def run() -> None:
        try:
            with limits.request(SMALL):
                pass
        except TranslatorError as error:
            raised.append(error)

    with limits.request(SMALL) as sent:
        threads = [start_thread(run, "request") for _ in range(2)]
        assert limits.begin_wait(50.0)
        threads.append(start_thread(lambda: limits.wait(lambda: None), "wait"))
        limits.close()
        assert all(wait_for_thread(thread, 5) for thread in threads)
        sent.used = SMALL  # what is on its way comes back
    assert [error.failing for error in raised] == [Failing.REFUSED] * 2
    assert limits.usage == SMALL

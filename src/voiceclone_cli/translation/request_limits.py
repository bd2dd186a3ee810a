"""What all requests to one server share: how many are on their way, the wait for a busy server, and their tokens.

A server that is busy, or breaks off its answers, is left alone by all requests together. After the wait one of them goes
first, and the others follow when it is answered: as many at a time as before, or half as many where the server was busy
with several on their way.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from voiceclone_cli.children import wait_in_steps
from voiceclone_cli.translation.translator import Failing, TokenCount, TranslatorError


@dataclass(slots=True, eq=False)
class SentRequest:
    """A request on its way."""

    estimate: TokenCount
    used: TokenCount
    """What it has taken, as far as that is known; counted when it is over."""
    wave: int
    """How many times in all the server was left alone before it was sent."""


class RequestLimits:
    """The limits of all threads that ask one server.

    ``most``: requests at a time, at most. ``max_tokens``: of all requests and answers together. ``pause``: waits this
    many seconds, by default until then or until `close`.
    """

    def __init__(self, most: int, max_tokens: int, pause: Callable[[float], None] | None = None) -> None:
        self.most = most
        self._max_tokens = max_tokens
        self.pause = pause or self._wait
        self._usage = TokenCount()
        self._on_way: list[SentRequest] = []
        self._changed = threading.Condition()
        self._closed = threading.Event()
        self._waves = self._failures_in_a_row = 0
        self._one_goes_first = False
        """Whether a request failed, and none has been answered since."""
        self._is_waiting, self._waits_until = False, 0.0
        """Whether all wait for the server, and until when."""
        self._left_alone: tuple[float, TranslatorError] | None = None

    @property
    def usage(self) -> TokenCount:
        """Tokens of all requests that are over."""
        return self._usage

    @contextmanager
    def request(self, estimate: TokenCount) -> Iterator[SentRequest]:
        """Wait until a request of about this many tokens may be sent, and count it as on its way for the block.

        Raises TranslatorError where none may be sent any more: at the limit of tokens, after `close`, and while the
        server asked to be left alone.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._may_go(estimate))
            self.require_tokens(estimate)
            sent = SentRequest(estimate, TokenCount(), self._waves)
            self._on_way.append(sent)
        try:
            yield sent
        finally:
            with self._changed:
                self._on_way.remove(sent)
                self._usage += sent.used
                self._changed.notify_all()

    def _may_go(self, estimate: TokenCount) -> bool:
        """Return whether a request may be sent now, or will never be. Raises TranslatorError."""
        if self._closed.is_set():
            raise TranslatorError(
                "No more lines are sent, because the translation has ended.",
                code="translator_refused",
                failing=Failing.REFUSED,
            )
        if self._left_alone is not None and time.monotonic() < self._left_alone[0]:
            raise self._left_alone[1]
        if self._is_waiting or len(self._on_way) >= (1 if self._one_goes_first else self.most):
            return False
        # An estimate is too high rather than too low: what is on its way may leave enough.
        reserved = sum(sent.estimate.total for sent in self._on_way)
        return not self._on_way or self._usage.total + reserved + estimate.total <= self._max_tokens

    def require_tokens(self, estimate: TokenCount) -> None:
        """Raise TranslatorError where a request of about this many tokens would exceed the limit."""
        used = self._usage.total
        if used + estimate.total > self._max_tokens:
            raise TranslatorError(
                f"The limit of {self._max_tokens} tokens is reached ({used} used, the next request takes about "
                f"{estimate.total}): give the same command again with a higher --max-tokens to go on.",
                code="translator_limit",
                failing=Failing.REFUSED,
            )

    def got_reply(self, sent: SentRequest) -> None:
        """Note that the server has answered: others may follow the request that went first."""
        with self._changed:
            if sent.wave == self._waves:  # an older one says nothing of the server as it is now
                self._failures_in_a_row = 0
                self._one_goes_first = False
                self._changed.notify_all()

    def failed(self, sent: SentRequest, *, is_overload: bool) -> int:
        """Note that the server did not answer as it should, and return how many times in a row.

        Requests that were on their way together count once. ``is_overload``: it may have had too many of them.
        """
        with self._changed:
            if sent.wave == self._waves:
                self._waves += 1
                self._failures_in_a_row += 1
                self._one_goes_first = True
                if is_overload and len(self._on_way) > 1:
                    self.most = max(1, self.most // 2)
            return self._failures_in_a_row

    def too_slow(self) -> None:
        """Note that an answer took too long: several requests may have waited for each other in the server."""
        with self._changed:
            if len(self._on_way) > 1:
                self.most = 1

    def begin_wait(self, seconds: float) -> bool:
        """Let all requests wait for so long. Return whether none of them did, so that this thread has to `wait`."""
        with self._changed:
            is_first, until = not self._is_waiting, time.monotonic() + seconds
            self._waits_until = until if is_first else max(self._waits_until, until)
            self._is_waiting = True
            return is_first

    def wait(self, on_wait: Callable[[], None]) -> None:
        """Wait as `begin_wait` said, then let the requests go on. ``on_wait`` is called before."""
        try:
            on_wait()
            waited_until = time.monotonic()
            while True:
                with self._changed:
                    seconds, waited_until = self._waits_until - waited_until, self._waits_until
                    if seconds <= 0.0:
                        self._end_wait()
                        return
                self.pause(seconds)  # others may be told to wait longer
        except BaseException:
            with self._changed:
                self._end_wait()
            raise

    def _end_wait(self) -> None:
        self._is_waiting = False
        self._changed.notify_all()

    def leave_alone(self, seconds: float, error: TranslatorError) -> None:
        """Let every request of the next seconds end with this error, without being sent."""
        with self._changed:
            self._left_alone = time.monotonic() + seconds, error
            self._changed.notify_all()

    def close(self) -> None:
        """Let no more requests be sent; those on their way come back."""
        with self._changed:
            self._closed.set()
            self._changed.notify_all()

    def _wait(self, seconds: float) -> None:
        wait_in_steps(self._closed.wait, seconds)

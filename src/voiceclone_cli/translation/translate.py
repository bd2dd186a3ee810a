"""Translate a script, line by line, so that each one is there at the end: translated, or as it was, with a reason.

Lines go out in windows, with what is said before and after. An answer is data: each line is looked for by its id, and
checked (:mod:`.checks`). What is missing, merged, doubled or faulty is asked for again alone. What does not fit its slot is
asked for again with a number of characters, and the best of the answers counts.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from voiceclone_cli.children import start_thread, wait_in_steps
from voiceclone_cli.files import fingerprint
from voiceclone_cli.languages import main_language, name_of
from voiceclone_cli.messages import listed
from voiceclone_cli.mixing.fit import LineFit, SpeechRates, line_fits
from voiceclone_cli.translation import checks
from voiceclone_cli.translation.cache import CachedLine, TranslationCache, key_of
from voiceclone_cli.translation.context import TranslationContext
from voiceclone_cli.translation.result import LineStatus, LineTranslation, ScriptTranslation
from voiceclone_cli.translation.translator import (
    ContextLine,
    Failing,
    Line,
    TokenCount,
    TranslatedLine,
    TranslationRequest,
    Translator,
    TranslatorError,
)
from voiceclone_cli.translation.windows import Window, parts, windows
from voiceclone_cli.types import Progress, ProgressEvent, Script, Segment, no_progress

STAGE = "translation"
AROUND = 4
"""Lines of context on each side of a window."""
LENGTH_TRIES = 2
"""How many times a line that is too long is asked for again."""
SHORTEST_BUDGET = 12
"""Characters. A line of so few is not made shorter: "Hello?" in a tenth of a second stays a hello."""
BUSY_LIMIT, USELESS_LIMIT = 2, 10
"""Requests in a row without an answer, and with an answer of no use, after which no more are sent."""


@dataclass(frozen=True, slots=True)
class SlotFit:
    """What lines are fitted to: their slots, how fast their voices speak, and how much a line may be sped up."""

    slot_ends: Mapping[str, float]
    """Seconds, by segment id."""
    rates: SpeechRates
    max_stretch: float

    def of(self, segment: Segment) -> LineFit:
        """Return how a line fits its slot, and how many characters would; of one without text, those of any."""
        return line_fits([segment], self.slot_ends, self.rates, self.max_stretch)[0]

    def room(self, segment: Segment) -> str:
        """Return a fingerprint of what a line has to fit, which does not change when voices are measured."""
        slot = round(self.slot_ends[segment.id] - segment.start, 3)
        return fingerprint({"slot": slot, "max_stretch": self.max_stretch})[:16]


def translate_script(
    script: Script,
    target: str,
    translator: Translator | None,
    *,
    context: TranslationContext,
    cache: TranslationCache,
    fit: SlotFit | None = None,
    asks_failed: bool = True,
    progress: Progress = no_progress,
) -> ScriptTranslation:
    """Return the script in another language; ids, speakers and times are those of the original.

    ``target``: BCP 47 tag. ``translator`` None: nothing is asked for, and lines that no earlier command has asked for
    are PENDING. ``fit`` None: no line is fitted. ``asks_failed``: whether lines that failed in an earlier command are
    asked for again. What was answered is in the cache even where the stage is stopped.

    Progress: stage "translation", in lines. Raises TranslatorError where no line at all could be translated, and RunError
    where the cache cannot be written.
    """
    work = _Work(script, target, translator, context, cache, fit, progress)
    work.load(asks_failed=asks_failed)
    if translator is not None:
        cache.translator = {name: getattr(translator, name) for name in ("name", "destination", "identity")}
        try:
            work.ask_all()
            work.fit_all()
        finally:
            cache.save()
        if work.error is not None and not work.texts:
            raise work.error
    return work.finish()


Known = dict[int, str]
"""Translations that a request may tell, by line: those that were known before, and those of the requests before it."""


class _Left(Exception):
    """The command is on its way out: the answer of this thread is waited for no more."""


class _Work:
    """A translation in progress; lines are named by their index in the script."""

    def __init__(
        self,
        script: Script,
        target: str,
        translator: Translator | None,
        context: TranslationContext,
        cache: TranslationCache,
        fit: SlotFit | None,
        progress: Progress,
    ) -> None:
        self.script, self.target, self.translator = script, target, translator
        self.context, self.cache, self.fit, self.progress = context, cache, fit, progress
        self.segments = script.segments
        self.wanted = [n for n, line in enumerate(self.segments) if checks.needs_translation(line, target)]
        self.texts: dict[int, str] = {}
        self.reasons: dict[int, str] = {}
        self.fitted: dict[int, str] = {}
        """Fingerprints of the slots that texts were fitted to."""
        self.error: TranslatorError | None = None
        """What ended the asking."""
        self.from_cache = self.requests = self.useless = self.busy = 0
        self.is_left = False
        """Whether the command is on its way out, and no thread may change anything any more."""
        self.turn: threading.Lock | None = None
        """Held by the thread that works, but not while it waits for an answer; None: there is one thread."""
        if translator is not None and translator.at_once > 1:
            self.turn = threading.Lock()
        self.unknown: Counter[str] = Counter()
        self.same: list[int] = []
        identity = translator.identity if translator is not None else cache.translator["identity"]
        self.keys = {n: self._key(n, identity) for n in self.wanted}

    # What is known

    def load(self, *, asks_failed: bool) -> None:
        """Take over what earlier commands have asked for."""
        for n in self.wanted:
            line = self.cache.find(self.keys[n])
            if line is None or (not line.text and asks_failed):
                continue
            self.from_cache += 1
            if line.text:
                self.texts[n], self.fitted[n] = line.text, line.room
            else:
                self.reasons[n] = line.reason

    def _key(self, n: int, identity: str) -> str:
        line = self.segments[n]
        around = [self.segments[at].text for at in (n - 1, n + 1) if 0 <= at < len(self.segments)]
        context = self.context
        return key_of(
            {
                "line": [line.text, line.speaker, line.language, self.target],
                "around": around,
                "told": [context.title, context.notes, context.tone],
                "terms": [[term.term, term.translation] for term in context.terms_in([line.text])],
                "translator": identity,
            }
        )

    def _keep(self, n: int) -> None:
        """Add what is known of a line to the cache."""
        text, reason = self.texts.get(n, ""), self.reasons.get(n, "")
        self.cache.add(self.keys[n], CachedLine(text, reason, self.fitted.get(n, "")))

    # Asking

    def ask_all(self) -> None:
        """Ask for every line that is not known."""
        missing = [n for n in self.wanted if n not in self.texts and n not in self.reasons]
        if missing:
            assert self.translator is not None
            note = f"translation: {_count(len(missing))} from {name_of(self.script.language or '')} to {name_of(self.target)}"
            self.progress(ProgressEvent("note", 1, 1, note=f"{note}, sent to {self.translator.destination}"))
        self._show()
        self._for_each(list(windows(self.segments, missing)), self._ask_window)

    def _show(self) -> None:
        self.progress(ProgressEvent(STAGE, len(self.texts) + len(self.reasons), len(self.wanted)))

    def _for_each(self, found: Sequence[Window], ask: Callable[[Window, Known], None]) -> None:
        """Call ``ask`` for each window, in as many threads as the translator takes requests at a time.

        The first request of all goes alone: a wrong key is said once, and what the endpoint does not know is left out
        of all others. Raises what ``ask`` raises.
        """
        assert self.translator is not None
        if self.turn is None:
            known = dict(self.texts)
            for window in found:
                ask(window, known)
                self._show()
            return
        if self.requests == 0:
            self._in_threads(parts(found[:1], 1), ask)
            found = found[1:]
        self._in_threads(parts(found, self.translator.at_once), ask)

    def _in_threads(self, found: Sequence[Sequence[Window]], ask: Callable[[Window, Known], None]) -> None:
        """Call ``ask`` for the windows of each part, in a thread for each, and wait for all."""
        turn = self.turn
        assert turn is not None and self.translator is not None
        raised: list[BaseException] = []
        before = dict(self.texts)

        def run(part: Sequence[Window]) -> None:
            known = dict(before)
            try:
                for window in part:
                    with turn:
                        if self.is_left:
                            return
                        ask(window, known)
            except _Left:
                pass
            except BaseException as error:  # raised again in the thread that waits
                raised.append(error)

        threads = [start_thread(partial(run, part), "translation") for part in found]

        def have_ended(step: float) -> bool:
            running = [thread for thread in threads if thread.is_alive()]
            if running:
                running[0].join(step)
            self._show()
            return bool(raised) or not any(thread.is_alive() for thread in threads)

        try:
            wait_in_steps(have_ended)
            if raised:
                raise raised[0]
        except BaseException:
            with turn:
                self.is_left = True
            self.translator.close()
            raise

    def _ask_window(self, window: Window, known: Known) -> None:
        answer = self._ask(window, known)
        if answer is None:
            return
        found, doubtful = answer
        for n, text in found.items():
            self.texts[n] = known[n] = text
            self._keep(n)
        for n in window:
            if n in doubtful and n not in self.texts:
                self._ask_alone(n, known)

    def _ask_alone(self, n: int, known: Known) -> None:
        """Ask for a line once more, alone; it fails where the answer has a fault again."""
        answer = self._ask([n], known)
        if answer is None:
            return
        found, doubtful = answer
        if n in found:
            self.texts[n] = known[n] = found[n]
        else:
            self.reasons[n] = doubtful[n]
        self._keep(n)

    def _ask(
        self, window: Window, known: Known, budgets: Mapping[int, int] | None = None
    ) -> tuple[dict[int, str], dict[int, str]] | None:
        """Return the texts of a window without a fault, and for the other lines why they have none.

        None: nothing was asked, because an earlier error ended the asking.
        """
        if self.error is not None:
            return None
        request = self._request(
            window, known, budgets if budgets is not None else self._first_budgets(window)
        )
        self.requests += 1
        try:
            answer = self._answer_to(request)
        except TranslatorError as error:
            if self.error is not None and error.failing is Failing.REFUSED:
                return None  # another thread was told so first
            return {}, dict.fromkeys(window, self._failed(error))
        self.busy = 0
        found, doubtful = self._read(window, answer)
        self.useless = 0 if found else self.useless + 1
        if self.useless >= USELESS_LIMIT:
            self._end(
                TranslatorError(
                    f"The last {USELESS_LIMIT} answers of the translator had no line that can be used; of the last line, "
                    f"{next(iter(doubtful.values()))}.",
                    code="translator_useless",
                    failing=Failing.UNUSABLE,
                )
            )
        return found, doubtful

    def _answer_to(self, request: TranslationRequest) -> tuple[TranslatedLine, ...]:
        """Wait for an answer while other threads work. Raises TranslatorError."""
        assert self.translator is not None
        if self.turn is None:
            return self.translator.translate(request)
        self.turn.release()
        try:
            return self.translator.translate(request)
        finally:
            self.turn.acquire()
            if self.is_left:
                raise _Left

    def _failed(self, error: TranslatorError) -> str:
        """Count an error, and return it as the reason of the lines."""
        if error.failing is Failing.UNUSABLE:
            self.useless += 1
        elif error.failing is Failing.BUSY:
            self.busy += 1
        if error.failing is Failing.REFUSED or self.busy >= BUSY_LIMIT or self.useless >= USELESS_LIMIT:
            self._end(error)
        return error.message

    def _end(self, error: TranslatorError) -> None:
        """Ask for nothing more, because of this error; what is on its way comes back."""
        assert self.translator is not None
        if self.error is None:
            self.error = error
            self.translator.close()

    def _request(
        self, window: Window, known: Mapping[int, str], budgets: Mapping[int, int]
    ) -> TranslationRequest:
        first, last = window[0], window[-1]
        lines = [self.segments[n] for n in window]
        around = (range(max(0, first - AROUND), first), range(last + 1, last + 1 + AROUND))
        before, after = (
            tuple(self._context_line(n, known) for n in part if n < len(self.segments)) for part in around
        )
        return TranslationRequest(
            source=lines[0].language,
            target=self.target,
            lines=tuple(
                Line(line.id, line.speaker, line.text, budgets.get(n))
                for n, line in zip(window, lines, strict=True)
            ),
            before=before,
            after=after,
            glossary=self.context.terms_in(
                [*(line.text for line in lines), *(line.text for line in (*before, *after))]
            ),
            title=self.context.title,
            notes=self.context.notes,
            tone=self.context.tone,
        )

    def _context_line(self, n: int, known: Mapping[int, str]) -> ContextLine:
        return ContextLine(self.segments[n].speaker, self.segments[n].text, known.get(n))

    def _read(
        self, window: Window, answer: Sequence[TranslatedLine]
    ) -> tuple[dict[int, str], dict[int, str]]:
        """Return the texts of an answer without a fault, and why the other lines have none."""
        by_id = self._by_id(window)
        texts: dict[int, str] = {}
        doubtful: dict[int, str] = {}
        for line in answer:
            id = line.id.strip()
            n = by_id.get(id, by_id.get(id.lstrip("0")))
            if n is None:
                self.unknown[line.id] += 1
                continue
            text = checks.cleaned(line.text, self.segments[n])
            if n in texts and text != texts[n]:
                doubtful[n] = "it came back more than once, with different translations"
            texts.setdefault(n, text)
        for at, n in enumerate(window):
            if n not in texts:
                doubtful[n] = "it did not come back"
                # Its words may be in the translation of a neighbour.
                for beside in (*window[max(0, at - 1) : at], *window[at + 1 : at + 2]):
                    doubtful.setdefault(beside, "its translation may hold that of a neighbour")
        for n, text in texts.items():
            if len(window) == 1 and checks.is_same(text, self.segments[n].text) and checks.may_be_same(text):
                self.same.append(n)  # twice the same, and short: "No.", "Hotel"
                continue
            fault = checks.fault_of(text, self.segments[n], self.target, self.context)
            if fault is not None:
                doubtful[n] = f"its translation {fault}"
            elif self._holds_neighbour(n, texts):
                doubtful.setdefault(n, "its translation holds that of a neighbour")
        return {n: text for n, text in texts.items() if n not in doubtful}, doubtful

    def _by_id(self, window: Window) -> dict[str, int]:
        """Return the lines of a window by their ids, and by those without leading zeros: some write 0007 as 7."""
        short = {self.segments[n].id.lstrip("0"): n for n in window}
        short.pop("", None)  # of a line 0000, and what is given for a missing id
        return short | {self.segments[n].id: n for n in window}

    def _holds_neighbour(self, n: int, texts: Mapping[int, str]) -> bool:
        """Return whether a translation has that of a neighbour in it, though the original has not."""
        for beside in (n - 1, n + 1):
            other = texts.get(beside, "")
            is_long = len(other) >= SHORTEST_BUDGET and len(other) < len(texts[n])
            if is_long and other in texts[n] and self.segments[beside].text not in self.segments[n].text:
                return True
        return False

    # Length

    def _first_budgets(self, window: Window) -> dict[int, int]:
        """Return the characters that lines may have by what is typical of the language."""
        if self.fit is None:
            return {}
        budgets = {n: self.fit.of(self._translated(n, "")).budget for n in window}
        return {n: max(budget, SHORTEST_BUDGET) for n, budget in budgets.items()}

    def fit_all(self) -> None:
        """Ask again for the lines that are too long for their slots, and keep the best answer."""
        if self.fit is None:
            return
        rooms = {n: self.fit.room(self.segments[n]) for n in self.texts}
        self._for_each(
            [[n] for n in self.wanted if n in rooms and self.fitted.get(n) != rooms[n]], self._fit_line
        )

    def _fit_line(self, window: Window, known: Known) -> None:
        """Make a line shorter where it is too long, and keep what it was fitted to."""
        assert self.fit is not None
        (n,) = window
        if self.error is not None:
            return
        self._shorten(n, known)
        if self.error is None:
            self.fitted[n] = self.fit.room(self.segments[n])
        self._keep(n)

    def _shorten(self, n: int, known: Known) -> None:
        assert self.fit is not None
        best = self.fit.of(self._translated(n, self.texts[n]))
        budget = best.budget
        for _ in range(LENGTH_TRIES):
            if best.fits or len(self.texts[n]) <= SHORTEST_BUDGET:
                return
            answer = self._ask([n], known, {n: max(SHORTEST_BUDGET, budget)})
            if answer is None:
                return
            found, _doubtful = answer
            if n in found:
                fit = self.fit.of(self._translated(n, found[n]))
                if fit.over < best.over:
                    best, self.texts[n], known[n] = fit, found[n], found[n]
            budget = min(best.budget, round(0.9 * budget))

    def _translated(self, n: int, text: str) -> Segment:
        return replace(self.segments[n], text=text, language=self.target)

    # The result

    def finish(self) -> ScriptTranslation:
        """Return every line with what became of it."""
        lines = tuple(self._line(n) for n in range(len(self.segments)))
        segments = tuple(line.segment for line in lines)
        known: Mapping[str, str] = self.cache.translator
        usage = self.translator.usage if self.translator is not None else TokenCount()
        return ScriptTranslation(
            target=self.target,
            source=self.script.language or "",
            lines=lines,
            script=replace(self.script, segments=segments, named_language=self.target),
            translator=known["name"],
            destination=known["destination"],
            from_cache=self.from_cache,
            requests=self.requests,
            usage=usage,
            pending=self._pending_tokens(),
            notes=tuple(self._notes(lines)),
        )

    def _pending_tokens(self) -> TokenCount:
        missing = [n for n in self.wanted if n not in self.texts and n not in self.reasons]
        if self.translator is not None or not missing:
            return TokenCount()
        from voiceclone_cli.translation.openai import system_message
        from voiceclone_cli.translation.tokens import estimate_tokens

        requests = [
            self._request(window, self.texts, self._first_budgets(window))
            for window in windows(self.segments, missing)
        ]
        return sum((estimate_tokens(each, system_message(each)) for each in requests), TokenCount())

    def _line(self, n: int) -> LineTranslation:
        segment, reason = self.segments[n], ""
        if n in self.texts:
            segment, status = (
                replace(self._translated(n, self.texts[n]), original=segment.text),
                LineStatus.DONE,
            )
        elif n in self.reasons:
            status, reason = LineStatus.FAILED, self.reasons[n]
        elif n in self.keys and self.error is not None:
            status = LineStatus.FAILED
            reason = f"it was not asked for, because of an earlier error: {self.error.message}"
        elif n in self.keys:
            status = LineStatus.PENDING
        else:
            status = LineStatus.KEPT
            if main_language(segment.language) != main_language(self.target):
                segment = replace(segment, language=self.target)  # a number
        return LineTranslation(segment, status, reason, self.fit.of(segment) if self.fit else None)

    def _notes(self, lines: Sequence[LineTranslation]) -> Iterator[str]:
        if self.unknown:
            yield (
                f"The translator named {sum(self.unknown.values())} lines that it was not asked for; they are ignored."
            )
        if self.same:
            ids = [self.segments[n].id for n in sorted(set(self.same))]
            yield f"Translations that are the same as the original: {listed(ids)}."
        by_reason: dict[str, list[str]] = {}
        for line in lines:
            if line.status is LineStatus.FAILED:
                by_reason.setdefault(line.reason, []).append(line.segment.id)
        for reason, ids in by_reason.items():
            yield f"Not translated, and kept in the original: {listed(ids)}, because {reason.rstrip('.')}."
        if long := [line.segment.id for line in lines if line.fit is not None and not line.fit.fits]:
            yield f"Translations that are too long for their slots: {listed(long)}."


def _count(lines: int) -> str:
    return f"{lines:,} line{'' if lines == 1 else 's'}"

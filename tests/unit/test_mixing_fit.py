"""Expected lengths of lines, and whether they fit their slots."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from voiceclone_cli.mixing import fit
from voiceclone_cli.mixing.fit import SpeechRates, line_fits, load_speech_rates, record_speech_rates
from voiceclone_cli.mixing.slots import slot_ends, stretch_to_fit
from voiceclone_cli.types import Reference, Segment
from voiceclone_worker.engines.kokoro.phonemes import length

TEN = "a b c d e f g h i j"
"""Ten units of speech."""


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The state file of this test alone."""
    path = tmp_path / "speech-rates.json"
    monkeypatch.setattr(fit, "state_file", lambda name: path)
    yield path


def line(
    id: str, start: float, end: float, text: str = TEN, speaker: str = "ANNA", language: str = "en"
) -> Segment:
    return Segment(id, speaker, start, end, text, language)


def reference(tmp_path: Path, speaker: str = "ANNA") -> dict[str, Reference]:
    audio = tmp_path / f"{speaker}.wav"
    audio.write_bytes(speaker.encode())
    return {speaker: Reference(speaker, audio, "", 5.0, ())}


def test_speech_is_sped_up_by_what_its_room_asks_for_and_no_more_than_allowed() -> None:
    assert stretch_to_fit(2.0, 3.0, 1.3) == 1.0
    assert stretch_to_fit(3.0, 2.5, 1.3) == 1.2
    assert stretch_to_fit(9.0, 2.5, 1.3) == 1.3
    assert stretch_to_fit(1.0, 0.0, 1.3) == 1.3


def test_a_slot_borrows_silence_up_to_the_bound_and_never_the_next_line() -> None:
    lines = [line("1", 0, 1), line("2", 1.2, 2), line("3", 5, 6)]
    assert slot_ends(lines, 10.0) == {"1": 1.17, "2": 4.97, "3": 10.0}
    assert slot_ends(lines, 10.0, 0.5) == {"1": 1.17, "2": 2.5, "3": 6.5}
    assert slot_ends(lines, 10.0, 0.0) == {"1": 1.0, "2": 2.0, "3": 6.0}
    overlapping = [line("1", 0, 3), line("2", 2, 4, speaker="BEN"), line("3", 2.5, 5)]
    assert slot_ends(overlapping, 10.0, 0.5)["1"] == 2.5


def test_a_line_that_fits_tells_how_much_silence_it_takes() -> None:
    seconds = SpeechRates("fish").seconds(TEN, "en")
    (fits,) = line_fits([line("1", 0, 0.5)], {"1": 2.0}, SpeechRates("fish"), 1.3)
    assert fits.fits and fits.stretch == 1.0 and fits.over == 0.0
    assert fits.borrowed == pytest.approx(seconds - 0.5)


def test_a_line_that_does_not_fit_tells_by_how_much_and_what_would() -> None:
    rates = SpeechRates("fish")
    seconds = rates.seconds(TEN, "en")
    (fits,) = line_fits([line("1", 0, 0.5)], {"1": 0.5}, rates, 1.3)
    assert not fits.fits and fits.stretch == 1.3
    assert fits.over == pytest.approx(seconds / 1.3 - 0.5)
    assert fits.characters == len(TEN) and 0 < fits.budget < len(TEN)
    (shorter,) = line_fits([line("1", 0, 0.5, TEN[: fits.budget])], {"1": 0.5}, rates, 1.3)
    assert shorter.fits


@pytest.mark.parametrize(
    "language, text", [("es", "la casa de mi abuela, hoy"), ("zh", "今天天气很好，我们走吧")]
)
def test_as_many_characters_as_fit_take_about_that_long(language: str, text: str) -> None:
    rates = SpeechRates("fish")
    written = (text * 9)[: rates.characters(4.0, language)]
    assert rates.seconds(written, language) == pytest.approx(4.0, rel=0.15)


def test_a_voice_that_was_measured_is_known_again_by_its_reference(state: Path, tmp_path: Path) -> None:
    references = reference(tmp_path)
    before = fit.load_speech_rates("fish", references)
    lines = [line(str(number), number * 9, number * 9 + 5) for number in range(9)]
    typical = before.seconds(TEN, "en", "ANNA")
    record_speech_rates(before, [(each, 1.25 * typical, 5.0) for each in lines])
    after = fit.load_speech_rates("fish", references)
    assert after.is_measured("en", "ANNA") and not after.is_measured("es", "ANNA")
    assert after.seconds(TEN, "en", "ANNA") == pytest.approx(1.25 * typical, rel=1e-3)
    assert after.pace("es", "ANNA") == after.pace("en", "ANNA"), "who is slow in one language is in another"
    stranger = fit.load_speech_rates("fish", reference(tmp_path, "BEN"))
    assert not stranger.is_measured("en", "BEN")
    assert stranger.pace("en", "BEN") == pytest.approx(1.25, rel=1e-3)
    assert stranger.pace("es", "BEN") == 1.0
    assert fit.load_speech_rates("kokoro", references).pace("en", "ANNA") == 1.0


SLOW = "Buenos días a todos, y gracias por venir tan temprano."


def test_kokoro_speaks_at_the_pace_of_the_reference(state: Path, tmp_path: Path) -> None:
    audio = tmp_path / "ANNA.wav"
    audio.write_bytes(b"Anna")
    by_pace = {
        seconds: fit.load_speech_rates(
            "kokoro", {"ANNA": Reference("ANNA", audio, SLOW, seconds, (), language="es")}
        )
        for seconds in (1.0, 3.0, 9.0)
    }
    typical = fit.typical_seconds(SLOW, "es", "kokoro")
    assert typical == pytest.approx(3.2, abs=0.3)
    assert by_pace[1.0].seconds(SLOW, "es", "ANNA") == typical, "too short to tell"
    assert 0.8 * typical < by_pace[3.0].seconds(SLOW, "es", "ANNA") < 1.25 * typical
    assert by_pace[9.0].seconds(SLOW, "es", "ANNA") == pytest.approx(1.25 * typical)
    assert by_pace[9.0].seconds(SLOW, "es", "BEN") == typical


def test_numbers_take_as_long_as_their_words() -> None:
    rates = SpeechRates("kokoro")
    assert rates.seconds("1984", "es") == rates.seconds("mil novecientos ochenta y cuatro", "es")


@pytest.mark.parametrize("text", ["", "...", "♪ ♪"])
def test_a_line_without_speech_takes_no_time(text: str) -> None:
    assert SpeechRates("kokoro").seconds(text, "es") == SpeechRates().seconds(text, "es") == 0.0


def test_a_language_that_kokoro_has_no_voice_of_is_guessed() -> None:
    assert SpeechRates("kokoro").seconds("Guten Morgen", "de") == SpeechRates().seconds("Guten Morgen", "de")
    assert SpeechRates("kokoro").characters(3.0, "de") == SpeechRates().characters(3.0, "de")


def test_a_note_names_the_worst_lines_in_their_order() -> None:
    lines = [
        line(f"{number:04d}", number, number + 1, "palabra " * number, language="es")
        for number in range(1, 13)
    ]
    ends = {each.id: each.end for each in lines}
    fits = line_fits(lines, ends, SpeechRates(), 1.3)
    assert [each.fits for each in fits] == [True] * 2 + [False] * 10
    note = fit.too_long_note(fits, 1.3)
    assert note is not None
    assert note.startswith("10 lines are probably too long, even 1.3 times as fast: 0005 by ")
    assert re.findall(r"(\d+) by ", note) == [f"{number:04d}" for number in range(5, 13)]
    assert " and 2 more; " in note
    assert fit.too_long_note(fits[:2], 1.3) is None


def test_the_document_has_every_line(state: Path) -> None:
    lines = [line("1", 0, 1, "hola"), line("2", 1, 2, "palabra " * 9)]
    rates = SpeechRates("fish")
    fits = line_fits(lines, slot_ends(lines, 2.0), rates, 1.3)
    document = fit.fit_document(lines, fits, rates, 1.3)
    assert (document["engine"], document["max_stretch"], document["too_long"]) == ("fish", 1.3, 1)
    short, long = document["lines"]
    assert (short["fits"], short["overflow_seconds"]) == (True, 0.0)
    assert not long["fits"] and long["stretch"] == 1.3 and long["characters"] == 72 > long["budget"]
    assert long["overflow_seconds"] == pytest.approx(
        long["expected_seconds"] / 1.3 - long["slot_seconds"], abs=0.01
    )


def test_lines_that_had_to_hurry_are_not_measured(state: Path, tmp_path: Path) -> None:
    rates = fit.load_speech_rates("fish", reference(tmp_path))
    typical = rates.seconds(TEN, "en", "ANNA")
    record_speech_rates(rates, [(line(str(number), 0, 1), 0.7, typical) for number in range(20)])
    assert not state.exists()


@pytest.mark.parametrize(
    "content",
    ["", "[]", '{"schema": "other/1", "measured": {"fish, en, x": [1.2, 9.0]}}', '{"schema": "voiceclone.speech-rates/1", "measured": {"a": [1e9, 3], "b": "c", "d": [1.0]}}'],
)  # fmt: skip
def test_a_damaged_state_file_counts_for_nothing(state: Path, content: str) -> None:
    state.write_text(content, encoding="utf-8")
    assert fit.load_measured() == {}


def test_lengths_that_are_known_are_not_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(length, "size_of", lambda text, language: pytest.fail("its phonemes are read"))
    rates = load_speech_rates("kokoro", {}, paces={"A": 1.2}, lengths={("Hello there.", "en"): 1.5})
    assert rates.seconds("Hello there.", "en", "A") == pytest.approx(1.8)

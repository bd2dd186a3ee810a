"""Scripts and runs in another language, by a program of the user; spoken by the echo engine."""

from __future__ import annotations

import json
import re
import shutil
from contextlib import nullcontext
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from media_samples import syllables, write_wav
from short_talk import ShortTalk, short_talk
from translation_programs import requests_of, translation_program
from voiceclone_cli.analysis import analyzer
from voiceclone_cli.analysis.turns import given_turns, write_rttm
from voiceclone_cli.batch import run as batch_run
from voiceclone_cli.batch.inputs import gather
from voiceclone_cli.batch.model import Batch
from voiceclone_cli.config import resolve
from voiceclone_cli.corrections.edits import Edits
from voiceclone_cli.corrections.lines import Split
from voiceclone_cli.errors import InputError, PreflightError
from voiceclone_cli.pipeline.redo import redo
from voiceclone_cli.pipeline.request import RunRequest
from voiceclone_cli.pipeline.run import run
from voiceclone_cli.pipeline.translate import translate_source
from voiceclone_cli.planning.plan import make_plan
from voiceclone_cli.script.script_file import read_script
from voiceclone_cli.translation.job import TranslationOptions
from voiceclone_cli.types import Diarization, Turn

WORDS = {"_0003": "whatever it is that he is saying here"}
"""The line that the program does not know."""


def request(talk: ShortTalk, out: Path | None = None, to: str = "es", **more: Any) -> RunRequest:
    settings = resolve(
        {
            "engine": "echo",
            "translator_command": translation_program(talk.wav.parent),
            **more.pop("settings", {}),
        },
        {},
    )
    given = {"script": talk.script, "turns": talk.rttm, **more}
    return RunRequest(talk.wav, settings, out=out, translation=TranslationOptions(to), **given)


@pytest.fixture
def talk(tmp_path: Path) -> ShortTalk:
    return short_talk(tmp_path / "talk", **WORDS)


# voiceclone run --to


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("translated")
    result = run(request(short_talk(folder / "talk", **WORDS), folder / "talk.es.voiceclone"))
    assert result.exit_code == 3
    return folder


@pytest.fixture
def copied(tmp_path: Path, finished: Path) -> Path:
    """Return a folder with the talk and its run, which a test may change."""
    return Path(shutil.copytree(finished, tmp_path / "copied"))


def manifest(run_dir: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run_dir / "run.json").read_text("utf-8"))
    return found


def test_a_run_speaks_the_translation_and_keeps_the_original(finished: Path) -> None:
    found = manifest(finished / "talk.es.voiceclone")
    assert [row["status"] for row in found["segments"]] == ["done"] * 10
    assert (found["segments"][0]["text"], found["segments"][0]["original"]) == (
        "la línea número 1 de esta charla",
        "line number 1 of the talk",
    )
    assert (found["language"], found["segments"][0]["language"]) == ("es", "es")
    script = json.loads((finished / "talk.es.voiceclone" / "script.json").read_text("utf-8"))
    assert script["segments"][0]["original"] == "line number 1 of the talk"


def test_the_manifest_says_who_translated_and_what_failed(finished: Path) -> None:
    found = manifest(finished / "talk.es.voiceclone")
    translation = found["translation"]
    assert (translation["from"], translation["to"], translation["translator"]) == ("en", "es", "command")
    assert "program.py" in translation["destination"]
    assert (translation["lines"], translation["done"], translation["failed"]) == (10, 9, 1)
    assert translation["failed_lines"] == [{"id": "0003", "reason": "it did not come back"}]
    assert found["status"] == "partial"
    assert [(row["code"], row["segment"]) for row in found["errors"]] == [("not_translated", "0003")]
    # It is spoken in its original language.
    assert (found["segments"][2]["text"], found["segments"][2]["language"]) == (WORDS["_0003"], "en")
    assert any(note.startswith("Not translated, and kept in the original: 0003") for note in found["notes"])


def test_the_same_run_asks_again_only_for_what_failed(tmp_path: Path, talk: ShortTalk) -> None:
    asked = request(talk, tmp_path / "run", settings={"fit": "off"})
    assert run(asked).exit_code == 3
    before = len(requests_of(talk.wav.parent))
    again = run(asked)
    assert (again.exit_code, again.manifest.reused) == (3, 10)
    ids = [[row["id"] for row in each["lines"]] for each in requests_of(talk.wav.parent)[before:]]
    assert ids == [["0003"], ["0003"]]


def test_redo_changes_a_line_and_asks_nobody(copied: Path) -> None:
    before = len(requests_of(copied / "talk"))
    (copied / "talk" / "program.py").unlink()
    result = redo(copied / "talk.es.voiceclone", Edits(ids=("0003",), text="lo que sea que dice aquí"))
    assert result.exit_code == 0, result.document["errors"]
    assert result.manifest.reused == 9
    line = result.manifest.segments[2]
    assert (line["text"], line["original"], line["language"]) == (
        "lo que sea que dice aquí",
        WORDS["_0003"],
        "es",
    )
    assert result.manifest.segments[0]["text"] == "la línea número 1 de esta charla"
    undone = redo(copied / "talk.es.voiceclone", Edits(undo=True))
    assert (undone.exit_code, undone.manifest.segments[2]["language"]) == (3, "en")
    assert len(requests_of(copied / "talk")) == before


def test_parts_of_a_line_that_is_not_translated_are_not_either_until_they_are_written(copied: Path) -> None:
    out, words = copied / "talk.es.voiceclone", WORDS["_0003"].split()
    split = redo(out, Edits(split=(Split("0003", words=" ".join(words[2:])),)))
    assert split.exit_code == 3
    errors = split.document["errors"]
    assert [(row["code"], row["segment"]) for row in errors] == [
        ("not_translated", "9001"),
        ("not_translated", "9002"),
    ]
    redo(out, Edits(ids=("9001",), text="lo que sea"))
    written = redo(out, Edits(ids=("9002",), text="que dice aquí"))
    assert written.exit_code == 0, written.document["errors"]
    rows = [row for row in written.manifest.segments if row["id"] in ("9001", "9002")]
    assert [(row["language"], row["original"]) for row in rows] == [
        ("es", " ".join(words[:2])),
        ("es", " ".join(words[2:])),
    ]


def test_a_plan_asks_nobody(tmp_path: Path, talk: ShortTalk) -> None:
    plan = make_plan(request(talk, tmp_path / "run"))
    assert requests_of(talk.wav.parent) == []
    (note,) = (
        note for note in plan["notes"] if note.startswith("10 lines are still to be translated into Spanish")
    )
    (tokens,) = re.findall(r"about (\d+) tokens", note)
    assert 300 < int(tokens) < 3000


def test_without_a_translator_one_sentence_says_how_to_get_each(tmp_path: Path, talk: ShortTalk) -> None:
    settings = resolve({"engine": "echo"}, {})
    with pytest.raises(PreflightError, match=r"--translator-url.*--command.*--translator argos") as raised:
        run(
            RunRequest(
                talk.wav,
                settings,
                out=tmp_path / "run",
                script=talk.script,
                turns=talk.rttm,
                translation=TranslationOptions("es"),
            )
        )
    assert (raised.value.code, raised.value.exit_code) == ("no_translator", 4)


def test_a_script_in_the_language_already_needs_no_translator(tmp_path: Path, talk: ShortTalk) -> None:
    settings = resolve({"engine": "echo", "language": "es"}, {})
    options = TranslationOptions("es-MX")
    out = tmp_path / "talk.json"
    found = translate_source(RunRequest(talk.script, settings, translation=options), out)
    assert (found.exit_code, found.document["kept"]) == (0, 10)


# voiceclone translate


def script_request(talk: ShortTalk, **more: Any) -> RunRequest:
    """Return the request for the translation of the talk's script file."""
    asked = request(talk, **more)
    return RunRequest(talk.script, asked.settings, translation=asked.translation)


def test_the_file_has_times_speakers_the_original_and_how_each_line_fits(
    tmp_path: Path, talk: ShortTalk
) -> None:
    out = tmp_path / "talk.es.json"
    found = translate_source(script_request(talk), out)
    rows = json.loads(out.read_text("utf-8"))["segments"]
    assert [row["id"] for row in rows] == [f"{n:04d}" for n in range(1, 11)]
    first, third = rows[0], rows[2]
    assert (first["speaker"], first["start"], first["end"]) == ("B", 1.0, 1.9)
    assert (first["original"], first["translation"]) == ("line number 1 of the talk", "done")
    # 33 characters of the echo engine in a slot of a second.
    assert first["expected_seconds"] > 1.5 and first["slot_seconds"] == pytest.approx(0.97)
    assert first["fits"] is False and 0 < first["budget"] < len(first["text"])
    assert (third["translation"], third["reason"], third["language"]) == (
        "failed",
        "it did not come back",
        "en",
    )
    assert found.document["too_long"]


def test_the_file_can_be_spoken_as_it_is(tmp_path: Path, talk: ShortTalk) -> None:
    out = tmp_path / "talk.es.json"
    translate_source(script_request(talk), out)
    settings = resolve({"engine": "echo"}, {})
    result = run(RunRequest(talk.wav, settings, out=tmp_path / "run", script=out, turns=talk.rttm))
    assert result.exit_code == 0, result.document["errors"]
    assert result.manifest.segments[0]["original"] == "line number 1 of the talk"
    assert result.manifest.language == "es"


@pytest.mark.parametrize("suffix", [".srt", ".vtt"])
def test_subtitles_have_the_translation_and_the_speakers(
    tmp_path: Path, talk: ShortTalk, suffix: str
) -> None:
    out = tmp_path / f"talk.es{suffix}"
    translate_source(script_request(talk), out)
    found = read_script(out, None, language="es")
    assert [(line.id, line.speaker) for line in found.segments[:2]] == [("0001", "B"), ("0002", "A")]
    assert found.segments[0].text == "la línea número 1 de esta charla"
    assert "line number" not in out.read_text("utf-8")


def test_a_run_directory_is_a_source(tmp_path: Path, copied: Path) -> None:
    talk = short_talk(copied / "talk", **WORDS)
    source = tmp_path / "english"
    run(
        RunRequest(talk.wav, resolve({"engine": "echo"}, {}), out=source, script=talk.script, turns=talk.rttm)
    )
    asked = request(talk, to="fr")
    out = tmp_path / "talk.fr.json"
    found = translate_source(RunRequest(source, asked.settings, translation=asked.translation), out)
    assert (found.translation.source, found.translation.target) == ("en", "fr")
    assert json.loads(out.read_text("utf-8"))["segments"][8]["text"] == "la ligne numéro 9 de cet entretien"


def test_the_same_command_asks_only_for_lines_that_changed(tmp_path: Path, talk: ShortTalk) -> None:
    out, fit = tmp_path / "talk.es.json", {"fit": "off"}
    translate_source(script_request(talk, settings=fit), out)
    before = len(requests_of(talk.wav.parent))
    edited = talk.script.read_text("utf-8").replace(WORDS["_0003"], "line number 33 of the talk")
    talk.script.write_text(edited, encoding="utf-8")
    found = translate_source(script_request(talk, settings=fit), out)
    assert (found.exit_code, found.translation.from_cache) == (0, 7)  # its neighbours are asked for too
    assert json.loads(out.read_text("utf-8"))["segments"][2]["text"] == "la línea número 33 de esta charla"
    asked = [row["id"] for each in requests_of(talk.wav.parent)[before:] for row in each["lines"]]
    assert asked == ["0002", "0003", "0004"]


def test_a_file_that_was_edited_is_not_replaced(tmp_path: Path, talk: ShortTalk) -> None:
    out = tmp_path / "talk.es.json"
    translate_source(script_request(talk), out)
    edited = out.read_text("utf-8").replace("la línea", "la fila")
    out.write_text(edited, encoding="utf-8")
    with pytest.raises(InputError, match="edited or written by another command") as raised:
        translate_source(script_request(talk), out)
    assert (raised.value.code, out.read_text("utf-8")) == ("output_edited", edited)
    translate_source(script_request(talk), out, force=True)
    assert "la fila" not in out.read_text("utf-8")


def test_subtitles_without_speakers_are_translated_too(tmp_path: Path, talk: ShortTalk) -> None:
    plain = tmp_path / "plain.en.srt"
    cues = [f"{n}\n00:00:0{n},000 --> 00:00:0{n},900\nline number {n} of the talk\n" for n in range(1, 4)]
    plain.write_text("\n".join(cues), encoding="utf-8")
    asked = request(talk)
    out = tmp_path / "plain.es.srt"
    translate_source(RunRequest(plain, asked.settings, translation=asked.translation), out)
    texts = re.findall(r"^la línea número \d de esta charla$", out.read_text("utf-8"), re.MULTILINE)
    assert len(texts) == 3


def test_the_default_name_has_the_language_of_the_translation(
    tmp_path: Path, talk: ShortTalk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = shutil.copy(talk.script, tmp_path / "talk.en.csv")
    asked = request(talk)
    found = translate_source(RunRequest(Path(source), asked.settings, translation=asked.translation), None)
    assert found.path == Path("talk.es.json")


# Several languages


@pytest.fixture
def analyses(talk: ShortTalk, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The analyses of the talk so far; each finds the turns that it was made with."""
    turns = given_turns(talk.rttm, 12.0)
    found: list[object] = []

    def diarize(*arguments: object, **named: object) -> Diarization:
        found.append(arguments)
        return Diarization(turns.turns, turns.exclusive, "embedded")

    monkeypatch.setattr(analyzer, "diarize", diarize)
    monkeypatch.setattr(
        batch_run, "open_analyzer", lambda settings, progress: nullcontext(analyzer.LOCAL_ANALYZER)
    )
    return found


def in_two_languages(talk: ShortTalk, out: Path) -> Batch:
    asked = replace(request(talk, settings={"fit": "off"}), turns=None, translation=None, out=out)
    return gather([talk.wav], None, asked, [TranslationOptions("es"), TranslationOptions("fr")])


def test_the_plan_of_several_languages_analyzes_once_and_so_does_the_run_after_it(
    tmp_path: Path, talk: ShortTalk, analyses: list[object]
) -> None:
    batch = in_two_languages(talk, tmp_path / "all")
    plan = batch_run.plan_batch(batch)
    assert [entry["error"] for entry in plan["inputs"]] == [None, None]
    assert len(analyses) == 1
    first, second = (entry["plan"] for entry in plan["inputs"])
    assert second["segments"] == first["segments"] and second["speakers"] == first["speakers"]
    assert batch_run.plan_batch(batch)["total"]["segments"] == 20
    batch_run.run_batch(batch)
    # What is spoken already changes nothing.
    assert batch_run.plan_batch(batch)["total"]["to_speak"] == 0
    assert len(analyses) == 1


def test_a_language_whose_plan_failed_costs_the_next_one_nothing(
    tmp_path: Path, talk: ShortTalk, analyses: list[object]
) -> None:
    batch = in_two_languages(talk, tmp_path / "all")
    (tmp_path / "all").mkdir()
    (tmp_path / "all" / "talk.es").write_text("in the way", encoding="utf-8")
    first, second = batch_run.plan_batch(batch)["inputs"]
    assert first["error"] is not None and second["error"] is None
    assert len(analyses) == 1


def test_languages_are_a_batch_that_analyzes_once(
    tmp_path: Path, talk: ShortTalk, analyses: list[object]
) -> None:
    batch = in_two_languages(talk, tmp_path / "all")
    result = batch_run.run_batch(batch)
    assert [entry["name"] for entry in result.document["inputs"]] == ["talk.es", "talk.fr"]
    # A line is in its original language in both.
    assert [entry["status"] for entry in result.document["inputs"]] == ["partial", "partial"]
    assert result.exit_code == 3
    assert len(analyses) == 1
    spanish, french = (manifest(tmp_path / "all" / name) for name in ("talk.es", "talk.fr"))
    assert spanish["segments"][4]["text"] == "la línea número 5 de esta charla"
    assert french["segments"][4]["text"] == "la ligne numéro 5 de cet entretien"
    assert {"diarization", "casting"} <= set(french["reused_stages"])
    references = [
        tmp_path / "all" / name / "speakers" / "A" / "reference.wav" for name in ("talk.es", "talk.fr")
    ]
    assert references[0].read_bytes() == references[1].read_bytes()
    again = batch_run.run_batch(batch)
    assert [entry["segments"]["kept"] for entry in again.document["inputs"]] == [10, 10]
    assert len(analyses) == 1


# Length


def test_a_film_of_which_12_of_40_lines_do_not_fit_fits_after_its_translation_was_fitted(
    tmp_path: Path,
) -> None:
    wav, script, turns = tmp_path / "film.wav", tmp_path / "film.csv", tmp_path / "film.rttm"
    starts = [0.5]
    for n in range(40):
        starts.append(starts[-1] + (0.9 if n % 10 in (2, 5, 8) else 2.4))
    rows = [
        f"A,{start:.2f},{end - 0.1:.2f},line number {n} of the talk"
        for n, (start, end) in enumerate(pairwise(starts))
    ]
    script.write_text("\n".join(["speaker,start,end,text", *rows]), encoding="utf-8")
    turns.write_text(write_rttm((Turn(0.5, starts[-1], "A"),), "film"), encoding="utf-8")
    write_wav(wav, syllables(starts[-1] + 0.5))
    program = translation_program(tmp_path, honours_budgets=True)

    def overflows(fit: str) -> list[float]:
        settings = resolve({"engine": "echo", "translator_command": program, "fit": fit}, {})
        result = run(
            RunRequest(
                wav,
                settings,
                out=tmp_path / fit,
                script=script,
                turns=turns,
                translation=TranslationOptions("es"),
            )
        )
        assert result.exit_code == 0, result.document["errors"]
        assert len(result.manifest.segments) == 40
        # Tones end with their slots, so the expected length says it (benchmarks/fitted_film.py speaks such a film).
        return [row["expected_overflow_seconds"] or 0.0 for row in result.manifest.segments]

    before, after = overflows("off"), overflows("loose")
    assert sum(seconds > 0.1 for seconds in before) == 12
    assert max(after) <= 0.1

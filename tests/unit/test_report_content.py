"""Content of the report, and the page, from run directories of every kind."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from platforms import needs_posix_paths, needs_symlinks
from report_runs import line, write_check, write_run, write_tone
from voiceclone_cli.errors import InputError, RunError
from voiceclone_cli.evaluation.text import words_of
from voiceclone_cli.report import content
from voiceclone_cli.report.content import badness, flags_of
from voiceclone_cli.report.page import json_in_html, write_report
from voiceclone_cli.report.word_diff import DiffOp, word_diff
from voiceclone_cli.types import ProgressEvent

HOSTILE = "</script><script>alert(1)</script><!-- \u2028\u202e\"'&"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [line(0, "SPEAKER_00", "Hello there."), line(1, "SPEAKER_01", "Good day to you.")]
    rows.append(line(2, "SPEAKER_00", "Lost.", status="failed", error={"code": "x", "message": "no voice"}))
    return write_run(tmp_path / "talk.voiceclone", rows)


def edit(folder: Path, **changes: Any) -> None:
    path = folder / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}), encoding="utf-8")


def content_of(report: Path) -> dict[str, Any]:
    """Return the data as a browser reads it: up to the first end tag after it."""
    page = report.read_text(encoding="utf-8")
    start = page.index('<script type="application/json" id="content">')
    found: dict[str, Any] = json.loads(page[page.index(">", start) + 1 : page.index("</script", start)])
    return found


def shown(folder: Path) -> dict[str, Any]:
    return content_of(write_report(folder))


def test_report_has_every_line_with_its_sound(folder: Path) -> None:
    content = shown(folder)
    assert [row["id"] for row in content["lines"]] == ["0001", "0002", "0003"]
    assert [row["file"] for row in content["lines"]] == ["segments/0001.wav", "segments/0002.wav", None]
    assert content["lines"][0]["seconds"] == pytest.approx(1.4)
    assert content["lines"][2]["error"] == "no voice"
    assert [speaker["reference"] for speaker in content["speakers"]] == [
        "speakers/SPEAKER_00/reference.wav",
        "speakers/SPEAKER_01/reference.wav",
    ]
    assert (content["original"]["file"], content["mix"]["file"]) == ("original.flac", "mix.wav")
    assert content["outcome"]["label"] == "Partial" and content["outcome"]["exit_code"] == 3


def test_report_has_what_was_expected_of_a_line_where_the_manifest_has_it(folder: Path) -> None:
    rows = json.loads((folder / "run.json").read_text())["segments"]
    edit(folder, segments=[{**rows[0], "expected_seconds": 2.5, "expected_overflow_seconds": 0.2}, *rows[1:]])
    first, second, _ = shown(folder)["lines"]
    assert (first["expected"], first["expected_overflow"]) == (2.5, 0.2)
    assert second["expected"] is None, "the manifest of an earlier version"


def test_progress_counts_the_lines(folder: Path) -> None:
    events: list[ProgressEvent] = []
    write_report(folder, events.append)
    assert [(event.stage, event.completed, event.total) for event in events] == [
        ("report", 1, 3),
        ("report", 2, 3),
        ("report", 3, 3),
    ]


def test_checked_line_has_a_word_diff(folder: Path) -> None:
    write_check(folder, {"0001": {"heard": "Hello dear.", "wer": 0.5, "flags": ["wrong_words"]}})
    first, second, _ = shown(folder)["lines"]
    assert first["check"]["wer"] == 0.5 and first["flags"] == ["wrong words"]
    assert first["check"]["diff"] == [["same", "Hello "], ["missing", "there."], ["extra", "dear."]]
    assert second["check"] is None and not second["stale"]


def test_a_stage_direction_that_was_kept_is_no_missing_word(folder: Path) -> None:
    run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    run["segments"][0]["text"] = "[whisper in small voice] Hello there."
    edit(folder, segments=run["segments"], request={"tags": "keep"})
    write_check(folder, {"0001": {"heard": "Hello there."}})
    first, *_ = shown(folder)["lines"]
    assert first["check"]["diff"] == [["same", "Hello there."]]
    assert first["text"].startswith("[whisper"), "it is shown as it was given"


def test_line_that_changed_since_the_check_is_stale(folder: Path) -> None:
    write_check(folder, {"0001": {"flags": ["silent"]}, "0002": {}})
    write_tone(folder / "segments" / "0001.wav", 1.0)
    first, second, _ = shown(folder)["lines"]
    assert first["stale"] and first["check"] is None and first["flags"] == []
    assert not second["stale"] and second["check"]["similarity"] == 0.81


def test_line_of_an_uncertain_turn_is_flagged_and_not_under_another_name(folder: Path) -> None:
    turns = json.loads((folder / "run.json").read_text())["turns"]
    edit(
        folder,
        turns=[{**turn, "margin": margin} for turn, margin in zip(turns, (0.3, 0.0, None), strict=True)],
    )
    assert [row["flags"] for row in shown(folder)["lines"]] == [[], ["uncertain speaker"], ["failed"]]
    edit(folder, turns=[{**turn, "speaker": "SPEAKER_02", "margin": 0.0} for turn in turns])
    assert shown(folder)["lines"][1]["flags"] == []


def test_summary_of_a_check_is_shown_while_no_line_is_stale(folder: Path) -> None:
    write_check(folder, {"0001": {}, "0002": {}})
    check = json.loads((folder / "check.json").read_text())
    (folder / "check.json").write_text(json.dumps({**check, "summary": {"mos": 3.5}}))
    assert shown(folder)["summary"]["mos"] == 3.5
    write_tone(folder / "segments" / "0001.wav", 1.0)
    assert shown(folder)["summary"]["mos"] is None


@needs_posix_paths
def test_commands_quote_the_directory(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "it's a $(talk)", [line(0, "A", "Hi.")])
    quoted = str(folder).replace("'", "'\"'\"'")
    assert shown(folder)["commands"]["check"] == f"voiceclone check '{quoted}'"


def test_moved_directory_keeps_its_links(folder: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    shutil.move(folder, moved)
    assert [row["file"] for row in shown(moved)["lines"]][:2] == ["segments/0001.wav", "segments/0002.wav"]


@needs_posix_paths
def test_links_are_quoted(tmp_path: Path) -> None:
    odd = 'java script:%41#?"<é\u202e'
    folder = write_run(tmp_path / "run", [line(0, odd, "Hi.", id="100%#?&")])
    content = shown(folder)
    links = [content["lines"][0]["file"], content["speakers"][0]["reference"]]
    for link in links:
        assert re.fullmatch(r"[\w.~/%-]+", link, re.ASCII), link
        assert (folder / unquote(link)).is_file()


@needs_posix_paths
def test_names_that_are_not_unicode_are_linked(folder: Path) -> None:
    name = os.fsdecode(b"\xff.wav")
    try:
        (folder / name).write_bytes((folder / "mix.wav").read_bytes())
    except OSError:
        pytest.skip("this file system takes Unicode names only")
    edit(folder, outputs={"stems": {"SPEAKER_00": name}})
    assert ["Stem of SPEAKER_00", "%FF.wav"] in shown(folder)["files"]


@needs_symlinks
@pytest.mark.parametrize(
    "named", ["/etc/hostname", "../secret.wav", "segments/../../secret.wav", "link.wav", "\0", "segments", ""]
)
def test_files_outside_the_directory_are_not_linked(folder: Path, named: str) -> None:
    write_tone(folder.parent / "secret.wav", 0.5)
    (folder / "link.wav").symlink_to(folder.parent / "secret.wav")
    edit(
        folder,
        outputs={"video": named, "stems": {"A": named}},
        segments=[{**line(0, "A", "Hi."), "file": named}],
    )
    content = shown(folder)
    assert content["lines"][0]["file"] is None and content["lines"][0]["status"] == "file missing"
    assert {label for label, _ in content["files"]} == {"Mix", "Original", "Manifest"}


def test_data_is_never_markup(tmp_path: Path) -> None:
    row = line(0, "SPEAKER_00", HOSTILE, status="failed", error={"code": HOSTILE, "message": HOSTILE})
    folder = write_run(tmp_path / "run", [row], notes=[HOSTILE], history=[{HOSTILE: HOSTILE}])
    edit(folder, input={"path": f"/tmp/{HOSTILE.replace('/', '')}"}, engine=HOSTILE)
    report = write_report(folder)
    assert content_of(report)["lines"][0]["text"] == HOSTILE
    assert scripts_of(report) == ["application/json", ""]


def scripts_of(report: Path) -> list[str]:
    """The type of each script element, as an HTML parser finds them."""
    found: list[str] = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            if tag == "script":
                found.append(dict(attrs).get("type") or "")

    Parser().feed(report.read_text(encoding="utf-8"))
    return found


def test_json_in_html_has_no_markup_characters() -> None:
    value = {"text": HOSTILE + "\ud800"}
    encoded = json_in_html(value)
    assert encoded.isascii() and not set("<>&") & set(encoded)
    assert json.loads(encoded) == value


def test_page_loads_nothing_from_the_network(folder: Path) -> None:
    page = write_report(folder).read_text(encoding="utf-8")
    assert "default-src 'none'" in page and "unsafe" not in page
    assert not re.search(
        r"https?://|@import|url\(|fetch\(|XMLHttp|innerHTML|insertAdjacent|document\.write|eval\(", page
    )


@pytest.mark.parametrize("status", ["success", "partial", "error", "running", "planned", ""])
def test_minimal_manifest_has_a_report(tmp_path: Path, status: str) -> None:
    manifest = {"schema": "voiceclone.run/1", "status": status, "run_dir": None}
    (tmp_path / "run.json").write_text(json.dumps(manifest))
    content = shown(tmp_path)
    assert content["lines"] == [] and content["mix"] is None
    assert content["outcome"]["name"] == tmp_path.name


@pytest.mark.parametrize(
    "wrong", [None, 7, "words", [], {}, [None], [7], {"a": []}, [[]], True, float("nan")]
)
def test_values_of_wrong_type_are_ignored_or_refused(folder: Path, wrong: object) -> None:
    complete = json.loads((folder / "run.json").read_text())
    documents = [{**complete, key: wrong} for key in complete if key != "schema"]
    for place in ("segments", "speakers", "turns"):
        first, *others = complete[place]
        documents += [{**complete, place: [{**first, key: wrong}, *others]} for key in first]
    untyped = {name: dict.fromkeys(complete[name], wrong) for name in ("input", "timing", "outputs")}
    documents.append({**complete, **untyped, "errors": [{"code": wrong, "message": wrong, "segment": wrong}]})
    for document in documents:
        (folder / "run.json").write_text(json.dumps(document))
        try:
            write_report(folder)
        except InputError as error:
            assert error.code == "manifest_damaged"
    (folder / "run.json").write_text(json.dumps(complete))
    check = {"schema": "voiceclone.check/1", "segments": wrong, "voices": wrong, "summary": wrong}
    for document in (check, {**check, "segments": [{"id": "0001", "wer": wrong, "flags": wrong}]}):
        (folder / "check.json").write_text(json.dumps(document))
        assert len(shown(folder)["lines"]) == 3


def test_line_with_missing_or_unreadable_file(folder: Path) -> None:
    (folder / "segments" / "0001.wav").unlink()
    (folder / "segments" / "0002.wav").write_bytes(b"not a sound")
    first, second, _ = shown(folder)["lines"]
    assert first["status"] == second["status"] == "file missing"


def test_folder_without_a_valid_manifest_is_refused(tmp_path: Path) -> None:
    for text in (None, "{", "[]", "{}", "\xff"):
        if text is not None:
            (tmp_path / "run.json").write_text(text, encoding="latin-1")
        with pytest.raises(InputError, match="voiceclone run") as caught:
            write_report(tmp_path)
        assert caught.value.code == ("not_a_run_directory" if text is None else "manifest_damaged")
    assert not (tmp_path / "report.html").exists()


def test_damaged_check_is_ignored_with_a_note(folder: Path) -> None:
    (folder / "check.json").write_text("{")
    content = shown(folder)
    assert not content["checked"] and "check.json cannot be read" in content["outcome"]["notes"][0]


def test_manifest_of_another_version_is_refused(folder: Path) -> None:
    edit(folder, schema="voiceclone.run/9")
    with pytest.raises(InputError) as caught:
        write_report(folder)
    assert caught.value.code == "run_schema"


def test_report_replaces_the_previous_one_only(folder: Path) -> None:
    before = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    first = write_report(folder).read_bytes()
    assert write_report(folder).read_bytes() == first
    (folder / "report.html").unlink()
    after = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert after == before


def test_unwritable_report_is_an_error(folder: Path) -> None:
    (folder / "report.html").mkdir()
    with pytest.raises(RunError) as caught:
        write_report(folder)
    assert caught.value.code == "output_unwritable"


def test_failed_gates_of_a_check_are_shown(folder: Path) -> None:
    write_check(folder, {"0001": {}})
    check = json.loads((folder / "check.json").read_text())
    check["offences"] = [{"gate": "max_wer", "segment": "0001", "speaker": "A", "message": "wer 0.5"}]
    check["summary"] = {"wer": 0.25}
    check["voices"] = [{"speaker": "SPEAKER_00", "source": "recording", "similarity": 0.7, "margin": 0.2}]
    (folder / "check.json").write_text(json.dumps(check))
    content = shown(folder)
    assert content["summary"]["wer"] == 0.25
    assert content["gates"] == [{"code": "max_wer", "segment": "0001", "message": "A: wer 0.5"}]
    assert [speaker["similarity"] for speaker in content["speakers"]] == [0.7, None]


def test_corrections_have_values_before_and_after(folder: Path) -> None:
    at = "2026-03-01T10:00:00+00:00"
    was = {"text": "Hello.", "speaker": "SPEAKER_00", "seed": None}
    line_row = {"at": at, "kind": "line", "id": "0001", "was": was, "text": "Hello there.", "seed": 3}
    renamed = {"at": at, "kind": "rename", "from": "SPEAKER_01", "to": "Anna"}
    edit(folder, history=[line_row, renamed, {"kind": "of tomorrow"}])
    first, second, third = shown(folder)["history"]
    assert (first["line"], first["changes"]) == (
        "0001",
        [["text", "Hello.", "Hello there."], ["seed", "", "3"]],
    )
    assert second["changes"] == [["speaker", "SPEAKER_01", "Anna"]]
    assert third["done"] == "kind: of tomorrow"


def test_texts_that_are_not_spoken_are_listed(folder: Path) -> None:
    assert shown(folder)["omitted"] is None
    rows = [
        {"where": "cue 2", "start": 3.2, "end": 4.2, "text": "(door slams)", "reason": "sound"},
        {"where": "cue 5", "start": None, "end": None, "text": "♪ la ♪", "reason": "music"},
    ]
    edit(folder, omitted=rows, speakers_found={"label": 2, "time": 1})
    assert shown(folder)["omitted"] == {"summary": "2 texts (1 sound, 1 music)", "rows": rows}
    assert ["Speakers found", "2 by label, 1 by time"] in shown(folder)["facts"]
    edit(folder, omitted=rows * 600)
    many = shown(folder)["omitted"]
    assert len(many["rows"]) == 1000 and many["summary"].endswith("; run.json has 200 more")


def test_line_without_watermark_has_a_flag(folder: Path) -> None:
    rows = json.loads((folder / "run.json").read_text())["segments"]
    edit(folder, segments=[{**rows[0], "unmarked": "it is too quiet to carry one"}])
    (row,) = shown(folder)["lines"]
    assert row["flags"] == ["no watermark"]
    assert row["warnings"] == ["It has no watermark: it is too quiet to carry one."]


def test_consent_is_shown_in_words(folder: Path) -> None:
    consent = {
        "schema": "voiceclone.consent/1",
        "speakers": [{"speaker": "SPEAKER_00", "name": "Anna", "agreed_to": "a dub", "note": ""}],
        "missing": ["SPEAKER_01"],
    }
    edit(folder, consent=consent)
    assert shown(folder)["consent"] == [["SPEAKER_00", "Anna · a dub"], ["missing", "SPEAKER_01"]]


def written(path: Path, samples: np.ndarray, rate: int = 8000) -> Path:
    soundfile.write(path, samples, rate, subtype="FLOAT")
    return path


def bytes_of(found: dict[str, Any] | None) -> list[int]:
    assert found is not None
    return list(base64.b64decode(found["base64"]))


def test_peak_is_the_loudest_sample_of_a_hundredth_of_a_second(tmp_path: Path) -> None:
    samples = np.zeros(800)
    samples[85], samples[799] = -0.5, 1.0
    found = content.read_peaks(written(tmp_path / "a.wav", samples))
    assert found is not None and (found["seconds"], found["per_second"]) == (0.1, 100.0)
    assert bytes_of(found) == [0, 128, *[0] * 7, 255]


def test_peaks_do_not_drift_at_odd_rates(tmp_path: Path) -> None:
    rate = 11_025
    samples = np.zeros(rate * 60)
    samples[rate * 59 + 5] = 1.0
    found = bytes_of(content.read_peaks(written(tmp_path / "a.wav", samples, rate)))
    assert len(found) == 6000 and found.index(255) == 5900


def test_peaks_do_not_depend_on_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "a.wav", np.random.default_rng(1).uniform(-1, 1, 11_111), 7919)
    whole = content.read_peaks(path)
    monkeypatch.setattr(content, "_PEAKS_PER_BLOCK", 7)
    assert content.read_peaks(path) == whole


def test_long_recordings_have_fewer_peaks_per_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "MAX_PEAKS", 50)
    found = content.read_peaks(written(tmp_path / "a.wav", np.ones(16_000)))
    assert found is not None and found["per_second"] == 25.0
    assert bytes_of(found) == [255] * 50


def test_peaks_take_the_loudest_channel_and_ignore_nan(tmp_path: Path) -> None:
    samples = np.zeros((160, 2))
    samples[10] = (0.0, -1.0)
    samples[100] = np.nan
    assert bytes_of(content.read_peaks(written(tmp_path / "a.wav", samples))) == [255, 0]


def test_unreadable_sound_has_no_peaks(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF, but no more")
    assert content.read_peaks(tmp_path / "a.wav") is None
    assert content.read_peaks(tmp_path / "missing.wav") is None


def test_empty_sound_has_empty_peaks(tmp_path: Path) -> None:
    assert bytes_of(content.read_peaks(written(tmp_path / "a.wav", np.zeros(0)))) == []


def test_case_and_punctuation_are_ignored() -> None:
    assert word_diff("Oh, hello there!", "oh hello there") == [(DiffOp.SAME, "Oh, hello there!")]


def test_wrong_word_is_missing_and_extra() -> None:
    assert word_diff("a big house", "a pig house") == [
        (DiffOp.SAME, "a "),
        (DiffOp.MISSING, "big "),
        (DiffOp.EXTRA, "pig "),
        (DiffOp.SAME, "house"),
    ]


def test_empty_transcript_leaves_all_words_missing() -> None:
    assert word_diff("Hello there.", "") == [(DiffOp.MISSING, "Hello there.")]


def test_chinese_is_compared_by_character() -> None:
    assert word_diff("我们明天谈", "我们今天谈") == [
        (DiffOp.SAME, "我们"),
        (DiffOp.MISSING, "明"),
        (DiffOp.EXTRA, "今"),
        (DiffOp.SAME, "天谈"),
    ]


def test_dash_alone_is_not_a_word() -> None:
    parts = word_diff("Well – yes", "well yes")
    assert {op for op, _ in parts} == {DiffOp.SAME}


@given(st.text(max_size=60), st.text(max_size=60))
def test_parts_contain_every_word_of_both_sides(text: str, transcript: str) -> None:
    def letters(value: str) -> str:
        return "".join(c for c in value.casefold() if c.isalnum())

    parts = word_diff(text, transcript)
    assert letters("".join(part for op, part in parts if op != DiffOp.EXTRA)) == letters(text)
    if letters(text) == "".join(words_of(text, "")) and letters(transcript) == "".join(
        words_of(transcript, "")
    ):
        assert letters("".join(part for op, part in parts if op != DiffOp.MISSING)) == letters(transcript)


@pytest.mark.parametrize(
    ("text", "transcript", "language"),
    [
        ("It cost $5, and 10% more.", "It cost five dollars and ten percent more.", "en"),
        ("她做了两百个，增长15%。", "他作了200個,增長百分之十五。", "zh"),
        ("子供たちは下さいと言った。", "子どもたちはくださいと言った", "ja"),
    ],
)
def test_other_spellings_of_the_same_words_are_the_same(text: str, transcript: str, language: str) -> None:
    assert word_diff(text, transcript, language) == [(DiffOp.SAME, text)]


@pytest.mark.parametrize(
    ("text", "transcript", "language", "different"),
    [
        (
            "It cost $5, and 10% more today.",
            "It cost five dollars and ten percent more to date.",
            "en",
            "today. to date. ",
        ),
        ("她说增长15%，很好。", "他说增长百分之十五，很高。", "zh", "好 高 "),
        ("昨日子供たちが来た。", "昨日子どもたちがいた。", "ja", "来 い "),
    ],
)
def test_only_what_was_said_differently_differs(
    text: str, transcript: str, language: str, different: str
) -> None:
    parts = [part.rstrip() + " " for op, part in word_diff(text, transcript, language) if op != DiffOp.SAME]
    assert "".join(parts) == different


DONE: dict[str, Any] = {
    "status": "done",
    "stretch": 1.0,
    "overflow_seconds": 0.0,
    "warnings": [],
    "unmarked": None,
}


def flags(row: dict[str, Any], check: dict[str, Any] | None = None, *, is_lost: bool = False) -> list[str]:
    return flags_of({**DONE, **row}, check or {}, is_lost=is_lost, max_stretch=1.3)


def bad(row: dict[str, Any], check: dict[str, Any] | None = None) -> float:
    return badness(flags(row, check), {**DONE, **row}, check or {})


def test_line_without_problems_has_no_flags() -> None:
    assert flags(DONE) == []


def test_flags_of_mix_and_check_are_sorted_worst_first() -> None:
    row = {**DONE, "stretch": 1.3, "overflow_seconds": 0.4, "warnings": ["It was cut."]}
    assert flags(row, {"flags": ["wrong_speaker"]}) == ["wrong speaker", "overflow", "warning", "stretched"]


def test_inaudible_overflow_has_no_flag() -> None:
    assert flags({**DONE, "overflow_seconds": 0.03}) == []


def test_flags_of_failed_planned_and_lost_lines() -> None:
    assert flags({"status": "failed"}) == ["failed"]
    assert flags({"status": "planned"}) == ["planned"]
    assert flags(DONE, is_lost=True) == ["file missing"]


def test_flag_of_run_and_check_is_listed_once() -> None:
    assert flags({"status": "failed"}, {"flags": ["failed"]}) == ["failed"]


def test_failed_line_is_worse_than_any_measure() -> None:
    assert bad({"status": "failed"}) > bad({**DONE, "overflow_seconds": 9.0}, {"wer": 1.0, "mos": 1.0})


def test_each_measure_orders_alone() -> None:
    pairs = (("wer", 0.5, 0.1), ("similarity", 0.4, 0.8), ("margin", -0.2, 0.3), ("mos", 1.5, 4.0))
    for name, worse, better in pairs:
        assert bad(DONE, {name: worse}) > bad(DONE, {name: better}), name
    assert bad({**DONE, "stretch": 1.2}) > bad(DONE)


def test_measures_of_short_lines_do_not_count() -> None:
    assert bad(DONE, {"similarity": 0.1, "margin": -0.5, "mos": 1.0, "judged": False}) == 0.0


def test_planned_line_is_not_bad() -> None:
    assert bad({"status": "planned"}) == 0.0


def test_values_of_wrong_type_count_as_not_measured() -> None:
    assert bad(DONE, {"wer": "high", "mos": None, "similarity": float("nan"), "flags": "clipped"}) == 0.0

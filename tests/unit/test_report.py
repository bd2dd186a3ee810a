"""The report's content and page, from run directories of every kind."""

from __future__ import annotations

import json
import os
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from report_runs import line, write_check, write_run, write_tone
from voiceclone_cli.errors import InputError, RunError
from voiceclone_cli.report import write_report
from voiceclone_cli.report.page_file import json_in_html
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
    """The data as the browser would read it: up to the first end tag after it."""
    page = report.read_text(encoding="utf-8")
    start = page.index('<script type="application/json" id="content">')
    found: dict[str, Any] = json.loads(page[page.index(">", start) + 1 : page.index("</script", start)])
    return found


def shown(folder: Path) -> dict[str, Any]:
    return content_of(write_report(folder))


def test_a_report_shows_every_line_with_its_sound(folder: Path) -> None:
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


def test_progress_counts_the_lines(folder: Path) -> None:
    events: list[ProgressEvent] = []
    write_report(folder, events.append)
    assert [(event.stage, event.completed, event.total) for event in events] == [
        ("report", 1, 3),
        ("report", 2, 3),
        ("report", 3, 3),
    ]


def test_what_was_checked_is_shown_with_a_word_diff(folder: Path) -> None:
    write_check(folder, {"0001": {"heard": "Hello dear.", "wer": 0.5, "flags": ["wrong_words"]}})
    first, second, _ = shown(folder)["lines"]
    assert first["check"]["wer"] == 0.5 and first["flags"] == ["wrong words"]
    assert first["check"]["diff"] == [["same", "Hello "], ["missing", "there."], ["extra", "dear."]]
    assert second["check"] is None and not second["stale"]


def test_a_line_that_was_spoken_anew_since_the_check_counts_as_not_checked(folder: Path) -> None:
    write_check(folder, {"0001": {"flags": ["silent"]}, "0002": {}})
    write_tone(folder / "segments" / "0001.wav", 1.0)
    first, second, _ = shown(folder)["lines"]
    assert first["stale"] and first["check"] is None and first["flags"] == []
    assert not second["stale"] and second["check"]["similarity"] == 0.81


def test_the_figures_of_a_check_hold_while_every_line_is_what_it_heard(folder: Path) -> None:
    write_check(folder, {"0001": {}, "0002": {}})
    check = json.loads((folder / "check.json").read_text())
    (folder / "check.json").write_text(json.dumps({**check, "summary": {"mos": 3.5}}))
    assert shown(folder)["summary"]["mos"] == 3.5
    write_tone(folder / "segments" / "0001.wav", 1.0)
    assert shown(folder)["summary"]["mos"] is None


def test_the_commands_name_the_directory_for_a_shell(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "it's a $(talk)", [line(0, "A", "Hi.")])
    quoted = str(folder).replace("'", "'\"'\"'")
    assert shown(folder)["commands"]["check"] == f"voiceclone check '{quoted}'"


def test_a_directory_that_was_moved_keeps_its_links(folder: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    shutil.move(folder, moved)
    assert [row["file"] for row in shown(moved)["lines"]][:2] == ["segments/0001.wav", "segments/0002.wav"]


def test_links_are_safe_whatever_a_name_holds(tmp_path: Path) -> None:
    odd = 'java script:%41#?"<é\u202e'
    folder = write_run(tmp_path / "run", [line(0, odd, "Hi.", id="100%#?&")])
    content = shown(folder)
    links = [content["lines"][0]["file"], content["speakers"][0]["reference"]]
    for link in links:
        assert re.fullmatch(r"[\w.~/%-]+", link, re.ASCII), link
        assert (folder / unquote(link)).is_file()


def test_names_that_are_not_unicode_are_linked_too(folder: Path) -> None:
    name = os.fsdecode(b"\xff.wav")
    try:
        (folder / name).write_bytes((folder / "mix.wav").read_bytes())
    except OSError:
        pytest.skip("this file system takes Unicode names only")
    edit(folder, outputs={"stems": {"SPEAKER_00": name}})
    assert ["Stem of SPEAKER_00", "%FF.wav"] in shown(folder)["files"]


@pytest.mark.parametrize(
    "named", ["/etc/hostname", "../secret.wav", "segments/../../secret.wav", "link.wav", "\0", "segments", ""]
)
def test_nothing_outside_the_directory_is_linked_to(folder: Path, named: str) -> None:
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


def test_no_word_of_the_data_is_markup(tmp_path: Path) -> None:
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


def test_json_in_html_is_ascii_that_no_parser_of_html_minds() -> None:
    value = {"text": HOSTILE + "\ud800"}
    encoded = json_in_html(value)
    assert encoded.isascii() and not set("<>&") & set(encoded)
    assert json.loads(encoded) == value


def test_the_page_asks_nobody_for_anything(folder: Path) -> None:
    page = write_report(folder).read_text(encoding="utf-8")
    assert "default-src 'none'" in page and "unsafe" not in page
    assert not re.search(
        r"https?://|@import|url\(|fetch\(|XMLHttp|innerHTML|insertAdjacent|document\.write|eval\(", page
    )


@pytest.mark.parametrize("status", ["success", "partial", "error", "running", "planned", "", None, 7])
def test_a_manifest_with_nothing_but_its_schema_has_a_report(tmp_path: Path, status: object) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"schema": "voiceclone.run/1", "status": status}))
    content = shown(tmp_path)
    assert content["lines"] == [] and content["mix"] is None
    assert content["outcome"]["name"] == tmp_path.name


@pytest.mark.parametrize(
    "wrong", [None, 7, "words", [], {}, [None], [7], {"a": []}, [[]], True, float("nan")]
)
def test_values_of_another_kind_are_passed_over(folder: Path, wrong: object) -> None:
    whole = json.loads((folder / "run.json").read_text())
    for key in whole:
        if key != "schema":
            (folder / "run.json").write_text(json.dumps({**whole, key: wrong}))
            write_report(folder)
    for place in ("segments", "speakers", "turns", "errors"):
        for key in whole[place][0] if whole[place] else ():
            broken = [{**whole[place][0], key: wrong}, *whole[place][1:]]
            (folder / "run.json").write_text(json.dumps({**whole, place: broken}))
            write_report(folder)
    check = {"schema": "voiceclone.check/1", "segments": wrong}
    (folder / "check.json").write_text(json.dumps(check))
    write_report(folder)


def test_an_older_manifest_says_enough_to_draw_its_timeline(folder: Path) -> None:
    rows = json.loads((folder / "run.json").read_text())["segments"]
    newer = ("slot_end", "placed_at", "placed_seconds", "sha256")
    edit(folder, segments=[{k: v for k, v in row.items() if k not in newer} for row in rows], turns=None)
    rttm = "SPEAKER talk 1 0.000 1.500 <NA> <NA> SPEAKER_00 <NA> <NA>\n"
    (folder / "diarization.rttm").write_text(rttm)
    content = shown(folder)
    assert content["turns"] == [{"start": 0.0, "end": 1.5, "speaker": "SPEAKER_00"}]
    first, _, failed = content["lines"]
    assert (first["placed_at"], first["placed_seconds"]) == (0.0, pytest.approx(1.4))
    assert first["slot_end"] == 1.5 and failed["placed_at"] is None


def test_a_line_whose_file_is_gone_or_is_no_sound_is_shown_as_such(folder: Path) -> None:
    (folder / "segments" / "0001.wav").unlink()
    (folder / "segments" / "0002.wav").write_bytes(b"not a sound")
    first, second, _ = shown(folder)["lines"]
    assert first["status"] == second["status"] == "file missing"


def test_what_is_no_run_directory_is_said_to_be_none(tmp_path: Path) -> None:
    for content in (None, "{", "[]", "{}", "\xff"):
        if content is not None:
            (tmp_path / "run.json").write_text(content, encoding="latin-1")
        with pytest.raises(InputError, match="voiceclone run") as caught:
            write_report(tmp_path)
        assert caught.value.code == ("not_a_run_directory" if content is None else "manifest_damaged")
    assert not (tmp_path / "report.html").exists()


def test_a_torn_check_counts_as_none_and_is_mentioned(folder: Path) -> None:
    (folder / "check.json").write_text("{")
    content = shown(folder)
    assert not content["checked"] and "check.json cannot be read" in content["outcome"]["notes"][0]


def test_another_versions_run_is_refused(folder: Path) -> None:
    edit(folder, schema="voiceclone.run/9")
    with pytest.raises(InputError) as caught:
        write_report(folder)
    assert caught.value.code == "run_schema"


def test_the_report_replaces_the_one_before_and_leaves_nothing_else(folder: Path) -> None:
    before = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    first = write_report(folder).read_bytes()
    assert write_report(folder).read_bytes() == first
    (folder / "report.html").unlink()
    after = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert after == before


def test_a_report_that_cannot_be_written_is_a_sentence(folder: Path) -> None:
    (folder / "report.html").mkdir()
    with pytest.raises(RunError) as caught:
        write_report(folder)
    assert caught.value.code == "output_unwritable"


def test_the_gates_that_a_check_missed_are_told(folder: Path) -> None:
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


def test_corrections_say_what_was_before(folder: Path) -> None:
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


def test_a_line_without_its_watermark_says_so(folder: Path) -> None:
    rows = json.loads((folder / "run.json").read_text())["segments"]
    edit(folder, segments=[{**rows[0], "unmarked": "it is too quiet to carry one"}])
    (row,) = shown(folder)["lines"]
    assert row["flags"] == ["no watermark"]
    assert row["warnings"] == ["It carries no watermark: it is too quiet to carry one."]


def test_consent_is_told_in_words(folder: Path) -> None:
    consent = {
        "schema": "voiceclone.consent/1",
        "speakers": [{"speaker": "SPEAKER_00", "name": "Anna", "agreed_to": "a dub", "note": ""}],
        "missing": ["SPEAKER_01"],
    }
    edit(folder, consent=consent)
    assert shown(folder)["consent"] == [["SPEAKER_00", "Anna · a dub"], ["missing", "SPEAKER_01"]]

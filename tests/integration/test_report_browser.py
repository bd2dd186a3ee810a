"""The report in a real browser, opened as a file: no server, no network."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from browser import Browser, Page, find_chromium, open_browser
from command import voiceclone
from report_runs import line, write_check, write_run
from voiceclone_cli import messages
from voiceclone_cli.report.page import write_report

CHROMIUM = find_chromium()
pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: install one, or name it with CHROMIUM=..."),
]
TEXTS = ("We meet at noon by the harbour.", "Did you bring the drawings?", "No. They are in the archive.")
HOSTILE = '</script><img src=x onerror="window.injected=1">\'&\u202e\u2028%#?'


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert CHROMIUM is not None
    with open_browser(CHROMIUM) as opened:
        yield opened


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve lines of three speakers: one failed, one past its slot, some measured."""
    rows = [line(n, f"SPEAKER_0{n % 3}", TEXTS[n % 3]) for n in range(12)]
    rows[4] |= {"status": "failed", "error": {"code": "worker_died", "message": "The worker ended."}}
    rows[6] |= {"stretch": 1.3, "overflow_seconds": 0.4, "placed_seconds": 2.37}
    folder = write_run(tmp_path_factory.mktemp("run") / "talk.voiceclone", rows)
    measured = {f"{n:04}": {"similarity": 0.5 + n / 50, "wer": 0.0} for n in (1, 2, 3, 7, 8, 9)}
    measured["0003"] |= {"wer": 0.5, "heard": "No. They are in the attic.", "flags": ["wrong_words"]}
    write_check(folder, measured)
    write_report(folder)
    return folder


@pytest.fixture
def page(browser: Browser, talk: Path) -> Iterator[Page]:
    # High enough that all twelve lines are in the window.
    opened = browser.open_page((talk / "report.html").as_uri(), 1400, 1600)
    yield opened
    assert opened.errors() == []
    opened.call("Page.close")


def ids(page: Page) -> list[str]:
    """Return the ids of the lines in the document, from top to bottom."""
    rows = page.evaluate(
        "[...document.querySelectorAll('.line')].map((row) => [parseFloat(row.style.top), row.querySelector('.id').textContent])"
    )
    assert rows == sorted(rows)
    return [name for _, name in rows]


def set_filter(page: Page, selector: str, value: str) -> None:
    page.evaluate(
        f"(() => {{ const one = document.querySelector({json.dumps(selector)}); one.value = {json.dumps(value)};"
        " one.dispatchEvent(new Event('input', {bubbles: true})); })()"
    )


def expect_playing(page: Page, name: str) -> None:
    """Wait until the deck's track A or B plays, and its sound is loaded."""
    page.wait_for(f"document.querySelector('[data-do={name}]')?.getAttribute('aria-pressed') === 'true'")
    element = {"a": "audio-original", "b": "audio-clip"}[name]
    page.wait_for(f"document.getElementById('{element}').duration > 0")


def test_every_line_is_listed_without_network_requests(page: Page, talk: Path) -> None:
    assert ids(page) == [f"{n:04}" for n in range(1, 13)]
    assert all(url.startswith(talk.as_uri()) for url in page.requested())


def test_sounds_load_from_their_files(page: Page) -> None:
    for element in ("audio-original", "audio-mix"):
        page.wait_for(f"document.getElementById('{element}').duration > 20")
    lengths = page.evaluate("""Promise.all(JSON.parse(document.getElementById('content').textContent).lines
        .filter((line) => line.file).map((line) => new Promise((done, failed) => {
            const sound = document.getElementById('audio-clip').cloneNode();
            sound.onloadedmetadata = () => done(sound.duration);
            sound.onerror = () => failed(new Error(line.file));
            sound.src = line.file;
        })))""")
    assert lengths == pytest.approx([1.4] * 11, abs=0.01)


def test_a_plays_the_original_and_b_the_clone(page: Page) -> None:
    page.press("j")
    page.press("j")
    page.press("a")
    expect_playing(page, "a")
    page.wait_for("document.getElementById('audio-original').currentTime >= 2.0")
    assert page.evaluate("document.getElementById('audio-original').currentTime") <= 3.7
    page.press("b")
    expect_playing(page, "b")
    assert page.evaluate("document.getElementById('audio-clip').getAttribute('src')") == "segments/0002.wav"
    assert page.evaluate("document.getElementById('audio-original').paused")
    assert page.evaluate("document.getElementById('live').textContent") == "Playing clone of 0002"


def test_original_stops_at_the_end_of_its_line(page: Page) -> None:
    page.press("j")
    page.press("a")
    expect_playing(page, "a")
    page.wait_for("document.getElementById('audio-original').paused")
    assert page.evaluate("document.getElementById('audio-original').currentTime") == pytest.approx(
        1.5, abs=0.4
    )


def test_space_pauses_and_resumes(page: Page) -> None:
    page.press("j")
    page.press("b")
    expect_playing(page, "b")
    page.press(" ")
    page.wait_for("document.getElementById('audio-clip').paused")
    page.press(" ")
    expect_playing(page, "b")


def test_switching_clips_leaves_one_frame_loop(page: Page) -> None:
    for kind in ("original", "mix"):
        page.click(f"#play-{kind}")
        page.wait_for(f"!document.getElementById('audio-{kind}').paused")
    frames, requests = page.evaluate("""new Promise((done) => {
        const original = window.requestAnimationFrame;
        let [frames, requests] = [0, 0];
        window.requestAnimationFrame = (callback) => {
            if (callback.name === 'followPlayback') requests++;
            return original(callback);
        };
        const count = () => { if (++frames < 20) original(count); else done([frames, requests]); };
        original(count);
    })""")
    assert 0 < requests <= frames + 1


def test_j_and_k_select_lines_and_esc_closes(page: Page) -> None:
    for key in "jjjk":
        page.press(key)
    assert page.evaluate("document.querySelector('#deck h2').textContent") == "0002"
    assert page.evaluate("location.hash") == "#0002"
    assert page.evaluate("document.querySelector('.line[aria-selected=true] .id').textContent") == "0002"
    page.press("Escape")
    assert page.evaluate("document.getElementById('deck').hidden")


def test_address_with_a_line_selects_it(browser: Browser, talk: Path) -> None:
    page = browser.open_page((talk / "report.html").as_uri() + "#0007")
    assert page.evaluate("document.querySelector('#deck h2').textContent") == "0007"
    page.call("Page.close")


def test_deck_shows_the_word_diff(page: Page) -> None:
    for key in "jjj":
        page.press(key)
    assert page.evaluate("document.querySelector('.words del').textContent") == "archive."
    assert page.evaluate("document.querySelector('.words ins').textContent") == "attic."


def test_filters_by_speaker_status_flag_and_text(page: Page) -> None:
    set_filter(page, "#filter-speaker", "SPEAKER_01")
    assert ids(page) == ["0002", "0005", "0008", "0011"]
    set_filter(page, "#filter-status", "failed")
    assert ids(page) == ["0005"]
    page.press("Escape")
    assert len(ids(page)) == 12
    set_filter(page, "#filter-flag", "=overflow")
    assert ids(page) == ["0007"]
    set_filter(page, "#filter-flag", "")
    page.press("/")
    for letter in "attic":
        page.press(letter)
    assert ids(page) == ["0003"]
    assert page.evaluate("document.getElementById('shown').textContent") == "1 of 12 lines"
    page.press("Escape")
    assert len(ids(page)) == 12


def test_columns_sort_in_both_directions_without_values_last(page: Page) -> None:
    page.click("[data-by=similarity] button")
    assert ids(page)[:6] == ["0001", "0002", "0003", "0007", "0008", "0009"]
    page.click("[data-by=similarity] button")
    assert ids(page)[:6] == ["0009", "0008", "0007", "0003", "0002", "0001"]
    assert page.evaluate("document.querySelector('[data-by=similarity]').ariaSort") == "descending"


def test_w_sorts_worst_first(page: Page) -> None:
    page.press("w")
    assert ids(page)[:3] == ["0005", "0003", "0007"]
    page.press("w")
    assert ids(page)[:3] == ["0001", "0002", "0003"]


def test_marked_lines_become_a_redo_command(page: Page, talk: Path) -> None:
    for key in "jxjjx":
        page.press(key)
    assert page.evaluate("document.getElementById('redo').value") == f"voiceclone redo {talk} 0001 0003"
    page.press("x")
    assert page.evaluate("document.getElementById('redo').value") == f"voiceclone redo {talk} 0001"


def test_the_deck_has_a_command_for_each_correction(page: Page, talk: Path) -> None:
    page.press("j")
    line = page.evaluate("JSON.parse(document.getElementById('content').textContent).lines[0]")
    middle = (line["start"] + line["end"]) / 2
    expected = {
        "take": "0001",
        "text": f"0001 --text '{line['text']}'",
        "speaker": "--speaker 0001=SPEAKER_01",
        "split": f"--split 0001@{middle:.3f}",
        "join": "--join 0001 0004",
        "move": f"--move 0001={line['start']:.3f}",
        "drop": "--drop 0001",
    }
    for name, words in expected.items():
        set_filter(page, ".correct select", name)
        shown = page.evaluate("document.querySelector('.correct code').textContent")
        assert shown == f"voiceclone redo {talk} {words}"
    page.press("j")
    assert "--drop 0002" in page.evaluate("document.querySelector('.correct code').textContent")


def test_click_on_the_timeline_plays(page: Page) -> None:
    box = page.evaluate(
        "(() => { const box = document.getElementById('timeline').getBoundingClientRect();"
        " return [box.x, box.y, box.width]; })()"
    )
    left, top, width = box
    # The first speaker's second line: from 6 s of 24, its clone in the lower half of the lane.
    page.click_at(left + width * 6.7 / 24, top + 22 + 18 + 24 + 12)
    assert page.evaluate("document.querySelector('#deck h2').textContent") == "0004"
    expect_playing(page, "b")
    page.click_at(left + width * 6.7 / 24, top + 22 + 18 + 12)
    expect_playing(page, "a")


def test_timeline_zooms_and_pans(page: Page) -> None:
    picture = "document.getElementById('timeline').toDataURL()"
    frame = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    seen = [page.evaluate(picture)]
    for key in ("+", "-", "+"):
        page.press(key)
        page.evaluate(frame)
        seen.append(page.evaluate(picture))
    page.evaluate("document.getElementById('timeline').focus()")
    page.press("ArrowRight")
    page.evaluate(frame)
    seen.append(page.evaluate(picture))
    assert seen[0] == seen[2] and seen[1] == seen[3]
    assert len(set(seen)) == 3


def test_reference_plays_and_views_are_tabs(page: Page) -> None:
    page.press("2")
    assert page.evaluate("document.getElementById('lines').hidden")
    page.click("#speakers button")
    page.wait_for("document.getElementById('audio-clip').duration > 2.9")
    assert page.evaluate("document.getElementById('audio-clip').getAttribute('src')") == (
        "speakers/SPEAKER_00/reference.wav"
    )
    page.press("3")
    assert "max_stretch" in page.evaluate("document.getElementById('run').textContent")


def test_failed_gates_and_corrections_link_to_lines(browser: Browser, tmp_path: Path) -> None:
    at = "2026-03-01T10:00:00+00:00"
    was = {"text": "Hello.", "speaker": "A", "seed": None}
    history = [{"at": at, "kind": "line", "id": "0002", "was": was, "text": "Good day."}]
    rows = [line(0, "A", "Hi."), line(1, "A", "Good day.")]
    folder = write_run(tmp_path / "run", rows, history=history)
    write_check(folder, {"0001": {}, "0002": {}})
    check = json.loads((folder / "check.json").read_text(encoding="utf-8"))
    missed = [
        {"gate": "max_wer", "segment": "0001", "speaker": "A", "message": "wer 0.5, wanted at most 0.1"}
    ]
    (folder / "check.json").write_text(json.dumps({**check, "offences": missed}), encoding="utf-8")
    page = browser.open_page(write_report(folder).as_uri())
    assert "wanted at most 0.1" in page.evaluate("document.getElementById('notices').innerText")
    page.click("#notices button")
    assert page.evaluate("document.querySelector('#deck h2').textContent") == "0001"
    page.press("3")
    said = "[...document.querySelectorAll('.history del, .history ins')].map((one) => one.textContent)"
    assert page.evaluate(said) == ["Hello.", "Good day."]
    page.click(".history button")
    assert page.evaluate("document.querySelector('#deck h2').textContent") == "0002"
    assert page.errors() == []
    page.call("Page.close")


def test_texts_that_are_not_spoken_are_a_table(browser: Browser, tmp_path: Path) -> None:
    omitted = [
        {"where": "cue 2", "start": 63.2, "end": 64.0, "text": "(door <b>slams</b>)", "reason": "sound"},
        {"where": "cue 3", "start": None, "end": None, "text": "♪ la ♪", "reason": "music"},
    ]
    page = browser.open_page(
        write_report(write_run(tmp_path / "run", [line(0, "A", "Hi.")], omitted=omitted)).as_uri()
    )
    page.press("3")
    (card,) = page.evaluate(
        "[...document.querySelectorAll('#run .card')].map((one) => one.innerText).filter((one) => one.includes('la ♪'))"
    )
    assert card.split("\n")[0] == "Not spoken" and "2 texts (1 sound, 1 music)" in card
    assert "cue 2\t1:03.2\t(door <b>slams</b>)\tsound" in card
    assert "cue 3\t–\t♪ la ♪\tmusic" in card
    assert page.errors() == []
    page.call("Page.close")


def test_help_lists_the_keys_and_blocks_them(page: Page) -> None:
    page.press("?")
    assert page.evaluate("document.getElementById('help').open")
    page.press("j")
    assert page.evaluate("document.getElementById('deck').hidden")


def test_grid_has_accessible_row_positions(page: Page) -> None:
    grid = "document.getElementById('grid')"
    assert page.evaluate(f"{grid}.getAttribute('aria-rowcount')") == "13"
    page.evaluate(f"{grid}.focus()")
    page.press("End")
    named = page.evaluate(
        f"document.getElementById({grid}.getAttribute('aria-activedescendant')).ariaRowIndex"
    )
    assert named == "13"
    nameless = page.evaluate(
        "[...document.querySelectorAll('button, input, select, canvas[tabindex]')].filter((one) =>"
        " !(one.textContent.trim() || one.getAttribute('aria-label') || one.labels?.length)).length"
    )
    assert nameless == 0


@pytest.mark.parametrize("width", [360, 390, 700, 1000, 1400])
def test_no_width_scrolls_sideways(browser: Browser, talk: Path, width: int) -> None:
    page = browser.open_page((talk / "report.html").as_uri(), width, 844, phone=width < 500)
    for key in ("j", "x", "2", "3"):
        page.press(key)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, key
        assert page.evaluate("document.getElementById('deck').scrollWidth") <= width, key
    page.call("Page.close")


def test_theme_follows_the_system_and_can_be_switched(browser: Browser, talk: Path) -> None:
    page = browser.open_page((talk / "report.html").as_uri())
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.prefer_dark()
    page.wait_for("document.documentElement.dataset.theme === 'dark'")
    assert page.evaluate(ground) != light
    page.click("#theme")
    assert page.evaluate(ground) == light
    page.evaluate("localStorage.clear()")
    page.call("Page.close")


@pytest.fixture
def chinese_talk(talk: Path, tmp_path: Path) -> Path:
    """The same run with a report in Chinese."""
    folder = tmp_path / "谈话.voiceclone"
    shutil.copytree(talk, folder)
    messages.choose("zh")
    write_report(folder)
    return folder


def test_a_chinese_page_works_like_the_english_one(browser: Browser, chinese_talk: Path) -> None:
    page = browser.open_page((chinese_talk / "report.html").as_uri(), 1400, 1600)
    assert page.evaluate("document.documentElement.lang") == "zh-Hans"
    assert page.evaluate("document.querySelector('#tab-lines').textContent") == "台词 12"
    set_filter(page, "#filter-flag", "=overflow")
    assert ids(page) == ["0007"]
    assert page.evaluate("document.querySelector('.flag').textContent") == "超时"
    page.press("Escape")
    page.press("w")
    assert ids(page)[:3] == ["0005", "0003", "0007"]
    page.press("j")
    page.press("j")
    page.press("b")
    expect_playing(page, "b")
    assert page.evaluate("document.getElementById('live').textContent") == "正在播放：0003 的克隆"
    assert page.errors() == []
    page.call("Page.close")


def test_a_chinese_page_has_no_english_left(browser: Browser, chinese_talk: Path) -> None:
    page = browser.open_page((chinese_talk / "report.html").as_uri(), 1400, 1600)
    for key in ("j", "x"):
        page.press(key)
    seen = ""
    for key in "123":
        page.press(key)
        seen += page.evaluate("document.body.innerText") + "\n"
    page.press("1")
    page.press("?")
    seen += page.evaluate("document.getElementById('help').innerText")
    # Names, paths and commands, the texts of the script, and what engineers call it in Chinese too.
    kept = r"voiceclone\s[^\n]*|SPEAKER_\d\d|/[^\n]*|talk\.wav|MOS|MB|Hz|Esc|Space|echo|engine|run --consent FILE|max_stretch|media|kHz"
    kept = "|".join(
        [*map(re.escape, (*TEXTS, "what was said there", "attic.", "archive.", "worker_died")), kept]
    )
    words = re.findall(r"[A-Za-z]{3,}", re.sub(kept, " ", seen))
    assert words == []
    page.call("Page.close")


@pytest.mark.parametrize("width", [390, 1000, 1400])
def test_no_width_scrolls_sideways_in_chinese(browser: Browser, chinese_talk: Path, width: int) -> None:
    page = browser.open_page((chinese_talk / "report.html").as_uri(), width, 844, phone=width < 500)
    for key in ("j", "x", "2", "3"):
        page.press(key)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, key
    page.call("Page.close")


def test_hostile_names_are_text_only(browser: Browser, tmp_path: Path) -> None:
    name = HOSTILE.replace("/", "")
    rows = [
        line(0, name, HOSTILE, id="a%b#c?d", warnings=[HOSTILE], language='en" onload="x'),
        line(1, name, "x", status="failed", error={"code": HOSTILE, "message": HOSTILE}),
        line(2, "javascript:window.injected=1", "y"),
    ]
    documents = {
        "history": [{HOSTILE: HOSTILE}],
        "consent": {"speakers": [{"speaker": HOSTILE, "name": HOSTILE}]},
    }
    errors = [{"code": HOSTILE, "message": HOSTILE, "segment": HOSTILE}]
    folder = write_run(
        tmp_path / "r %23#?'\"", rows, notes=[HOSTILE], errors=errors, status=HOSTILE, **documents
    )
    write_check(folder, {"a%b#c?d": {"heard": HOSTILE + " more", "nearest_other": HOSTILE, "error": HOSTILE}})
    page = browser.open_page(write_report(folder).as_uri())
    for key in ("j", "b"):
        page.press(key)
    expect_playing(page, "b")
    for key in ("j", "j", "2", "3"):
        page.press(key)
    page.wait_for("document.getElementById('audio-original').duration > 0")
    assert page.evaluate("window.injected === undefined && !document.querySelector('main img')")
    assert HOSTILE in page.evaluate("document.getElementById('run').textContent")
    assert page.errors() == []
    page.call("Page.close")


@pytest.mark.parametrize("lacking", ["original.flac", "mix.wav", "segments", "speakers", "everything"])
def test_page_without_some_files(browser: Browser, tmp_path: Path, lacking: str) -> None:
    folder = write_run(tmp_path / "run", [line(0, "A", "Hi."), line(1, "B", "Ho.", status="planned")])
    if lacking == "everything":
        (folder / "run.json").write_text('{"schema": "voiceclone.run/1", "status": "error", "run_dir": null}')
    elif (folder / lacking).is_dir():
        (folder / lacking).rename(tmp_path / "away")
    else:
        (folder / lacking).unlink()
    page = browser.open_page(write_report(folder).as_uri())
    for key in ("j", "a", "b", "m", "j", "a", "b", " ", "w", "2", "3", "1", "x", "+", "Escape"):
        page.press(key)
    assert page.errors() == []
    page.call("Page.close")


def test_long_lists_render_a_window_of_rows(browser: Browser, tmp_path: Path) -> None:
    close = [
        {"start": n / 4, "end": n / 4 + 0.2, "slot_end": n / 4 + 0.2, "placed_at": n / 4} for n in range(2000)
    ]
    rows = [line(n, f"SPEAKER_0{n % 3}", TEXTS[n % 3], seconds=0.2, **close[n]) for n in range(2000)]
    page = browser.open_page(write_report(write_run(tmp_path / "run", rows)).as_uri())
    most = page.evaluate("""new Promise((done) => {
        let [most, steps] = [0, 0];
        const step = () => {
            window.scrollBy(0, 1500);
            most = Math.max(most, document.querySelectorAll('.line').length);
            if (++steps < 60) requestAnimationFrame(step); else done(most);
        };
        step();
    })""")
    assert 10 < most < 60
    assert page.evaluate("document.getElementById('grid').getAttribute('aria-rowcount')") == "2001"
    page.evaluate("document.getElementById('grid').focus()")
    page.press("End")
    assert ids(page)[-1] == "2000"
    seen = page.evaluate(
        "(() => { const box = document.querySelector('.line[aria-selected=true]').getBoundingClientRect();"
        " return box.top >= 0 && box.bottom <= document.getElementById('deck').getBoundingClientRect().top; })()"
    )
    assert seen
    assert page.errors() == []
    page.call("Page.close")


def test_report_command_on_a_real_run(browser: Browser, sample_wav: Path, tmp_path: Path) -> None:
    folder = tmp_path / "talk.voiceclone"
    assert voiceclone("run", sample_wav, "--engine", "echo", "--out", folder).code == 0
    ended = voiceclone("report", folder)
    assert (ended.code, ended.out.strip()) == (0, str(folder / "report.html"))
    page = browser.open_page((folder / "report.html").as_uri())
    segments = len(json.loads((folder / "run.json").read_text(encoding="utf-8"))["segments"])
    assert len(ids(page)) == segments > 0
    page.press("j")
    page.press("b")
    expect_playing(page, "b")
    assert page.errors() == []
    page.call("Page.close")


def test_report_command_refuses_other_folders(tmp_path: Path) -> None:
    ended = voiceclone("report", tmp_path)
    assert ended.code == 2 and "there is no run.json in it that can be read" in ended.err


def test_a_translation_is_beside_its_original_and_both_are_searched(browser: Browser, tmp_path: Path) -> None:
    rows = [
        line(0, "ANNA", "Nos vemos al mediodía.", original=TEXTS[0], language="es"),
        line(1, "BERT", "¿Trajiste los dibujos?", original=TEXTS[1], language="es"),
    ]
    translation = {
        "from": "en",
        "to": "es",
        "translator": "openai",
        "destination": "there",
        "done": 2,
        "failed": 0,
    }
    folder = write_run(tmp_path / "talk.voiceclone", rows, translation=translation)
    write_report(folder)
    page = browser.open_page((folder / "report.html").as_uri(), 1400, 1600)
    assert page.evaluate(
        "[...document.querySelectorAll('.line .pair')].map((cell) => [...cell.children].map((one) => one.textContent))"
    ) == [
        [TEXTS[0], "Nos vemos al mediodía."],
        [TEXTS[1], "¿Trajiste los dibujos?"],
    ]
    for words, found in (("harbour", "0001"), ("dibujos", "0002")):
        set_filter(page, "#search", words)
        assert ids(page) == [found]
    assert page.errors() == []
    page.call("Page.close")

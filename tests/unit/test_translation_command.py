"""Translation by a program of the user, which may do anything with its pipes."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from properties import examples
from voiceclone_cli import system
from voiceclone_cli.config import resolve
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.translation.command import CommandTranslator, open_command, translator_environment
from voiceclone_cli.translation.translator import Failing, Line, TranslationRequest, TranslatorError

ROOT = Path(__file__).parents[2]

HEAD = """
import json, os, sys, time
def answer(request, **more):
    rows = [{"id": row["id"], "text": row["text"].upper(), **more} for row in request["lines"]]
    print(json.dumps({"lines": rows}, ensure_ascii=False), flush=True)
requests = map(json.loads, sys.stdin)
"""


def request(text: str = "Hello.") -> TranslationRequest:
    return TranslationRequest("en", "es", (Line("1", "ANNA", text),))


class Said(list[str]):
    """Sentences for the user."""


def program(
    tmp_path: Path, body: str, said: Said | None = None, *, seconds: float = 20.0
) -> CommandTranslator:
    path = tmp_path / "tr.py"
    path.write_text(HEAD + body, encoding="utf-8")
    command = system.quoted_command([sys.executable, str(path)])
    settings = resolve({"translator_command": command, "translator_seconds": seconds}, {})
    return open_command(settings, (Said() if said is None else said).append)


def failure(translator: CommandTranslator, text: str = "Hello.") -> TranslatorError:
    with pytest.raises(TranslatorError) as caught:
        translator.translate(request(text))
    assert caught.value.message.endswith(".")
    return caught.value


def test_the_program_of_the_docs_translates(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "translating.md").read_text(encoding="utf-8")
    (source,) = re.findall(r"^```python\n(# tr\.py\n.*?)^```", page, re.DOTALL | re.MULTILINE)
    asked, answered = re.findall(r"^```json\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    (tmp_path / "tr.py").write_text(source, encoding="utf-8")
    words = [sys.executable, str(tmp_path / "tr.py")]
    with CommandTranslator(words, 20.0, print, destination="", shown="tr.py") as translator:
        found = translator.translate(request(json.loads(asked)["lines"][0]["text"]))
    assert (
        [line.text for line in found] == [row["text"] for row in json.loads(answered)["lines"]] == ["Hola."]
    )


def test_one_process_translates_all_requests_in_any_script(tmp_path: Path) -> None:
    body = "for request in requests:\n    request['lines'].append({'id': 'pid', 'text': str(os.getpid())}); answer(request)\n"
    with program(tmp_path, body) as translator:
        pids = set()
        for text in ("niño", "你好。", "नमस्ते", "a\u2028b\u0085c", '😀 {"lines": []}'):
            first, second = translator.translate(request(text))
            assert (first.id, first.text) == ("1", text.upper())
            pids.add(second.text)
    assert len(pids) == 1
    assert not system.process_lives(int(pids.pop()))


def test_what_is_printed_besides_is_no_answer(tmp_path: Path) -> None:
    body = (
        "print('loading', flush=True)\n"
        "for request in requests:\n    print('translating 1 line'); answer(request); print('done', file=sys.stderr)\n"
    )
    with program(tmp_path, body) as translator:
        assert [translator.translate(request(text))[0].text for text in ("a", "b")] == ["A", "B"]


def test_a_program_that_ends_is_started_again_for_the_same_lines(tmp_path: Path) -> None:
    said = Said()
    with program(tmp_path, "answer(next(requests))\n", said) as translator:
        assert [translator.translate(request(text))[0].text for text in ("a", "b", "c")] == ["A", "B", "C"]
    assert len(said) == 2 and "ended with exit code 0; it is started again" in said[0]


def test_a_program_that_never_answers_is_refused_with_its_last_words(tmp_path: Path) -> None:
    body = "print('no model in /models', file=sys.stderr)\nsys.exit(3)\n"
    error = failure(program(tmp_path, body))
    assert (error.failing, error.code) == (Failing.REFUSED, "translator_refused")
    assert error.message.endswith("tr.py ended with exit code 3: no model in /models.")


def test_lines_that_end_the_program_are_unusable_until_it_happens_too_often(tmp_path: Path) -> None:
    body = "for request in requests:\n    'bad' in request['lines'][0]['text'] and os._exit(9)\n    answer(request)\n"
    with program(tmp_path, body) as translator:
        assert translator.translate(request("good"))[0].text == "GOOD"
        assert failure(translator, "bad").failing is Failing.UNUSABLE
        assert translator.translate(request("good"))[0].text == "GOOD"
        kinds = [failure(translator, "bad").failing for _ in range(3)]
    assert kinds == [Failing.UNUSABLE, Failing.UNUSABLE, Failing.REFUSED]


def test_a_late_answer_is_never_taken_for_the_next_one(tmp_path: Path) -> None:
    body = "for request in requests:\n    request['lines'][0]['text'] == 'slow' and time.sleep(1.5)\n    answer(request)\n"
    with program(tmp_path, body, seconds=1.0) as translator:
        translator.translate(request("first"))
        started = time.monotonic()
        error = failure(translator, "slow")
        assert time.monotonic() - started < 10
        assert error.failing is Failing.UNUSABLE and "did not answer in 1 s" in error.message
        assert translator.translate(request("next"))[0].text == "NEXT"


def test_a_second_answer_is_never_taken_for_the_next_one(tmp_path: Path) -> None:
    body = (
        "for request in requests:\n    answer(request); answer(request, text='again')\n    time.sleep(0.1)\n"
    )
    with program(tmp_path, body) as translator:
        found = []
        for text in ("a", "b"):
            found.append(translator.translate(request(text))[0].text)
            time.sleep(0.3)
    assert found == ["A", "B"]


def test_a_program_that_reads_nothing_is_ended_in_time(tmp_path: Path) -> None:
    started = time.monotonic()
    error = failure(program(tmp_path, "time.sleep(60)\n", seconds=0.5), "x" * 9000 * 100)
    assert "did not answer in 0.5 s" in error.message
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    "answer, words",
    [
        ('{"lines"', "answered without the JSON document"),
        ("[1, 2]", "answered without the JSON document"),
        ('{"error": "no such language"}', "reports an error: no such language."),
    ],
)
def test_a_line_that_is_no_answer_is_unusable(tmp_path: Path, answer: str, words: str) -> None:
    with program(tmp_path, f"for request in requests:\n    print({answer!r}, flush=True)\n") as translator:
        error = failure(translator)
    assert error.failing is Failing.UNUSABLE and words in error.message


def test_an_answer_without_an_end_is_cut_off(tmp_path: Path) -> None:
    with program(tmp_path, "next(requests)\nwhile True: sys.stdout.write('{' * 100_000)\n") as translator:
        assert "answered with more than 4 MB" in failure(translator).message


def test_a_program_that_prints_on_and_on_is_ended(tmp_path: Path) -> None:
    body = "for request in requests:\n    answer(request)\n    while True: print('{}')\n"
    with program(tmp_path, body) as translator:
        assert translator.translate(request("a"))[0].text == "A"
        time.sleep(0.3)
        assert "answered with more than 4 MB" in failure(translator).message


def test_its_environment_has_the_path_and_no_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_0123456789")
    monkeypatch.setenv("DEEPL_API_KEY", "0123456789")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    body = "for request in requests:\n    request['lines'] = [{'id': name, 'text': ''} for name in os.environ]; answer(request)\n"
    with program(tmp_path, body) as translator:
        names = {line.id for line in translator.translate(request())}
    assert {"PATH", "HTTPS_PROXY"} <= names
    assert not names & {"HF_TOKEN", "DEEPL_API_KEY", "VOICECLONE_HOME", "PYTHONPATH"}
    assert translator_environment({"XDG_DATA_HOME": "/d", "OPENAI_API_KEY": "x"}).get("XDG_DATA_HOME") == "/d"


def test_options_of_the_program_are_not_shown(tmp_path: Path) -> None:
    (tmp_path / "tr.py").write_text("", encoding="utf-8")
    command = system.quoted_command([sys.executable, str(tmp_path / "tr.py"), "--key", "s3cret", "more"])
    translator = open_command(resolve({"translator_command": command}, {}), print)
    assert translator.destination == f"the program {sys.executable} {tmp_path / 'tr.py'} ..."
    assert "s3cret" not in translator.destination + translator.identity


def test_the_identity_follows_the_files_of_the_program(tmp_path: Path) -> None:
    first = program(tmp_path, "pass\n").identity
    assert program(tmp_path, "pass\n").identity == first
    assert program(tmp_path, "print()\n").identity != first


@pytest.mark.parametrize(
    "command, words",
    [
        ("no-such-program-7 x", "there is no program no-such-program-7"),
        ('python "tr.py', "a quotation mark in --command has no second one"),
        ('""', "--command names no program"),
    ],
)
def test_a_command_that_cannot_be_started_is_said_before_anything_is_sent(command: str, words: str) -> None:
    with pytest.raises(PreflightError, match=re.escape(words)):
        open_command(resolve({"translator_command": command}, {}), print)


@pytest.mark.parametrize("platform", ["linux", "win32"])
@examples
@given(words=st.lists(st.text(st.sampled_from("ab \\\"'\t$%")), min_size=1, max_size=5))
def test_a_command_is_split_as_its_platform_does(platform: str, words: list[str]) -> None:
    assert system.split_command(system.quoted_command(words, platform), platform) == words


def test_paths_of_windows_keep_their_backslashes() -> None:
    command = r'C:\Python312\python.exe "C:\My Files\tr.py" --table=C:\t\ '
    expected = [r"C:\Python312\python.exe", r"C:\My Files\tr.py", "--table=C:\\t\\"]
    assert system.split_command(command, "win32") == expected

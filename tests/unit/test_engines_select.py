"""Selection of the engine and its reason. Nothing is started or fetched but a bare interpreter."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fish_checkpoints import make_checkout, make_s1, make_s2
from platforms import write_program
from voiceclone_cli.config import resolve
from voiceclone_cli.engines.checkpoint import S1, S2, checked
from voiceclone_cli.engines.select import EngineChoice, EngineReport, choose_engine, language_notes, probe
from voiceclone_cli.errors import InputError, PreflightError
from voiceclone_cli.models import download
from voiceclone_worker.engines.kokoro.phonemes import registry


@pytest.fixture(autouse=True)
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No environment, no checkpoint and no login; kokoro's files count as present."""
    from huggingface_hub import constants

    monkeypatch.setenv("VOICECLONE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr(
        download, "ensure_models", lambda names, *rest, **options: {name: tmp_path / name for name in names}
    )


@pytest.fixture
def python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A program that answers like the interpreter of a complete fish environment."""
    path = write_program(tmp_path / "python", "[]")
    monkeypatch.setenv("FISH_SPEECH_PYTHON", str(path))
    return str(path)


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = make_s1(tmp_path / "checkpoint")
    monkeypatch.setenv("VOICECLONE_CHECKPOINT", str(folder))
    return folder


def chosen(**flags: object) -> EngineChoice:
    return choose_engine(resolve(flags))


def selection_error(**flags: object) -> PreflightError:
    with pytest.raises(PreflightError) as caught:
        chosen(**flags)
    return caught.value


# ------------------------------------------------------------------------------------------- fish


def test_fish_gets_its_interpreter_checkpoint_device_and_precision(python: str, checkpoint: Path) -> None:
    choice = chosen(engine="fish", device="cuda:1", precision="bf16")
    assert (choice.name, choice.python, choice.codes_name) == ("fish", python, "codes.npy")
    spec = choice.spec(batch_size=7, threads=3)
    assert (spec.checkpoint, spec.device, spec.precision) == (str(checkpoint), "cuda:1", "bf16")
    assert spec.batch_size == 7
    assert spec.options == {**S1.sampling, "threads": 3}


def test_a_checkout_and_compiling_are_options_of_fish(
    python: str, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_checkout(tmp_path / "fish")
    monkeypatch.setenv("FISH_SPEECH_DIR", str(tmp_path / "fish"))
    options = chosen(engine="fish", compile=True).options
    assert (options["source"], options["compile"]) == (str(tmp_path / "fish"), True)


def test_s2_has_a_sampling_and_tags_of_its_own_and_its_checkout_gives_no_code(
    python: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_checkout(tmp_path / "fish", is_s2=True)
    monkeypatch.setenv("FISH_SPEECH_DIR", str(folder))
    made = make_s2(folder / "checkpoints" / "s2-pro")
    choice = chosen(engine="fish")
    assert (choice.checkpoint, choice.checkpoint_name) == (str(made), "s2-pro")
    assert choice.options == {**S2.sampling, "tags": "drop"} and not choice.keeps_tags
    (note,) = choice.notes
    assert "its checkpoints are used, its code is not" in note
    assert chosen(engine="fish", tags="keep").keeps_tags


def test_s2_was_made_for_more_languages_than_s1() -> None:
    assert S1.languages < S2.languages and len(S2.languages) > 80
    (note,) = language_notes("fish", {"hi-IN": 3}, languages=S1.languages)
    assert "was not made for Hindi" in note
    assert language_notes("fish", {"hi-IN": 3}, languages=S2.languages) == []


def test_tags_that_no_engine_here_reads_are_noted(python: str, checkpoint: Path) -> None:
    for engine in ("fish", "kokoro", "echo"):
        choice = chosen(engine=engine, tags="keep")
        assert not choice.keeps_tags and "tags" not in choice.options
        assert "only s2-pro" in choice.notes[-1]


def test_the_parts_that_fish_lacks_are_errors_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    assert selection_error(engine="fish").code == "fish_environment"
    request.getfixturevalue("python")
    assert selection_error(engine="fish").code == "checkpoint_missing"
    monkeypatch.setenv("FISH_SPEECH_DIR", str(tmp_path / "nowhere"))
    assert selection_error(engine="fish").code == "fish_checkout"


def test_a_generated_checkpoint_is_noted_in_the_document(python: str, checkpoint: Path) -> None:
    assert chosen(engine="fish").notes == ()
    (checkpoint / "generated.json").write_text("{}", encoding="utf-8")
    (note,) = chosen(engine="fish").notes
    assert "no words" in note


# ------------------------------------------------------------------------------------------- auto


def test_auto_is_fish_where_interpreter_and_checkpoint_are_available(python: str, checkpoint: Path) -> None:
    choice = chosen()
    assert choice.name == "fish" and "--engine kokoro" in choice.why


def test_auto_is_kokoro_without_an_environment_and_says_where_to_read_about_fish() -> None:
    choice = chosen()
    assert choice.name == "kokoro" and choice.python is None
    assert choice.why.startswith("kokoro, ") and "`voiceclone doctor`" in choice.why


def test_auto_fetches_no_checkpoint_whatever_token_there_is(
    python: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    fetched: list[str] = []
    monkeypatch.setattr(
        download,
        "ensure_models",
        lambda names, *rest, **options: fetched.extend(names) or {name: Path(name) for name in names},
    )
    choice = chosen()
    assert choice.name == "kokoro" and fetched == ["kokoro", "campplus", "dnsmos"]
    assert "voiceclone models pull openaudio-s1-mini" in choice.why and "hf_secret" not in choice.why


@pytest.mark.parametrize(
    "broken, reason", [("python", "FISH_SPEECH_PYTHON"), ("checkpoint", "lacks codec.pth")]
)
def test_auto_is_kokoro_where_a_part_of_fish_is_broken_and_says_which(
    python: str, checkpoint: Path, broken: str, reason: str
) -> None:
    if broken == "python":
        Path(python).unlink()
    else:
        (checkpoint / "codec.pth").unlink()
    choice = chosen()
    assert choice.name == "kokoro" and reason in choice.why


# ------------------------------------------------------------------------------------------ probe


def probed(**flags: object) -> EngineReport:
    return probe(resolve(flags))


def code_of(part: object) -> str:
    assert isinstance(part, PreflightError)
    return part.code


def test_a_probe_of_a_complete_fish_has_all_its_parts(python: str, checkpoint: Path) -> None:
    for engine in ("auto", "fish"):
        assert probed(engine=engine) == EngineReport(
            "fish", python, python, None, checked(checkpoint, "it"), None
        )
    assert probed(engine="kokoro") == EngineReport(
        "kokoro", None, python, None, checked(checkpoint, "it"), None
    )
    assert probed(engine="echo").python == python


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        ("python", "worker_interpreter"),
        ("checkout", "fish_checkout"),
        ("checkpoint", "checkpoint_missing"),
        ("codec", "checkpoint_incomplete"),
        ("packages", "fish_missing"),
    ],
)
def test_auto_is_fish_only_where_nothing_of_it_lacks_and_says_the_same_as_a_probe(
    python: str, checkpoint: Path, broken: str, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if broken == "python":
        Path(python).unlink()
    elif broken == "checkout":
        monkeypatch.setenv("FISH_SPEECH_DIR", str(checkpoint / "nowhere"))
    elif broken == "checkpoint":
        monkeypatch.delenv("VOICECLONE_CHECKPOINT")
    elif broken == "codec":
        (checkpoint / "codec.pth").unlink()
    else:
        write_program(Path(python).parent / "python", '["hydra"]')
    report = probed()
    assert (report.engine, report.python, code_of(report.problem)) == ("kokoro", None, code)
    assert report.problem is not None and chosen().why.endswith(report.problem.message)


def test_a_requested_engine_is_the_engine_whatever_is_missing() -> None:
    report = probed(engine="fish")
    assert report.engine == "fish" and code_of(report.python) == "fish_environment"
    assert report.python is report.problem and report.checkpoint is None
    assert (probed(engine="kokoro").engine, probed(engine="kokoro").python) == ("kokoro", None)


def test_an_interpreter_is_started_only_where_its_packages_matter(
    python: str, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = tmp_path / "started"
    write_program(Path(python).parent / "python", "[]", log=started)
    probed(engine="kokoro")
    probed(engine="echo")
    (checkpoint / "codec.pth").unlink()
    probed()
    assert not started.exists()
    assert probed(engine="fish").problem is None and started.exists(), "its checkpoint is looked for later"


# ----------------------------------------------------------------------------------------- others


def test_kokoro_needs_nothing_of_fish(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FISH_SPEECH_PYTHON", "/no/such/python")
    choice = chosen(engine="kokoro")
    assert (choice.name, choice.python, choice.why) == ("kokoro", None, "kokoro is requested")
    folders = {"encoder": str(tmp_path / "campplus"), "quality": str(tmp_path / "dnsmos")}
    assert choice.options == {**folders, "effort": "normal"}


def test_echo_runs_here_or_in_the_interpreter_that_is_set(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    assert chosen(engine="echo").python is None
    python = request.getfixturevalue("python")
    assert chosen(engine="echo").python == python
    monkeypatch.setenv("FISH_SPEECH_PYTHON", "/no/such/python")
    assert selection_error(engine="echo").code == "worker_interpreter"


# ------------------------------------------------------------------------------------------- echo


def test_echo_takes_its_options_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen(engine="echo").options == {}
    monkeypatch.setenv("VOICECLONE_ECHO", '{"delay": 0.1, "rate": 16000}')
    choice = chosen(engine="echo")
    assert choice.options == {"delay": 0.1, "rate": 16000}
    assert choice.spec(batch_size=5, threads=1).options["rate"] == 16000


# No variable of Windows is longer.
@pytest.mark.parametrize("text", ["{", "[1]", '"delay"', "[" * 32_000])
def test_echo_options_that_are_no_object_are_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("VOICECLONE_ECHO", text)
    with pytest.raises(InputError, match="VOICECLONE_ECHO must be") as caught:
        chosen(engine="echo")
    assert caught.value.code == "bad_setting"


def test_a_language_that_kokoro_was_not_made_for_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda program: f"/bin/{program}")
    (note,) = language_notes("kokoro", {"pl": 3, "en": 1, "fr-CA": 2, "es-419": 1, "pt-BR": 1})
    assert note.startswith("kokoro was not made for Polish") and "--engine fish" in note
    assert language_notes("fish", {"pl": 3, "zh": 2}) == language_notes("echo", {"ja": 1}) == []


def test_the_engine_that_was_made_for_a_language_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda program: f"/bin/{program}")
    assert language_notes("kokoro", {"de": 1})[0].endswith("; use --engine fish")
    assert language_notes("fish", {"hi": 1})[0].endswith("; use --engine kokoro")
    for engine, other in (("kokoro", "fish"), ("fish", "kokoro")):
        (note,) = language_notes(engine, {"cs": 1})
        assert note.endswith(f"; try --engine {other}, which was not made for it either")


def test_the_languages_that_kokoro_was_made_for_need_no_program(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    tags = ("zh-Hans", "zh-Hant", "zh-TW", "ja", "fr", "it", "pt-BR", "pt", "hi", "es-MX", "en-GB")
    assert language_notes("kokoro", dict.fromkeys(tags, 1)) == []


def test_a_script_that_kokoro_cannot_read_is_refused_before_anything_is_encoded() -> None:
    with pytest.raises(InputError) as caught:
        language_notes("kokoro", {"yue": 9})
    assert caught.value.message == (
        "kokoro cannot read Cantonese, and can read Chinese, English, French, Hindi, Italian, Japanese, Portuguese and "
        "Spanish: try --engine fish, which was not made for it either"
    )
    (note,) = language_notes("kokoro", {"ko": 1, "en": 4})
    assert note.startswith(
        "1 line will not be spoken, since kokoro cannot read Korean, and can read Chinese, "
    )


def test_a_language_of_a_region_that_kokoro_does_not_sound_like_is_noted() -> None:
    (note,) = language_notes("kokoro", {"pt-PT": 2, "pt": 1, "fr-CA": 1})
    assert note == "Portuguese (pt-PT) is spoken as in Brazil, since kokoro has no other Portuguese"
    (note,) = language_notes("kokoro", {"zh-HK": 2, "zh": 1})
    assert note == "Chinese (zh-HK) is spoken in Mandarin, since kokoro has no Cantonese"
    assert language_notes("fish", {"zh-HK": 2}) == []


def test_a_language_whose_package_is_missing_is_refused_here_but_not_on_a_cluster(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = registry.find_spec
    monkeypatch.setattr(registry, "find_spec", lambda name: None if name == "haqumei" else real(name))
    with pytest.raises(
        PreflightError, match=r"^reading Japanese needs the Python package haqumei==0\.12\.3: install"
    ):
        language_notes("kokoro", {"ja": 2})
    assert language_notes("kokoro", {"ja": 2, "zh": 1})[0].startswith(
        "2 lines will not be spoken, since reading"
    )
    assert language_notes("kokoro", {"ja": 2}, is_remote=True) == []
    assert language_notes("fish", {"ja": 2}) == []


def test_a_language_whose_program_is_missing_is_refused_here_but_not_on_a_cluster(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PreflightError, match=r"needs the espeak-ng program to read German: install it"):
        language_notes("kokoro", {"de": 2})
    assert language_notes("kokoro", {"de": 2, "en": 1})[0].startswith("2 lines will not be spoken")
    (note,) = language_notes("kokoro", {"de": 2}, is_remote=True)
    assert note.startswith("kokoro was not made for German")

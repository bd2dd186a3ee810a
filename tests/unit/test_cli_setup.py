"""`voiceclone models`: data on stdout, people on stderr, exit codes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from voiceclone_cli import messages
from voiceclone_cli.cli import setup
from voiceclone_cli.cli.app import app
from voiceclone_cli.cli.setup import check_lines
from voiceclone_cli.doctor.checks import CheckRow, CheckState
from voiceclone_cli.errors import InputError, PreflightError
from voiceclone_cli.models import registry
from voiceclone_cli.models.store import ModelState

DATA = b"weights " * 100


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home that holds the embedded model `tiny`, put by hand, and lacks `gated`, which is on the hub only."""
    wheel = registry.Wheel("tiny-model", "1.0", "0" * 64, 1000)
    sha256 = hashlib.sha256(DATA).hexdigest()
    embedded = registry.ModelFile("model.bin", sha256, len(DATA), ((wheel, "model.bin"),))
    only_hub = registry.ModelFile("config.yaml", "1" * 64, len(DATA))
    repo = registry.HubRepo("someone/gated", "1" * 40, gated=True)
    entries = (
        registry.ModelEntry("tiny", "to test", "MIT", "nobody", (embedded,)),
        registry.ModelEntry("gated", "to test more", "CC-BY-4.0", "someone", (only_hub,), repo),
    )
    monkeypatch.setattr(registry, "ENTRIES", entries)
    monkeypatch.setenv("VOICECLONE_HOME", str(tmp_path))
    folder = tmp_path / "models" / "tiny"
    folder.mkdir(parents=True)
    (folder / "model.bin").write_bytes(DATA)
    return tmp_path


def run(*arguments: str) -> tuple[str, str, BaseException | None]:
    result = CliRunner().invoke(app, ["models", *arguments])
    return result.stdout, result.stderr, result.exception


def test_list_is_an_aligned_table_on_stdout(home: Path) -> None:
    out, err, error = run("list")
    header, tiny, gated, *_ = out.splitlines()
    assert header.split()[:3] == ["NAME", "STATE", "SIZE"]
    assert tiny.split()[:2] == ["tiny", "unverified"]
    assert gated.split()[:2] == ["gated", "missing"]
    assert tiny.index("MIT") == gated.index("CC-BY-4.0") == header.index("LICENCE")
    assert str(home) in out
    assert (err, error) == ("", None)


def test_list_is_in_the_users_language_but_for_names_and_licences(home: Path) -> None:
    out, _, error = run("list", "--lang", "zh")
    header, tiny, gated, _, folder = out.splitlines()
    assert error is None and header.split() == ["名称", "状态", "大小", "许可", "来源", "用途"]
    assert tiny.split()[:2] == ["tiny", "未校验"] and "MIT" in tiny and "软件包索引" in tiny
    assert gated.split()[:2] == ["gated", "缺少"] and "CC-BY-4.0" in gated
    assert folder == f"位于 {home / 'models'}"


def test_every_role_and_state_of_a_model_has_a_translation() -> None:
    say = messages.catalogue(messages.CHINESE).sentence
    words = [*(entry.role for entry in registry.ENTRIES), *(state.value for state in ModelState)]
    assert [word for word in words if say(word) == word] == []


def test_list_json_says_where_every_file_belongs_and_what_it_must_hash_to(home: Path) -> None:
    out, _, error = run("list", "--json")
    assert error is None
    document = json.loads(out)
    assert document["schema"] == "voiceclone.models/1"
    tiny, gated = document["models"]
    assert tiny["folder"] == str(home / "models" / "tiny")
    assert tiny["files"] == [
        {
            "path": "model.bin",
            "state": "unverified",
            "size": len(DATA),
            "sha256": hashlib.sha256(DATA).hexdigest(),
        }
    ]
    assert (tiny["wheels"], tiny["hub"]) == (["tiny-model==1.0"], None)
    assert gated["hub"] == {"repo": "someone/gated", "revision": "1" * 40, "gated": True}


def test_pull_fetches_the_embedded_models_only_and_prints_their_folders(home: Path) -> None:
    out, err, error = run("pull")
    assert error is None
    assert out == f"tiny\t{home / 'models' / 'tiny'}\n"
    assert err == "models: 100 % (checking the model files)\n"


def give_terms(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny, gated = registry.ENTRIES
    asking = dataclasses.replace(gated, licence="Some License", terms="its weights are for research only")
    monkeypatch.setattr(registry, "ENTRIES", (tiny, asking))


def test_a_script_that_pulls_a_model_with_terms_has_to_accept_them(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_terms(monkeypatch)
    asked: list[bool] = []

    def fetch(*arguments: object, accept_license: bool, **more: object) -> dict[str, Path]:
        asked.append(accept_license)
        return {"gated": home}

    monkeypatch.setattr("voiceclone_cli.models.download.ensure_models", fetch)
    _, _, error = run("pull", "gated")
    assert isinstance(error, PreflightError)
    assert error.code == "license_not_accepted" and "Some License" in error.message
    assert run("pull", "gated", "--accept-license") == (f"gated\t{home}\n", "", None)
    monkeypatch.setenv("VOICECLONE_ACCEPT_LICENSE", "true")
    assert run("pull", "gated")[2] is None
    assert asked == [True, True]


@pytest.mark.parametrize("answer, accepts", [("y\n", True), ("n\n", False)])
def test_on_a_terminal_it_asks(
    home: Path, monkeypatch: pytest.MonkeyPatch, answer: str, accepts: bool
) -> None:
    give_terms(monkeypatch)
    monkeypatch.setattr(setup, "_is_interactive", lambda: True)
    monkeypatch.setattr("voiceclone_cli.models.download.ensure_models", lambda *_, **__: {"gated": home})
    result = CliRunner().invoke(app, ["models", "pull", "gated"], input=answer)
    assert "Some License: its weights are for research only (https://huggingface.co/" in result.stderr
    assert "Do you accept this licence? [y/N]" in result.stderr
    assert (result.exception is None) is accepts
    if not accepts:
        assert isinstance(result.exception, PreflightError)
        assert result.exception.code == "license_not_accepted"


def test_verify_by_default_looks_at_what_is_embedded_or_there(home: Path) -> None:
    out, _, error = run("verify")
    assert error is None
    assert [line.split()[:2] for line in out.splitlines()[1:]] == [["tiny", "ready"]]


def test_verify_of_a_corrupt_file_prints_the_table_and_ends_with_exit_code_4(home: Path) -> None:
    (home / "models" / "tiny" / "model.bin").write_bytes(b"X" * len(DATA))
    out, _, error = run("verify", "tiny")
    assert ["tiny", "incomplete"] in [line.split()[:2] for line in out.splitlines()]
    assert isinstance(error, PreflightError)
    assert (error.exit_code, error.code) == (4, "models_incomplete")
    assert "voiceclone models pull tiny" in error.message


def test_verify_json_is_one_document_even_when_something_is_missing(home: Path) -> None:
    out, _, error = run("verify", "gated", "--json")
    assert json.loads(out)["models"][0]["files"][0]["state"] == "missing"
    assert isinstance(error, PreflightError)


def test_verify_says_where_there_is_no_hash_to_compare_with(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, gated = registry.ENTRIES
    unknown = registry.ModelFile("config.yaml", None, 1000)
    monkeypatch.setattr(registry, "ENTRIES", (dataclasses.replace(gated, files=(unknown,)),))
    (home / "models" / "gated").mkdir()
    (home / "models" / "gated" / "config.yaml").write_bytes(DATA)
    out, err, error = run("verify", "--progress", "none")
    assert error is None and out.splitlines()[1].split()[:2] == ["gated", "unverified"]
    assert err == "gated: installed by hand, and no hash is published to compare with\n"


@pytest.mark.parametrize("verb", ["pull", "verify"])
def test_an_unknown_name_is_a_usage_error(home: Path, verb: str) -> None:
    _, _, error = run(verb, "nothing")
    assert isinstance(error, InputError)
    assert error.exit_code == 2


def test_what_a_doctor_finds_is_in_the_language_that_was_chosen() -> None:
    messages.choose("zh")
    rows = [
        CheckRow("hub", CheckState.OK, "no token; none is needed but for community-1, openaudio-s1-mini and s2-pro"),
        CheckRow("disk: here", CheckState.FAIL, "/run cannot be written to", "name a run directory elsewhere with --out"),
    ]  # fmt: skip
    assert list(check_lines(rows)) == [
        "正常  模型站点    没有令牌；只有 community-1、openaudio-s1-mini 和 s2-pro 需要",
        "失败  磁盘：此处  /run 不可写",
        "                  -> 请用 --out 把运行目录放到别处",
    ]


def test_list_can_print_the_commands_that_download_what_is_missing(home: Path) -> None:
    (home / "models" / "tiny" / "model.bin").unlink()
    out, err, error = run("list", "--commands")
    pip, hub = out.splitlines()
    assert error is None and err == (
        "`voiceclone models pull --from voiceclone-models` takes the files from there.\n"
    )
    assert pip.startswith("python -m pip download --no-deps ") and pip.endswith(
        "-d voiceclone-models tiny-model==1.0"
    )
    assert hub == f"hf download someone/gated --revision {'1' * 40} --local-dir voiceclone-models/gated"


def test_pull_takes_the_files_from_a_folder(home: Path, tmp_path: Path) -> None:
    (home / "models" / "tiny" / "model.bin").rename(tmp_path / "stick.bin")
    out, _, error = run("pull", "--from", str(tmp_path))
    assert error is None and out == f"tiny\t{home / 'models' / 'tiny'}\n"
    assert (home / "models" / "tiny" / "model.bin").read_bytes() == DATA
    _, _, error = run("pull", "--from", str(tmp_path / "nothing"))
    assert isinstance(error, InputError) and error.code == "models_folder_missing"

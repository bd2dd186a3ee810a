"""Checkpoints of fish: their generation by content, and the files they need."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fish_checkpoints import S2_FILES, S2_INDEX, S2_SHARDS, make_s1, make_s2, write_shard
from voiceclone_cli.engines.checkpoint import (
    S1,
    S2,
    checked,
    generation_of,
    licence_notice,
    missing_files,
    required_files,
    weight_files,
)
from voiceclone_cli.errors import PreflightError


def check_error(folder: Path) -> PreflightError:
    with pytest.raises(PreflightError) as caught:
        checked(folder, "--checkpoint")
    assert "\n" not in caught.value.message and caught.value.exit_code == 4
    return caught.value


# --------------------------------------------------------------------------------- generations


def test_the_generation_is_that_of_the_content(tmp_path: Path) -> None:
    s1, s2 = make_s1(tmp_path / "looks-like-s2-pro"), make_s2(tmp_path / "one")
    assert generation_of(s1) is S1 and generation_of(s2) is S2
    assert checked(s1, "it").generation is S1 and checked(s2, "it").generation is S2
    assert required_files(s1) == (
        "config.json",
        "model.pth",
        "tokenizer.tiktoken",
        "special_tokens.json",
        "codec.pth",
    )
    assert required_files(s2) == S2_FILES


def test_without_a_configuration_the_weights_tell(tmp_path: Path) -> None:
    assert generation_of(make_s1(tmp_path / "s1", without=("config.json",))) is S1
    assert generation_of(make_s2(tmp_path / "s2", without=("config.json",))) is S2
    assert generation_of(make_s2(tmp_path / "shards", without=("config.json", S2_INDEX))) is S2


@pytest.mark.parametrize(
    "lost", [("codec.pth",), (S2_SHARDS[1],), ("config.json", *S2_SHARDS, "tokenizer.json")]
)
def test_what_its_generation_needs_is_named_where_it_is_missing(
    tmp_path: Path, lost: tuple[str, ...]
) -> None:
    folder = make_s2(tmp_path / "s2", without=lost)
    assert missing_files(folder) == list(lost)
    error = check_error(folder)
    assert error.code == "checkpoint_incomplete" and f"lacks {', '.join(lost)}:" in error.message


def test_weights_in_one_file_need_no_index(tmp_path: Path) -> None:
    folder = make_s2(tmp_path / "s2", without=(S2_INDEX, *S2_SHARDS))
    assert missing_files(folder) == [S2_INDEX]
    write_shard(folder / "model.safetensors", {"all.of.it": (10, 10)})
    assert weight_files(folder) == ("model.safetensors",) and missing_files(folder) == []


def test_a_pointer_of_git_lfs_is_no_shard(tmp_path: Path) -> None:
    folder = make_s2(tmp_path / "s2")
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4986872984\n"
    (folder / S2_SHARDS[0]).write_text(pointer, encoding="utf-8")
    assert missing_files(folder) == [S2_SHARDS[0]]


@pytest.mark.parametrize(
    "table",
    [
        None,
        [],
        {},
        {"a": 1},
        {"a": None},
        {"a": "../other/model.safetensors"},
        {"a": "/etc/passwd"},
        {"a": "C:model.safetensors"},
        {"a": "sub\\model.safetensors"},
        {"a": "model.pth"},
        {"a": ".safetensors"},
        {"a": "\0.safetensors"},
        {"a": ["model.safetensors"]},
    ],
)
def test_an_index_that_names_no_files_of_the_folder_is_one_sentence(tmp_path: Path, table: object) -> None:
    folder = make_s2(tmp_path / "s2")
    (folder / S2_INDEX).write_text(json.dumps({"weight_map": table}), encoding="utf-8")
    error = check_error(folder)
    assert error.code == "checkpoint_unusable" and S2_INDEX in error.message


@pytest.mark.parametrize("text", ["", "[]", "nothing", "[" * 10_000])
def test_an_index_that_is_none_is_one_sentence(tmp_path: Path, text: str) -> None:
    folder = make_s2(tmp_path / "s2")
    (folder / S2_INDEX).write_text(text, encoding="utf-8")
    assert check_error(folder).code == "checkpoint_unusable"


def test_a_folder_that_is_not_there_is_an_error_that_names_the_published_ones(tmp_path: Path) -> None:
    error = check_error(tmp_path / "s2pro")
    assert error.code == "checkpoint_missing" and "name s2-pro or openaudio-s1-mini" in error.message


def test_each_kind_of_weights_has_its_licence(tmp_path: Path) -> None:
    s1, s2 = make_s1(tmp_path / "s1"), make_s2(tmp_path / "s2")
    assert licence_notice(s1) == ("fish", S1.notice) and "CC-BY-NC-SA-4.0" in S1.notice
    assert licence_notice(s2) == ("fish-s2", S2.notice) and "Fish Audio Research License" in S2.notice
    (s2 / "generated.json").write_text("{}", encoding="utf-8")
    key, notice = licence_notice(s2)
    assert key == "fish-generated" and "random numbers" in notice and "Research License" not in notice
    (s1 / "config.json").write_text("no object", encoding="utf-8")
    assert licence_notice(s1) == ("fish", ""), "the worker refuses it"

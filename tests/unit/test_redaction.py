"""No secret survives in words that others wrote."""

from __future__ import annotations

import pytest

from voiceclone_cli.redaction import holds_secret, is_secret_name, redacted

PASSWORD = "pass/word@1"


@pytest.mark.parametrize(
    "text, clean",
    [
        ("Looking in https://me:abc@host/simple", "Looking in https://****@host/simple"),
        ("git+https://github.com/x/y@v1", "git+https://github.com/x/y@v1"),
        ("header Authorization: Bearer abcdef.ghi", "header Authorization: Bearer ****"),
        ("b'basic bWU6YWJj'", "b'basic ****'"),
        ("invalid token hf_AbCdEf123456, sorry", "invalid token ****, sorry"),
        ("write to me@example.org", "write to me@example.org"),
    ],
)
def test_logins_headers_and_tokens_are_hidden_and_nothing_else(text: str, clean: str) -> None:
    assert redacted(text, environ={}) == clean


def test_a_token_of_any_shape_is_hidden_when_it_is_known() -> None:
    assert redacted("odd-token-7 was refused", "odd-token-7", {}) == "**** was refused"


def test_the_password_of_a_malformed_url_among_the_variables_is_hidden() -> None:
    environ = {"HTTPS_PROXY": f"http://me:{PASSWORD}@proxy:x"}
    assert PASSWORD not in redacted(f"Failed to parse: http://me:{PASSWORD}@proxy:x", environ=environ)


def test_a_password_is_hidden_as_it_is_written_and_as_it_is_meant() -> None:
    environ = {"PIP_INDEX_URL": "https://me:secret%21word@host/simple"}
    assert redacted("secret%21word secret!word", environ=environ) == "**** ****"


def test_secret_variables_are_hidden_and_paths_and_truth_values_are_not() -> None:
    environ = {
        "NVIDIA_API_KEY": "nvapi-123456",
        "HF_TOKEN_PATH": "/home/me/.token",
        "HF_HUB_DISABLE_IMPLICIT_TOKEN": "true",
    }
    text = "nvapi-123456 /home/me/.token true"
    assert redacted(text, environ=environ) == "**** /home/me/.token true"


def test_a_secret_within_a_longer_one_leaves_no_rest() -> None:
    environ = {"A_TOKEN": "abcdef", "B_TOKEN": "abcdefghij"}
    assert redacted("abcdefghij", environ=environ) == "****"


@pytest.mark.parametrize(
    "name", ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "aws_secret_access_key", "OPENAI_API_KEY", "DB_PASSWORD"]
)
def test_a_secret_is_known_by_its_name(name: str) -> None:
    assert is_secret_name(name) and holds_secret(name, "x")


@pytest.mark.parametrize(
    "name", ["PATH", "TOKENIZERS_PARALLELISM", "GIT_AUTHOR_NAME", "KEYBOARD", "FISH_NUM_WORKERS"]
)
def test_ordinary_names_are_not_taken_for_secrets(name: str) -> None:
    assert not is_secret_name(name)
    assert holds_secret(name, "https://me:abc@host") and not holds_secret(name, "https://host")

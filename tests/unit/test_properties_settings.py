"""Whatever a .env file or the environment says: settings, or one sentence."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from properties import examples, expect_one_sentence, texts
from voiceclone_cli.errors import InputError
from voiceclone_cli.settings import TABLE, Settings, resolve

variables = st.sampled_from([row.variable for row in TABLE])
likely = st.sampled_from(
    ["true", "0", "1", "-1", "٣", "--5", "1e5", "nan", "inf", "auto", "cuda:0", "en", "pt-br", "'", '"']
)
lines = (
    st.builds("{}={}".format, variables, texts | likely)
    | texts
    | st.sampled_from(["export ", "=", "#", "A='", 'B="'])
)
contents = st.lists(lines, max_size=5).map("\n".join).map(lambda text: text.encode(errors="surrogatepass"))


def check_sane(settings: Settings) -> None:
    assert 1 <= settings.workers <= 256 and 1 <= settings.batch_size <= 1024
    assert 1.0 <= settings.max_stretch <= 2.0 and 0 <= settings.seed < 2**32
    assert 0.01 <= settings.patience <= 100 and 1 <= settings.threads <= 1024


@examples
@given(content=contents | st.binary(max_size=100))
def test_any_file_is_settings_or_one_sentence(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.env"
    path.write_bytes(content)
    try:
        check_sane(resolve({}, {}, dotenv=path))
    except InputError as error:
        expect_one_sentence(error)


@examples
@given(environ=st.dictionaries(variables, texts | likely, max_size=3))
def test_any_environment_is_settings_or_one_sentence(
    environ: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    try:
        check_sane(resolve({}, environ, dotenv=tmp_path_factory.getbasetemp() / "no.env"))
    except InputError as error:
        expect_one_sentence(error)

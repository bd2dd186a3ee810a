"""Title, notes and glossary that the user gives to a translation."""

from __future__ import annotations

from pathlib import Path

import pytest

from voiceclone_cli.errors import InputError
from voiceclone_cli.translation.context import (
    MAX_NOTES,
    TranslationContext,
    read_context,
    read_glossary,
)
from voiceclone_cli.translation.translator import Term


def glossary(tmp_path: Path, content: bytes, encoding: str | None = None) -> tuple[Term, ...]:
    path = tmp_path / "glossary.csv"
    path.write_bytes(content)
    return read_glossary(path, encoding)[0]


def test_a_row_has_a_term_and_its_translation_and_an_empty_one_keeps_the_term(tmp_path: Path) -> None:
    assert glossary(tmp_path, b"term,translation\nharbour,puerto\nBlue Finch,\nMiller\n\n") == (
        Term("harbour", "puerto"),
        Term("Blue Finch"),
        Term("Miller"),
    )


@pytest.mark.parametrize(
    "content",
    ["harbour;puerto\npier;muelle – grúa\n", "harbour\tpuerto\r\npier\tmuelle – grúa\r\n"],
)
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_it_is_read_with_any_delimiter_and_encoding(tmp_path: Path, content: str, encoding: str) -> None:
    said = encoding if encoding == "cp1252" else None
    assert glossary(tmp_path, content.encode(encoding), said)[1] == Term("pier", "muelle – grúa")


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "has no entry"),
        (b"a,b\n,c\n", "line 2 has a translation without a term"),
        (b"a,b\nA,c\n", "line 2 has two translations of 'A'; keep one"),
        (b"a,b,c\n", "line 1 has more than two cells"),
        (b'a,"b\n', "line 2 is not valid CSV"),
        (b"a," + b"x" * 300, "line 1 has a term of more than 200 characters"),
    ],
)
def test_a_damaged_table_is_refused_with_its_row(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message) as raised:
        glossary(tmp_path, content)
    assert raised.value.code == "bad_glossary"
    assert raised.value.message.startswith(f"--glossary {tmp_path / 'glossary.csv'}")


def test_a_missing_file_says_its_option(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--context .*none.txt does not exist"):
        read_context(tmp_path / "none.txt")


def test_the_first_line_of_the_context_is_the_title(tmp_path: Path) -> None:
    path = tmp_path / "context.txt"
    path.write_text("# The Harbour\n\nAnna and Bert are siblings.\nLiverpool, 1961.\n", encoding="utf-8")
    assert read_context(path)[:2] == ("The Harbour", "Anna and Bert are siblings.\nLiverpool, 1961.")
    path.write_text("x" * (MAX_NOTES + 1), encoding="utf-8")
    with pytest.raises(InputError, match="goes out with every request"):
        read_context(path)


def test_terms_of_several_texts_are_in_the_order_of_the_glossary_and_each_once() -> None:
    terms = tuple(Term(name) for name in ("ship", "harbour", "crew"))
    context = TranslationContext(glossary=terms)
    for _ in range(2):  # a text is looked through once
        assert context.terms_in(["The crew left.", "The ship of the crew."]) == (terms[0], terms[2])
        assert context.terms_in(["Nothing."]) == ()
    assert context == TranslationContext(glossary=terms)


def test_terms_are_whole_words_but_in_writing_without_blanks() -> None:
    context = TranslationContext(glossary=(Term("art", "arte"), Term("港口", "harbour"), Term("C++")))
    assert [term.term for term in context.terms_in(["a part of it", "the Art of C++"])] == ["art", "C++"]
    assert [term.term for term in context.terms_in(["我们在港口等你"])] == ["港口"]


@pytest.mark.parametrize(
    "translation, is_broken",
    [
        ("Vemos los perros en el puerto.", False),
        ("Vemos PERRO y Puertos.", False),
        ("Vemos los gatos en el puerto.", True),
    ],
)
def test_a_word_of_the_glossary_may_be_inflected(translation: str, is_broken: bool) -> None:
    context = TranslationContext(glossary=(Term("dogs", "perros"), Term("harbour", "puerto")))
    assert (context.broken_term("The dogs in the harbour", translation) is not None) == is_broken


def test_what_is_never_translated_stays_letter_by_letter() -> None:
    context = TranslationContext(glossary=(Term("Blue Finch"),))
    assert context.broken_term("the Blue Finch", "el Blue Finch") is None
    assert context.broken_term("the Blue Finch", "el Blue Finches") is None
    assert context.broken_term("the Blue Finch", "el Pinzón") == Term("Blue Finch")

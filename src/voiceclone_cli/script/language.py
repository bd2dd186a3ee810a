"""The language of a script: what is said of it, checked against what its text looks like.

In this order: the option or variable, the name of the file (``film.es.srt``), the file itself (JSON, WebVTT), its
text, an earlier transcription. Every choice has a reason, and a contradiction is a warning that names both.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from voiceclone_cli.errors import InputError
from voiceclone_cli.language_detection import SURE, TextLook, family
from voiceclone_cli.languages import EXAMPLES, is_name, language_of, main_language, name_of
from voiceclone_cli.script import parsers
from voiceclone_cli.types import Script, Segment, Transcript
from voiceclone_worker.validation import shown

DEFAULT = "en"
"""Assumed where nothing tells the language."""
LIKELY = 0.5
"""Probability from which the text decides. Of 280 single lines of dialogue in 28 languages, 264 reach it and 8 of
them are wrong, all by a close relative (Danish for Norwegian); of 56 passages of five lines all, and 1 is."""
_FOREIGN_LINE, _FOREIGN_LETTERS, _FOREIGN_CHECKED = 0.9, 25, 400
"""Probability and letters of a single line from which it is listed as foreign, and lines that are checked at most."""

_PASSED_OVER = (
    "sdh cc forced default full sign signs song songs sub subs subtitle subtitles caption captions foreign orig "
    "original auto asr srt vtt ass ssa hearing_impaired hearing-impaired closed-captions dubtitle commentary"
)
"""Parts of a name beside its language."""
_ALSO_WORDS = (
    "ak am an as ay be bo br ch fo he hi ho id ie io is it la li lo mi mo my na ne no om or os pa pi sa sc se so su "
    "ta ti to tw uk za alb arm art bel ben bin bos bur car cat cor cos cre dan div est fin fry ful hat her hun ice ind "
    "kin lit mac mal man mar may min mol mon nap nor ori pan pap per pol por ron rum run sad sag sat sin sot spa sun "
    "tam tat tel ton war wel cop ban chr hil mai scn"
)
"""Codes that are also words, countries or syllables of titles ("The.Cat.srt"): the text decides with them."""
_COUNTRIES = {
    "br": "pt-BR",
    "tw": "zh-TW",
    "uk": "en-GB",
    "se": "sv",
    "kr": "ko",
    "my": "ms",
}
"""What people also mean by the code of a language, by country or habit."""


@dataclass(frozen=True, slots=True)
class LanguageChoice:
    """The language of a script, and how it was found."""

    code: str
    """BCP 47 tag: "es", "es-419", "zh-Hans"."""
    why: str
    """Reason, to follow "because"."""
    warnings: tuple[str, ...] = ()


def transcribed_language(transcript: Transcript, given_by: str | None) -> LanguageChoice:
    """Return the language of a transcription. ``given_by`` as in :func:`choose_language`."""
    if given_by is not None:
        return LanguageChoice(transcript.language, f"{given_by} says so")
    probability = f"with a probability of {transcript.language_probability:.2f}"
    return LanguageChoice(transcript.language, f"{transcript.model} recognised it {probability}")


def choose_language(
    script: Script,
    path: Path,
    *,
    given: str | None = None,
    given_by: str = "--language",
    earlier: str | None = None,
    encoding: str | None = None,
) -> tuple[Script, LanguageChoice]:
    """Choose the language of a script file, and return its script with a language in every segment.

    Segments with a language of their own keep it; the others, whose language is "", get the chosen one.
    ``given``: tag of the option, which ``given_by`` names for messages; ``earlier``: language of a transcription of
    the same recording; ``encoding`` as in ``read_script``. Raises InputError for a language of the file that is not one.
    """
    lines = [segment for segment in script.segments if not segment.language]
    texts = [segment.text for segment in lines]
    warnings: list[str] = []
    if not lines:
        tags = Counter(segment.language for segment in script.segments)
        code = tags.most_common(1)[0][0]
        choice = LanguageChoice(code, "the script names it with each line")
        if given is not None and given not in tags:
            warnings.append(
                f"{given_by} {given} changes nothing: each line of the script names its own language "
                f"({', '.join(sorted(tags))}); take it out of the file to have {name_of(given)}."
            )
    else:
        in_file = _language_in_file(script.named_language, path, encoding)
        choice = _choose(path.name, in_file, TextLook.of(texts), given, given_by, earlier)
        warnings += [*choice.warnings, *_foreign_lines(lines, choice.code)]
        if len(lines) < len(script.segments):
            names = ", ".join(sorted({segment.language for segment in script.segments} - {""}))
            others = len(script.segments) - len(lines)
            choice = replace(choice, why=f"{choice.why}; the file names that of {_count(others)} ({names})")
    warnings += _own_warnings(script.segments)
    segments = tuple(
        segment if segment.language else replace(segment, language=choice.code) for segment in script.segments
    )
    return replace(script, segments=segments), replace(choice, warnings=tuple(warnings))


def _count(lines: int) -> str:
    return f"{lines:,} line{'' if lines == 1 else 's'}"


def _own_warnings(segments: Sequence[Segment]) -> Iterator[str]:
    """Yield a warning for each language whose lines look like another one."""
    texts: dict[str, list[str]] = {}
    for segment in segments:
        if segment.language:
            texts.setdefault(segment.language, []).append(segment.text)
    for tag, of_tag in texts.items():
        look = TextLook.of(of_tag)
        if look.contradicts(tag):
            yield (
                f"{_count(len(of_tag))} of the script {'is' if len(of_tag) == 1 else 'are'} read as {name_of(tag)}, "
                f"as the file says, but the text looks like {look.words}: correct the language there."
            )


def _choose(
    name: str,
    in_file: str | None,
    look: TextLook,
    given: str | None,
    given_by: str,
    earlier: str | None,
) -> LanguageChoice:
    named = _language_in_name(name, look)
    doubt = None
    if given is not None:
        return _checked(_said(given, f"{given_by} says so", given_by, look), in_file)
    if named is not None:
        part, tag, is_word = named
        said = _said(tag, f'the name of the script has ".{part}"', f'".{part}" in its name', look)
        if not is_word or look.probability_of(tag) >= LIKELY or not (look.is_unlikely(tag) or look.is_short):
            return _checked(said, in_file)
        if look.is_short and in_file is None:
            warning = f'the script is read as {name_of(tag)} for ".{part}" in its name, and its text is too short to tell'
            return replace(said, warnings=(f"{warning}; say --language if that is wrong.",))
        doubt = f'the script\'s name ends in ".{part}", which may stand for {name_of(tag)}'
    if in_file is not None:
        return _said(in_file, "the script says so itself", "the language that the file names", look)
    choice = _from_text(look, earlier)
    if doubt:
        warning = f"{doubt}, but its text looks like {look.words}: it is read as {name_of(choice.code)}"
        return replace(choice, warnings=(f"{warning}; say --language if that is wrong.",))
    return choice


def _checked(choice: LanguageChoice, in_file: str | None) -> LanguageChoice:
    """Add a warning where the file itself names another language, unless its text contradicts already."""
    if in_file is None or choice.warnings or main_language(in_file) == main_language(choice.code):
        return choice
    warning = f"the script is read as {name_of(choice.code)}, because {choice.why}, but says {name_of(in_file)} itself."
    return replace(choice, warnings=(warning,))


def _said(tag: str, why: str, by: str, look: TextLook) -> LanguageChoice:
    if not look.contradicts(tag):
        return LanguageChoice(tag, why)
    warning = (
        f"the script is read as {name_of(tag)} ({by}), but its text looks like {look.words}: say --language "
        f"{look.best} if that is what it is."
    )
    return LanguageChoice(tag, why, (warning,))


def _from_text(look: TextLook, earlier: str | None) -> LanguageChoice:
    """Choose by the text; where it does not tell, the recording's language as it was transcribed, or English."""
    other = earlier or DEFAULT
    if look.best and (look.probability >= LIKELY or look.is_unlikely(other)):
        why = f"the text looks like {look.words}"
        if look.probability >= SURE:
            return LanguageChoice(look.best, why)
        return LanguageChoice(
            look.best,
            why,
            (
                f"the script seems to be {look.words}, but its text is too short or too mixed to be sure: say --language.",
            ),
        )
    if look.best and main_language(other) in family(look.best):
        return LanguageChoice(other, f"the text looks most like {name_of(other)}")
    if earlier:
        why = "the recording was transcribed in it, and the text does not tell"
    else:
        why = "nothing tells it, and it is assumed"
    warning = (
        f"the script names no language and its text is too short to tell: it is read as {name_of(other)}"
    )
    return LanguageChoice(other, why, (f"{warning}; say --language if that is wrong.",))


# The name of the file


def _language_in_name(name: str, look: TextLook) -> tuple[str, str, bool] | None:
    """Return the part of a name that tells a language, its tag, and whether it may be a word of the title instead.

    Only parts between the title and the suffix count, from the end: ``film.en.sdh.srt``.
    """
    parts = [_without_brackets(part.casefold()) for part in name.split(".")[1:-1]]
    is_numbered = False
    while parts:
        part = parts.pop()
        if part == "hi":
            # For the hard of hearing, after a language: "film.en.hi.srt"; else it is Hindi.
            before = _language_in_name(".".join(["", *parts, ""]), look)
            return before if before is not None and look.best != "hi" else (part, "hi", True)
        if part in _PASSED_OVER.split() or part.isdecimal():
            is_numbered |= part.isdecimal()
        elif (tag := _tag_of_part(part, look)) is not None:
            is_word = main_language(part) in _ALSO_WORDS.split() or is_name(part)
            return None if is_word and is_numbered else (part, tag, is_word)  # "I.am.No.4.srt"
        else:
            break
    return None


def _without_brackets(part: str) -> str:
    """Return "en" of "en[cc]" and "[en]"; "spanish latin america" of "spanish (latin america)"."""
    words = re.split(r"[\s()\[\]]+", part)
    return " ".join(word for word in words if word and (word not in _PASSED_OVER.split() or len(words) == 1))


def _tag_of_part(part: str, look: TextLook) -> str | None:
    """Return the tag of a part of a name: of two that it may mean, the one that the text looks like."""
    main, _, detail = part.replace("_", "-").partition("-")
    tag = language_of(
        main if detail in _PASSED_OVER.split() else part
    )  # "en-orig", as video sites name a track
    other = _COUNTRIES.get(part)
    return other if other is not None and main_language(other) in family(look.best) else tag


# The file itself

_OF_RUNS = ("script.srt", "script.given.srt")
"""Names of scripts that a run wrote, or keeps."""


def _language_in_file(named: str, path: Path, encoding: str | None) -> str | None:
    """Return the tag of the language that a script file names (``Script.named_language``); None: none that is known.

    Of the ``script.srt`` of a run directory, ``script.json`` beside it names the language. Raises InputError for a
    language of a JSON script that is not one.
    """
    if path.name in _OF_RUNS and (beside := path.with_name("script.json")).is_file():
        path = beside
        items = parsers.parse_json(parsers.read_text(path, encoding).text)
        named = next((item.text for item in items if isinstance(item, parsers.NamedLanguage)), "")
    if not named:
        return None
    tag = language_of(named)
    if tag is None and path.suffix.lower() == ".json":
        raise InputError(
            f"Script {path}: its language {shown(named)} is not a language code; write one like {EXAMPLES}.",
            code="script_language",
        )
    return tag


def _foreign_lines(lines: Sequence[Segment], tag: str) -> Iterator[str]:
    """Yield a warning for each language that single lines are surely in, among those that are read in another."""
    step = -(-len(lines) // _FOREIGN_CHECKED)
    found: dict[str, list[Segment]] = {}
    for line in lines[::step]:
        if len(line.text) < _FOREIGN_LETTERS:
            continue
        look = TextLook.of([line.text])
        if look.letters >= _FOREIGN_LETTERS and look.probability >= _FOREIGN_LINE and look.contradicts(tag):
            found.setdefault(look.best, []).append(line)
    if sum(map(len, found.values())) * 2 > len(lines[::step]):
        return  # the whole script: said already
    for code, foreign in found.items():
        which = ", ".join(line.id for line in foreign[:5]) + (", ..." if len(foreign) > 5 else "")
        yield (
            f"{_count(len(foreign))} of the script look{'s' if len(foreign) == 1 else ''} like {name_of(code)} ({which}) "
            f"and {'is' if len(foreign) == 1 else 'are'} read as {name_of(tag)}: a script in JSON or CSV gives each "
            "line its own language."
        )

"""The language of a script: by the option, the name, the file, the text; with a reason, and never in silence."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from factories import diarization
from voiceclone_cli.encodings import decode
from voiceclone_cli.errors import InputError
from voiceclone_cli.language_detection import SURE, TextLook
from voiceclone_cli.script import parsers
from voiceclone_cli.script.language import LanguageChoice, choose_language, transcribed_language
from voiceclone_cli.script.script_file import read_script
from voiceclone_cli.types import Script, Transcript

EN = "Hello there, how are you today, my friend? I have not seen you for years."
ES = "Hola, ¿cómo estás hoy? Mañana vamos al cine, si quieres venir."
FR = "Je ne crois pas qu'il revienne ce soir, il a dit qu'il m'appellerait demain."
DE = "Ich glaube nicht, dass er heute Abend zurückkommt."
IT = "Non credo che torni stasera, dobbiamo andare via subito."
NO = "Jeg vet ikke hva du snakker om, men jeg kommer hjem i kveld."
PT = "Você não pode estar falando sério, ele disse que me ligaria amanhã."
CA = "Què vols de mi? Va dir que em trucaria demà, no ho pots dir seriosament."
UK = "Не думаю, що він повернеться сьогодні ввечері, нам треба йти."
ZH = "我觉得他今晚不会回来，我们现在就得走。"
JA = "彼は今夜戻らないと思う。鍵をどこに置いたの？"
HI = "मुझे नहीं लगता कि वह आज रात लौटेगा।"
SHORT = "Ok."
DIALOGUE = {
    "en": [
        "Hello there, how are you today, my friend?",
        "I don't think he is coming back tonight.",
        "Where did you put the keys?",
        "We need to leave right now!",
        "That's the best coffee I've had in years.",
        "Come on, let's go.",
    ],
    "es": [
        "Hola, ¿cómo estás hoy?",
        "Mañana vamos al cine.",
        "No lo sé todavía, pero me gustaría mucho ir contigo.",
        "¿Dónde pusiste las llaves?",
        "Tenemos que irnos ahora mismo.",
        "Es el mejor café que he tomado en años.",
    ],
    "fr": [
        "Bonjour, comment allez-vous aujourd'hui ?",
        "Je ne crois pas qu'il revienne ce soir.",
        "Où as-tu mis les clés ?",
        "Il faut partir tout de suite !",
        "C'est le meilleur café depuis des années.",
        "Allez, on y va.",
    ],
    "de": [
        "Hallo, wie geht es dir heute?",
        "Ich glaube nicht, dass er heute Abend zurückkommt.",
        "Wo hast du die Schlüssel hingelegt?",
        "Wir müssen jetzt sofort gehen!",
        "Das ist der beste Kaffee seit Jahren.",
        "Komm schon, los geht's.",
    ],
    "it": [
        "Ciao, come stai oggi?",
        "Non credo che torni stasera.",
        "Dove hai messo le chiavi?",
        "Dobbiamo andare via subito!",
        "È il miglior caffè che abbia bevuto da anni.",
        "Dai, andiamo.",
    ],
    "pt": [
        "Olá, como você está hoje?",
        "Acho que ele não volta hoje à noite.",
        "Onde você colocou as chaves?",
        "Precisamos ir embora agora mesmo!",
        "É o melhor café que tomei em anos.",
        "Vamos, anda logo.",
    ],
    "nl": [
        "Hallo, hoe gaat het vandaag met je?",
        "Ik denk niet dat hij vanavond terugkomt.",
        "Waar heb je de sleutels gelegd?",
        "We moeten nu meteen weg!",
        "Dit is de beste koffie in jaren.",
        "Kom op, we gaan.",
    ],
    "pl": [
        "Cześć, jak się dzisiaj masz?",
        "Nie sądzę, żeby dziś wrócił.",
        "Gdzie położyłeś klucze?",
        "Musimy natychmiast wyjść!",
        "To najlepsza kawa od lat.",
        "No dalej, idziemy.",
    ],
    "sv": [
        "Hej, hur mår du idag?",
        "Jag tror inte att han kommer tillbaka ikväll.",
        "Var la du nycklarna?",
        "Vi måste gå nu genast!",
        "Det är det bästa kaffet på flera år.",
        "Kom igen, nu går vi.",
    ],
    "tr": [
        "Merhaba, bugün nasılsın?",
        "Bu gece geri geleceğini sanmıyorum.",
        "Anahtarları nereye koydun?",
        "Hemen gitmemiz lazım!",
        "Yıllardır içtiğim en iyi kahve.",
        "Hadi, gidelim.",
    ],
    "ro": [
        "Bună, ce mai faci astăzi?",
        "Nu cred că se întoarce în seara asta.",
        "Unde ai pus cheile?",
        "Trebuie să plecăm imediat!",
        "E cea mai bună cafea din ultimii ani.",
        "Haide, să mergem.",
    ],
    "hu": [
        "Szia, hogy vagy ma?",
        "Nem hiszem, hogy ma este visszajön.",
        "Hová tetted a kulcsokat?",
        "Azonnal indulnunk kell!",
        "Évek óta ez a legjobb kávé.",
        "Gyerünk, menjünk.",
    ],
    "ru": [
        "Привет, как дела сегодня?",
        "Не думаю, что он вернётся сегодня вечером.",
        "Куда ты положил ключи?",
        "Нам нужно уходить прямо сейчас!",
        "Это лучший кофе за многие годы.",
        "Давай, пошли.",
    ],
    "uk": [
        "Привіт, як справи сьогодні?",
        "Не думаю, що він повернеться сьогодні ввечері.",
        "Куди ти поклав ключі?",
        "Нам треба йти просто зараз!",
        "Це найкраща кава за багато років.",
        "Давай, ходімо.",
    ],
}
"""The same six lines in languages whose letters are shared."""


def srt(folder: Path, name: str, *texts: str) -> Path:
    path = folder / name
    cues = (f"{n}\n00:00:{n:02d},000 --> 00:00:{n:02d},900\n{text}\n" for n, text in enumerate(texts, 1))
    path.write_text("\n".join(cues), encoding="utf-8")
    return path


def chosen(
    path: Path, given: str | None = None, given_by: str = "--language", earlier: str | None = None
) -> tuple[Script, LanguageChoice]:
    read = read_script(path, diarization((0.0, 100.0, "ANNA")), language="")
    return choose_language(read, path, given=given, given_by=given_by, earlier=earlier)


# The name of the file


@pytest.mark.parametrize(
    "name, text, code",
    [
        ("movie.en.hi.srt", EN, "en"), ("movie.en.sdh.srt", EN, "en"), ("talk.spa.srt", ES, "es"),
        ("talk.es-419.srt", ES, "es-419"), ("movie.hi.srt", HI, "hi"), ("movie.it.hi.srt", IT, "it"),
        ("movie.en.forced.default.srt", EN, "en"), ("movie.eng.cc.vtt.srt", EN, "en"), ("a.EN.SRT.srt", EN, "en"),
        ("Mr.Robot.S01E01.en.srt", EN, "en"), ("movie.en.2.srt", EN, "en"), ("movie.no.srt", NO, "no"),
        ("movie.pt_BR.srt", PT, "pt-BR"), ("movie.br.srt", PT, "pt-BR"), ("movie.uk.srt", UK, "uk"),
        ("movie.uk.srt", EN, "en-GB"), ("movie.cat.srt", CA, "ca"), ("movie.zh-Hans.srt", ZH, "zh-Hans"),
        ("movie.chs.srt", ZH, "zh-Hans"), ("movie.sc.srt", ZH, "zh-Hans"), ("movie.简体.srt", ZH, "zh-Hans"),
        ("movie.zh-TW.srt", ZH, "zh-TW"), ("movie.jpn.srt", JA, "ja"), ("movie.ja.srt", "東京", "ja"),
        ("movie.English (SDH).srt", EN, "en"), ("movie.[en].srt", EN, "en"), ("movie.en[cc].srt", EN, "en"),
        ("talk.en-orig.srt", EN, "en"), ("talk.en-US.srt", EN, "en-US"), ("x.es_419.forced.srt", ES, "es-419"),
        ("Movie.2019.1080p.BluRay.x264-GROUP.en.srt", EN, "en"), ("movie.it.srt", SHORT, "it"), ("movie.fr.srt", SHORT, "fr"),
    ],
)  # fmt: skip
def test_a_known_code_before_the_suffix_is_the_language(
    tmp_path: Path, name: str, text: str, code: str
) -> None:
    path = srt(tmp_path, name, text)
    script, choice = chosen(path)
    assert (choice.code, script.language) == (code, code)
    assert re.fullmatch(r'the name of the script has "\.[^."]+"', choice.why)
    assert not choice.warnings or text == SHORT


@pytest.mark.parametrize(
    "name",
    ["film.new.srt", "The.End.srt", "it.srt", "film.big.srt", "I.am.No.4.srt", "movie.字幕.srt", "S01E01.1080p.srt",
     "translation_es.srt", "es.srt", "film.x264.srt", "no.es.title.srt", "x.BR-Rip.srt", "x.So-Close.srt",
     "x.No-Limits.srt", "x.WEB-DL.srt", "Movie.2019.1080p.BluRay.x264-GROUP.srt", "movie_en.srt", "Movie [en].srt"],
)  # fmt: skip
@pytest.mark.parametrize("text, code", [(EN, "en"), (FR, "fr"), (ZH, "zh")])
def test_words_of_a_title_are_no_language(tmp_path: Path, name: str, text: str, code: str) -> None:
    _, choice = chosen(srt(tmp_path, name, text))
    assert choice.code == code
    assert choice.why.startswith("the text looks like")
    assert not choice.warnings


@pytest.mark.parametrize(
    "name, word",
    [("Let.It.Be.srt", "Belarusian"), ("Dr.No.srt", "Norwegian"), ("Say.Hi.srt", "Hindi"),
     ("The.Cat.srt", "Catalan"), ("The.Danish.srt", "Danish")],
)  # fmt: skip
def test_where_a_word_is_also_a_code_the_text_decides_and_both_are_named(
    tmp_path: Path, name: str, word: str
) -> None:
    _, choice = chosen(srt(tmp_path, name, EN))
    assert choice.code == "en" and choice.why == "the text looks like English"
    (warning,) = choice.warnings
    assert word in warning and "English" in warning and "--language" in warning


def test_a_code_that_is_no_word_is_obeyed_against_the_text_and_both_are_named(tmp_path: Path) -> None:
    _, choice = chosen(srt(tmp_path, "movie.es.srt", EN))
    assert choice.code == "es"
    (warning,) = choice.warnings
    assert "read as Spanish" in warning and "looks like English" in warning and "--language en" in warning


# The option


def test_the_option_wins_and_its_contradiction_names_both(tmp_path: Path) -> None:
    path = srt(tmp_path, "movie.es.srt", ES)
    _, right = chosen(path, given="es-MX")
    assert right == LanguageChoice("es-MX", "--language says so")
    _, wrong = chosen(path, given="en", given_by="VOICECLONE_LANGUAGE (.env)")
    assert (wrong.code, wrong.why) == ("en", "VOICECLONE_LANGUAGE (.env) says so")
    assert wrong.warnings == (
        "the script is read as English (VOICECLONE_LANGUAGE (.env)), but its text looks like Spanish: say "
        "--language es if that is what it is.",
    )


@pytest.mark.parametrize("given", ["no", "nb", "da", "sv"])
def test_close_relatives_are_not_told_from_each_other_by_a_line(tmp_path: Path, given: str) -> None:
    _, choice = chosen(srt(tmp_path, "x.srt", "Hei, hvordan har du det i dag?"), given=given)
    assert choice.code == given and (not choice.warnings or given == "sv")


# The text


@pytest.mark.parametrize(
    "text, code",
    [
        (EN, "en"), (ES, "es"), (FR, "fr"), (DE, "de"), (IT, "it"), (NO, "no"), (PT, "pt"), (UK, "uk"), (ZH, "zh"),
        (JA, "ja"), (HI, "hi"), ("오늘 밤에 돌아오지 않을 것 같아요.", "ko"), ("Δεν νομίζω ότι θα γυρίσει.", "el"),
        ("ฉันไม่คิดว่าเขาจะกลับมาคืนนี้", "th"), ("אני לא חושב שהוא יחזור הלילה.", "he"),
        ("لا أظن أنه سيعود الليلة، يجب أن نذهب.", "ar"), ("فکر نمی‌کنم امشب برگردد، باید برویم.", "fa"),
        ("Nie sądzę, żeby dziś wrócił. Musimy iść.", "pl"), ("Bu gece geri geleceğini sanmıyorum.", "tr"),
        ("Ik denk niet dat hij vanavond terugkomt.", "nl"), ("Не думаю, что он вернётся сегодня.", "ru"),
        ("Tôi không nghĩ tối nay anh ấy sẽ về.", "vi"), ("Nem hiszem, hogy ma este visszajön.", "hu"),
        ("WE NEED TO LEAVE RIGHT NOW, MY FRIEND!", "en"), ("ＨＥＬＬＯ　ｔｈｅｒｅ，ｈｏｗ　ａｒｅ　ｙｏｕ　ｔｏｄａｙ？", "en"),
        ("他用 Google 查了一下，说明天给我打电话。", "zh"), ("Он купил iPhone и сказал, что позвонит завтра.", "ru"),
    ],
)  # fmt: skip
def test_the_text_tells_the_language(tmp_path: Path, text: str, code: str) -> None:
    script, choice = chosen(srt(tmp_path, "x.srt", text))
    assert choice.code == code and choice.why.startswith("the text looks like")
    assert {segment.language for segment in script.segments} == {code}


@pytest.mark.parametrize("code", DIALOGUE)
def test_dialogue_is_told_by_a_passage_and_no_line_contradicts_its_own_language(code: str) -> None:
    lines = DIALOGUE[code]
    passage = TextLook.of(lines)
    assert passage.best == code and passage.probability >= SURE
    assert not [line for line in lines if TextLook.of([line]).contradicts(code)]
    assert [other for other in DIALOGUE if passage.contradicts(other)] == [o for o in DIALOGUE if o != code]


@pytest.mark.parametrize(
    "word, code",
    [("Привет.", "ru"), ("مرحبا", "ar"), ("שלום", "he"), ("नमस्ते", "hi"), ("ありがとう", "ja"),
     ("你好", "zh"), ("서울", "ko"), ("Ναι.", "el")],
)  # fmt: skip
def test_a_word_in_other_letters_is_never_read_as_english(tmp_path: Path, word: str, code: str) -> None:
    path = srt(tmp_path, "x.srt", word)
    assert chosen(path)[1].code == code
    (warning,) = chosen(path, given="en")[1].warnings
    assert "read as English (--language)" in warning


@pytest.mark.parametrize(
    "text",
    ["Shinjuku, Shibuya, Harajuku.", "La la la la la.", "Oh yeah, na na na na!", "Okay, okay.", "Hasta la vista, baby.",
     "José García López and Maria Fernández.", "Ciao bella!", "Angela Merkel, Olaf Scholz.", "24/7", "♪ ♪"],
)  # fmt: skip
def test_names_and_syllables_contradict_nothing(text: str) -> None:
    assert not TextLook.of([text]).contradicts("en")


def test_a_translation_without_a_word_about_its_language_is_read_as_what_it_is(tmp_path: Path) -> None:
    path = srt(
        tmp_path,
        "translation_es.srt",
        "Hola, ¿cómo estás hoy? Mañana vamos al cine.",
        "No lo sé todavía, pero me gustaría mucho ir contigo.",
    )
    _, choice = chosen(path, earlier="en")
    assert choice == LanguageChoice("es", "the text looks like Spanish")


def test_a_text_too_short_to_tell_is_an_assumption_that_is_said(tmp_path: Path) -> None:
    path = srt(tmp_path, "x.srt", SHORT)
    _, choice = chosen(path)
    assert (choice.code, choice.why) == ("en", "nothing tells it, and it is assumed")
    assert "too short to tell" in choice.warnings[0] and "--language" in choice.warnings[0]
    _, choice = chosen(path, earlier="de")
    assert choice.code == "de" and "transcribed" in choice.why and "German" in choice.warnings[0]


def test_a_language_that_is_only_likely_says_so(tmp_path: Path) -> None:
    _, choice = chosen(srt(tmp_path, "x.srt", "Trugarez", "Hej, hej", "Hei hei", "你好 my friend"))
    assert choice.warnings and "--language" in choice.warnings[0]


def test_lines_in_another_language_than_the_script_are_listed(tmp_path: Path) -> None:
    _, choice = chosen(srt(tmp_path, "x.srt", EN, "Come on, let's go home now.", FR, "I said no."))
    assert choice.code == "en"
    (warning,) = choice.warnings
    assert "looks like French (0003)" in warning and "read as English" in warning


def test_a_script_in_two_languages_is_not_taken_for_sure(tmp_path: Path) -> None:
    _, choice = chosen(srt(tmp_path, "x.srt", f"{ZH}\n{EN}", f"{ZH}\n{EN}"))
    assert choice.code in ("zh", "en") and "too mixed" in choice.warnings[0]


def test_a_long_script_is_looked_at_in_samples_with_the_same_result_each_time() -> None:
    texts = [f"{EN} {n}" for n in range(20_000)] + [FR] * 10
    first, again = TextLook.of(texts), TextLook.of(texts)
    assert first == again and first.best == "en" and first.probability > 0.95


# The file itself


def rows(*languages: str | None) -> list[dict[str, object]]:
    return [
        {"start": n, "end": n + 1, "text": SHORT, **({"language": language} if language else {})}
        for n, language in enumerate(languages)
    ]


def test_the_language_of_a_json_script_is_a_field_and_the_option_wins(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"language": "es_MX", "segments": rows(None, None)}), encoding="utf-8")
    assert chosen(path)[1] == LanguageChoice("es-MX", "the script says so itself")
    assert chosen(path, given="fr")[1].code == "fr"
    named = tmp_path / "x.de.json"
    path.rename(named)
    assert chosen(named)[1].code == "de"


def test_a_name_that_says_otherwise_than_the_file_is_said(tmp_path: Path) -> None:
    path = tmp_path / "x.de.json"
    path.write_text(json.dumps({"language": "fr", "segments": rows(None)}), encoding="utf-8")
    _, choice = chosen(path)
    assert choice.code == "de" and "German" in choice.warnings[0] and "French" in choice.warnings[0]


def test_the_srt_of_a_run_directory_has_the_language_of_its_json(tmp_path: Path) -> None:
    (tmp_path / "script.json").write_text(json.dumps({"language": "nl", "segments": []}), encoding="utf-8")
    for name, code in (("script.srt", "nl"), ("script.given.srt", "nl"), ("other.srt", "en")):
        assert chosen(srt(tmp_path, name, SHORT))[1].code == code


def test_lines_keep_a_language_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(rows("spa", None, "zh_CN")), encoding="utf-8")
    script, choice = chosen(path, given="en")
    assert [segment.language for segment in script.segments] == ["es", "en", "zh-CN"]
    assert choice.why == "--language says so; the file names that of 2 lines (es, zh-CN)"


def test_an_option_that_every_line_overrules_is_said_to_change_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("start,end,text,language\n1,2,Hola.,Spanish\n3,4,Adiós.,es\n", encoding="utf-8")
    script, choice = chosen(path, given="fr")
    assert {segment.language for segment in script.segments} == {"es"}
    assert choice.why == "the script names it with each line"
    assert "--language fr changes nothing" in choice.warnings[0]
    assert chosen(path, given="es")[1].warnings == ()


def test_lines_that_are_not_what_the_file_says_are_named(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(f"start;end;text;language\n1;2;{FR};de\n3;4;{EN};en\n", encoding="utf-8")
    (warning,) = chosen(path)[1].warnings
    assert "German" in warning and "looks like French" in warning


def test_a_language_of_a_file_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"language": "klingon", "segments": rows(None)}), encoding="utf-8")
    with pytest.raises(InputError, match="'klingon' is not a language code; write one like en") as caught:
        chosen(path)
    assert caught.value.code == "script_language"


@pytest.mark.parametrize(
    "header, code", [("WEBVTT\nKind: captions\nLanguage: fr\n", "fr"), ("WEBVTT\n", "en")]
)
def test_the_header_of_webvtt_names_the_language(tmp_path: Path, header: str, code: str) -> None:
    path = tmp_path / "x.vtt"
    path.write_text(f"{header}\n00:01.000 --> 00:02.000\nLanguage: {SHORT}\n", encoding="utf-8")
    assert chosen(path)[1].code == code


# Transcription


def test_a_transcription_says_how_sure_it_was() -> None:
    transcript = Transcript((), "es", 0.983, "whisper-base")
    found = transcribed_language(transcript, None)
    assert found == LanguageChoice("es", "whisper-base recognised it with a probability of 0.98")
    assert transcribed_language(transcript, "--language").why == "--language says so"


def test_a_file_is_read_once_for_its_lines_and_its_language(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "film.vtt"
    path.write_text(f"WEBVTT\nLanguage: zh_TW\n\n00:00.000 --> 00:02.000\n{ZH}\n", encoding="gb18030")
    read = []
    monkeypatch.setattr(parsers, "decode", lambda *data: read.append(1) or decode(*data))
    assert chosen(path)[1].code == "zh-TW" and len(read) == 1

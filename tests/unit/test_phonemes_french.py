"""French is read by rules: numbers in words, liaison, silent endings, stress; in symbols that Kokoro knows."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceclone_worker.engines.kokoro.phonemes.french import cardinal, ordinal, spell_out, to_phonemes
from voiceclone_worker.engines.kokoro.phonemes.reader import vocabulary

SMALL = {
    "zéro": 0, "un": 1, "deux": 2, "trois": 3, "quatre": 4, "cinq": 5, "six": 6, "sept": 7, "huit": 8, "neuf": 9,
    "dix": 10, "onze": 11, "douze": 12, "treize": 13, "quatorze": 14, "quinze": 15, "seize": 16, "vingt": 20,
    "vingts": 20, "trente": 30, "quarante": 40, "cinquante": 50, "soixante": 60,
}  # fmt: skip
SCALES = {"mille": 10**3, "million": 10**6, "milliard": 10**9, "billion": 10**12}


def number_of(words: str) -> int:
    """Read number words back, by another way than they are written."""
    total = group = 0
    for word in re.split("[ -]", words):
        name = word.rstrip("s") if word.rstrip("s") in SCALES or word == "cents" else word
        if name in SCALES:
            total, group = total + (group or 1) * SCALES[name], 0
        elif name == "cent":
            group = (group or 1) * 100
        elif name in ("vingt", "vingts") and group % 100 == 4:
            group += 76
        elif name != "et":
            group += SMALL[name]
    return total + group


def read(text: str) -> str:
    return to_phonemes(text, "fr", lambda word: (f"<{word}>", []))[0]


@given(st.one_of(st.integers(0, 10**12), st.integers(0, 10**4)))
@settings(max_examples=400, deadline=None)
def test_numbers_in_words_read_back_as_the_same_number(number: int) -> None:
    assert number_of(cardinal(number)) == number
    assert number_of(spell_out(str(number))) == number


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "zéro"),
        (21, "vingt et un"),
        (71, "soixante et onze"),
        (80, "quatre-vingts"),
        (81, "quatre-vingt-un"),
        (99, "quatre-vingt-dix-neuf"),
        (200, "deux cents"),
        (201, "deux cent un"),
        (80_000, "quatre-vingt mille"),
        (1_000_001, "un million un"),
        (10**12, "un billion"),
        (10**15, "un" + " zéro" * 15),
    ],
)
def test_cardinals(number: int, words: str) -> None:
    assert cardinal(number) == words


def test_ordinals() -> None:
    numbers = (1, 2, 5, 9, 20, 21, 80, 100)
    assert [ordinal(number) for number in numbers] == [
        "premier", "deuxième", "cinquième", "neuvième", "vingtième", "vingt et unième", "quatre-vingtième", "centième",
    ]  # fmt: skip
    assert ordinal(1, feminine=True) == "première"


@pytest.mark.parametrize(
    ("written", "spelled"),
    [
        ("799 €", "sept cent quatre-vingt-dix-neuf euros"),
        ("€799", "sept cent quatre-vingt-dix-neuf euros"),
        ("1 €", "un euro"),
        ("3,50 €", "trois euros cinquante"),
        ("$2.5", "deux virgule cinq dollars"),
        ("£1", "une livre"),
        ("¥500 et R$ 20", "cinq cents yens et vingt réaux"),
        ("5 M€", "cinq millions d'euros"),
        ("1 000 000 €", "un million d'euros"),
        ("12 345 personnes", "douze mille trois cent quarante-cinq personnes"),
        ("21 filles", "vingt et une filles"),
        ("12,5 %", "douze virgule cinq pour cent"),
        ("en 1969 l'homme, 5 l d'eau", "en mille neuf cent soixante-neuf l'homme, cinq litres d'eau"),
        ("3,05", "trois virgule zéro cinq"),
        ("-5 °C", "moins cinq degrés"),
        ("il a 3-4 amis", "il a trois à quatre amis"),
        ("130 km/h", "cent trente kilomètres heure"),
        ("2 m²", "deux mètres carrés"),
        ("1/2", "un demi"),
        ("3/4", "trois quarts"),
        ("2/3", "deux tiers"),
        ("1 ½", "un et un demi"),
        ("le 15/03/2024", "le quinze mars deux mille vingt-quatre"),
        ("le 2024-03-01", "le premier mars deux mille vingt-quatre"),
        ("le 1er mai", "le premier mai"),
        ("la 2e fois, la 1re", "la deuxième fois, la première"),
        ("14 h 30", "quatorze heures trente"),
        ("14h", "quatorze heures"),
        ("1h05", "une heure cinq"),
        ("09:15", "neuf heures quinze"),
        ("Les XIXe et XXe siècles", "Les dix-neuvième et vingtième siècles"),
        ("Louis XIV et François Ier", "Louis quatorze et François premier"),
        ("06 12 34 56 78", "zéro six, douze, trente-quatre, cinquante-six, soixante-dix-huit"),
        ("+33 6 12 34 56 78", "plus trente-trois, six, douze, trente-quatre, cinquante-six, soixante-dix-huit"),
        ("M. Dupont, Mme Petit et le Dr Roy", "monsieur Dupont, madame Petit et le docteur Roy"),
        ("n° 5, etc.", "numéro cinq, et cetera"),
        ("l'82 %", "l'quatre-vingt-deux pour cent"),
        ("jean@exemple.fr", "jean arobase exemple point fr"),
        ("2 + 2 = 4", "deux plus deux égale quatre"),
        ("le MP3 et l'A4", "le MP trois et l'A quatre"),
        ("$1,000.50", "mille dollars cinquante cents"),
        ("ouvert 24 h/24, 900 €/mois", "ouvert vingt-quatre heures sur vingt-quatre, neuf cents euros par mois"),
        ("rien à changer", "rien à changer"),
    ],
)  # fmt: skip
def test_digits_and_signs_become_words(written: str, spelled: str) -> None:
    assert spell_out(written) == spelled


@pytest.mark.parametrize(
    ("text", "phonemes"),
    [
        ("Bonjour, je m'appelle Claire.", "bɔ̃ʒˈuʁ, ʒə mapˈɛl klˈɛʁ."),
        ("Les enfants arrivent.", "lez ɑ̃fˈɑ̃ aʁˈiv."),
        ("Les héros, les haricots", "le eʁˈo, le aʁikˈo"),
        ("un grand ami", "œ̃ ɡʁˈɑ̃t amˈi"),
        ("mon ancien bon ami", "mɔ̃n ɑ̃sjˈɛ̃ bɔn amˈi"),
        ("Ils parlent et mangent.", "il pˈaʁl e mˈɑ̃ʒ."),
        ("le client content, doucement", "lə klijˈɑ̃ kɔ̃tˈɑ̃, dusmˈɑ̃"),
        ("ils aiment l'argent, évidemment", "ilz ˈɛm laʁʒˈɑ̃, evidamˈɑ̃"),
        ("il vient, ils viennent", "il vjˈɛ̃, il vjˈɛn"),
        ("Y a-t-il du pain ?", "i a til dy pˈɛ̃?"),
        ("Qu'est-ce que c'est, aujourd'hui ?", "kɛs kə sˈɛ, oʒuʁdɥˈi?"),
        ("dix ans, dix livres, il y en a dix", "dˈiz ˈɑ̃, dˈi lˈivʁ, il i ɑ̃n a dˈis"),
        ("neuf heures, vingt-deux", "nˈœv ˈœʁ, vˈɛ̃t dˈø"),
        ("99 élèves, 20 000, 25", "kˈatʁ vˈɛ̃ dˈiznˈœf elˈɛv, vˈɛ̃ mˈil, vˈɛ̃t sˈɛ̃k"),
        ("17, 18, 97", "dˈisˈɛt, dˈizɥˈit, kˈatʁ vˈɛ̃ dˈisˈɛt"),
        ("feuille, soleil, travail, grenouille", "fˈœj, solˈɛj, tʁavˈaj, ɡʁənˈuj"),
        ("famille, ville, mille", "famˈij, vˈil, mˈil"),
        ("montagne, philosophie, théâtre", "mɔ̃tˈaɲ, filozofˈi, teˈaːtʁ"),
        ("nation, question, patience", "nasjˈɔ̃, kɛstjˈɔ̃, pasjˈɑ̃s"),
        ("exemple, texte, deuxième", "ɛɡzˈɑ̃pl, tˈɛkst, døzjˈɛm"),
        ("garçon, guerre, girafe, pigeon", "ɡaʁsˈɔ̃, ɡˈɛʁ, ʒiʁˈaf, piʒˈɔ̃"),
        ("cœur, bœuf, œufs, nœud", "kˈœʁ, bˈœf, ˈø, nˈø"),
        ("samedi, maintenant, premier", "samdˈi, mɛ̃tnˈɑ̃, pʁəmjˈe"),
        ("un bon vin blanc", "œ̃ bˈɔ̃ vˈɛ̃ blˈɑ̃"),
        ("la loi, le roi, loin, voyage", "la lwˈa, lə ʁwˈa, lwˈɛ̃, vwajˈaʒ"),
        ("Ils sont tous là, tous les jours", "il sˈɔ̃ tu lˈa, tu le ʒˈuʁ"),
        ("349,90 €, 285 000", "tʁwˈa sˈɑ̃ kaʁˈɑ̃t nˈœf øʁˈo kˈatʁ vˈɛ̃ dˈis, dˈø sˈɑ̃ kˈatʁ vˈɛ̃ sˈɛ̃k mˈil"),
        ("Il faut encore attendre. Pas encore.", "il fo ɑ̃kˈɔʁ atˈɑ̃dʁ. pa ɑ̃kˈɔʁ."),
        ("un changement dangereux, Jeanne", "œ̃ ʃɑ̃ʒmˈɑ̃ dɑ̃ʒʁˈø, ʒˈan"),
        ("le rôle, l'âge, bien sûr", "lə ʁˈoːl, lˈaːʒ, bjˈɛ̃ sˈyːʁ"),
        ("la nuit, la pluie, notre février", "la nɥˈi, la plɥˈi, nɔtʁ fevʁijˈe"),
            ("gagner, magnifique, la ligne", "ɡanjˈe, maɲifˈik, la lˈiɲ"),
        ("un problème, la zone, un poète", "œ̃ pʁɔblˈɛm, la zˈon, œ̃ pɔˈɛt"),
        ("la SNCF et la TVA", "la ɛsɛnseˈɛf e la teveˈa"),
        ("l'État, le tribunal, la forêt", "letˈa, lə tʁibynˈal, la foʁˈɛ"),
        ("le marketing du week-end", "lə maʁketˈiŋ dy wikˈɛnd"),
    ],
)  # fmt: skip
def test_spelling_says_sounds_links_and_stress(text: str, phonemes: str) -> None:
    assert read(text) == phonemes


def test_english_looking_words_are_read_as_english() -> None:
    assert read("J'utilise Google et Facebook.") == "ʒytilˈiz <Google> e <Facebook>."
    assert to_phonemes("Wow", "fr", lambda word: ("", [word])) == ("", ["Wow"])


def test_what_has_no_reading_is_returned() -> None:
    phonemes, skipped = to_phonemes("un ☃ et un ℵ", "fr", lambda word: (word, []))
    assert skipped == ["ℵ"]
    assert phonemes == "œ̃ e œ̃"


def test_canadian_french_is_read_alike() -> None:
    ignore = lambda word: (word, [])  # noqa: E731
    assert to_phonemes("Il fait beau.", "fr-ca", ignore) == to_phonemes("Il fait beau.", "fr", ignore)


@given(
    st.text(
        alphabet=st.sampled_from("aàâbcçdeéèêëfghiîïjklmnoôœpqrstuùûvwxyz' -,.!?«»0123456789€%°/:"),
        max_size=60,
    )
)
@settings(max_examples=300, deadline=None)
def test_every_symbol_is_in_kokoros_vocabulary(text: str) -> None:
    phonemes, _ = to_phonemes(text, "fr", lambda word: ("", [word]))
    assert set(phonemes) <= set(vocabulary())


def test_threads_read_the_same() -> None:
    lines = [f"Les {number} amis de Paris ont {number * 7} ans." for number in range(60)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read, lines)) == [read(line) for line in lines]

"""Italian is read by rules: numbers in words, double consonants, stress and open vowels; in symbols that Kokoro knows."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceclone_worker.engines.kokoro.phonemes.italian import cardinal, ordinal, spell_out, to_phonemes
from voiceclone_worker.engines.kokoro.phonemes.reader import vocabulary

UNITS = {
    "diciassette": 17, "diciotto": 18, "diciannove": 19, "undici": 11, "dodici": 12, "tredici": 13, "quattordici": 14,
    "quindici": 15, "sedici": 16, "dieci": 10, "zero": 0, "uno": 1, "un": 1, "due": 2, "tre": 3, "tré": 3, "quattro": 4,
    "cinque": 5, "sei": 6, "sette": 7, "otto": 8, "nove": 9,
}  # fmt: skip
TENS = {
    "vent": 20,
    "trent": 30,
    "quarant": 40,
    "cinquant": 50,
    "sessant": 60,
    "settant": 70,
    "ottant": 80,
    "novant": 90,
}
GROUPS = {"milion": 10**6, "miliard": 10**9, "bilion": 10**12}


def below_a_thousand(word: str) -> int:
    value = 0
    if found := re.match(r"(\w*?)cent(?:o(?!tt)|(?=ott))", word):
        value, word = (UNITS[found[1]] if found[1] else 1) * 100, word[found.end() :]
    if found := re.match(f"({'|'.join(TENS)})[aio]?(?=$|[^aio]|otto)", word):
        value, word = value + TENS[found[1]], word[found.end() :]
        word = {"tto": "otto", "no": "uno"}.get(word, word)
    elif found := re.match(f"({'|'.join(TENS)})(?=uno|otto)", word):
        value, word = value + TENS[found[1]], word[found.end() :]
    return value + (UNITS[word] if word else 0)


def number_of(words: str) -> int:
    """Read number words back, by another way than they are written."""
    total = group = 0
    for word in words.split():
        scale = next((value for name, value in GROUPS.items() if word.startswith(name)), None)
        if scale:
            total, group = total + group * scale, 0
            continue
        head, thousand, tail = word.partition("mila") if "mila" in word else ("", "", word)
        if tail.startswith("mille"):
            group, tail = 1000, tail.removeprefix("mille")
        group += (below_a_thousand(head) * 1000 if thousand else 0) + (below_a_thousand(tail) if tail else 0)
    return total + group


def read(text: str) -> str:
    return to_phonemes(text, "it", lambda word: (f"<{word}>", []))[0]


@given(st.one_of(st.integers(0, 10**12), st.integers(0, 10**4)))
@settings(max_examples=400, deadline=None)
def test_numbers_in_words_read_back_as_the_same_number(number: int) -> None:
    assert number_of(cardinal(number)) == number
    assert number_of(spell_out(str(number))) == number


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "zero"),
        (21, "ventuno"),
        (28, "ventotto"),
        (33, "trentatré"),
        (108, "centotto"),
        (180, "centottanta"),
        (799, "settecentonovantanove"),
        (1000, "mille"),
        (2024, "duemilaventiquattro"),
        (23_003, "ventitremilatré"),
        (1_000_001, "un milione uno"),
        (10**12, "un bilione"),
        (10**15, "uno" + " zero" * 15),
    ],
)
def test_cardinals(number: int, words: str) -> None:
    assert cardinal(number) == words


def test_ordinals() -> None:
    assert [ordinal(number) for number in (1, 10, 11, 23, 26, 100)] == [
        "primo", "decimo", "undicesimo", "ventitreesimo", "ventiseiesimo", "centesimo",
    ]  # fmt: skip
    assert ordinal(3, feminine=True) == "terza"


@pytest.mark.parametrize(
    ("written", "spelled"),
    [
        ("L'82% degli italiani", "L'ottantadue per cento degli italiani"),
        ("799 €", "settecentonovantanove euro"),
        ("1 €", "un euro"),
        ("3,50 €", "tre euro e cinquanta centesimi"),
        ("$2,5 e £1", "due virgola cinque dollari e una sterlina"),
        ("¥500", "cinquecento yen"),
        ("5 mln €", "cinque milioni di euro"),
        ("1.500.000 persone", "un milione cinquecentomila persone"),
        ("1 casa, 1 zaino, 1 libro, 1 idea", "una casa, uno zaino, un libro, un'idea"),
        ("12,5%", "dodici virgola cinque per cento"),
        ("0,05", "zero virgola zero cinque"),
        ("-5 °C", "meno cinque gradi"),
        ("130 km/h", "centotrenta chilometri orari"),
        ("60 m²", "sessanta metri quadrati"),
        ("nel 1969 l'uomo, 5 l d'acqua", "nel millenovecentosessantanove l'uomo, cinque litri d'acqua"),
        ("1/2", "un mezzo"),
        ("3/4", "tre quarti"),
        ("2 ½", "due e un mezzo"),
        ("il 15/03/2024", "il quindici marzo duemilaventiquattro"),
        ("il 1° maggio", "il primo maggio"),
        ("il 3° piano, la 2ª volta, 20°", "il terzo piano, la seconda volta, venti gradi"),
        ("alle 14:30", "alle quattordici e trenta"),
        ("alle 9.15", "alle nove e quindici"),
        ("alle 18:00", "alle diciotto"),
        ("il XX secolo", "il ventesimo secolo"),
        ("Luigi XIV e Elisabetta II", "Luigi quattordicesimo e Elisabetta seconda"),
        ("la II guerra", "la seconda guerra"),
        ("+39 06 1234 5678", "più tre nove, zero sei, uno due tre quattro, cinque sei sette otto"),
        ("il sig. Rossi e la dott.ssa Bianchi", "il signor Rossi e la dottoressa Bianchi"),
        ("n. 5, ecc.", "numero cinque, eccetera"),
        ("10-12 anni", "dieci a dodici anni"),
        ("anna@esempio.it", "anna chiocciola esempio punto it"),
        ("2 + 2 = 4", "due più due uguale quattro"),
        ("l'1 gennaio, dell'8 marzo", "il primo gennaio, dell'otto marzo"),
        ("gli anni '80, il 2°, la 3a volta", "gli anni ottanta, il secondo, la terza volta"),
        ("S. Pietro, 900 €/mese", "San Pietro, novecento euro al mese"),
        ("niente da cambiare", "niente da cambiare"),
    ],
)
def test_digits_and_signs_become_words(written: str, spelled: str) -> None:
    assert spell_out(written) == spelled


@pytest.mark.parametrize(
    ("text", "phonemes"),
    [
        ("Buongiorno, come stai?", "bʊonʤˈorno, kˌome stˈai?"),
        ("gli gnocchi, la campagna", "ʎɪ ɲˈɔkːɪ, la kampˈaɲɲa"),
        ("figlio, famiglia, negligente", "fˈiʎo, famˈiʎa, neɡliʤˈɛnte"),
        ("scienza, pesce, scuola, schiena", "ʃˈɛnʦa, pˈeʃe, skʊˈɔla, skjˈɛna"),
        ("ciao, cielo, chiesa, cuore", "ʧˈao, ʧˈɛlo, kjˈɛza, kʊˈɔre"),
        ("giorno, leggere, ghiaccio", "ʤˈorno, lˈɛʤːere, ɡjˈaʧːo"),
        ("acqua, nacque, quadro", "ˈakːwa, nˈakːwe, kwˈadro"),
        ("zero, azione, pizza, mezzo", "ʣˈɛro, aʦiˈone, pˈiʦːa, mˈɛʣːo"),
        ("casa, rosso, sbaglio", "kˈaza, rˈoSo, zbˈaʎo"),
        ("terra, gatto, babbo, mamma", "tˈɛrɾa, ɡˈatːo, bˈabːo, mˈamma"),
        ("lingua, inglese, banco", "lˈiŋɡwa, iŋɡlˈeze, bˈanko"),
        ("città, perché, virtù, però", "ʧitːˈa, perkˈe, virtˈu, peɾˈɔ"),
        ("telefono, macchina, tavolo", "telˈɛfono, mˈakːina, tˈavolo"),
        ("parlano, parlavano, dicono", "pˈarlano, parlˈavano, dˈikono"),
        ("prenderlo, vederlo, diversi, esserci", "prˈɛnderlo, vedˈɛrlo, divˈɛrsɪ, ˈɛSerʧɪ"),
        ("aumentano, americano, 13, 16", "aʊmˈɛntano, amerikˈano, trˈediʧɪ, sˈediʧɪ"),
        ("impossibile, velocemente", "impoSˈibile, veloʧemˈente"),
        ("farmacia, storia, fotografia", "farmaʧˈia, stˈɔria, fotoɡrafˈia"),
        ("Europa, causa, paura, aiuto", "eʊrˈɔpa, kˈaʊza, paˈura, ajˈuto"),
        ("uomo, nuovo, due, io", "wˈɔmo, nʊˈɔvo, dˈue, ˈio"),
        ("parlare, vedere, leggere, aprire", "parlˈare, vedˈere, lˈɛʤːere, aprˈire"),
        ("signora, signor, amore", "siɲˈora, siɲˈor, amˈore"),
        ("l'amico dell'università", "lamˈiko dellʊniversitˈa"),
        ("un po' di pane", "ʊn pˈɔ dɪ pˈane"),
        ("quindici anni, 82, 26", "kwˈindiʧɪ ˈannɪ, otːantadˈue, ventisˈɛi"),
        ("polizia, notizia, democrazia", "poliʦˈia, notˈiʦia, demokraʦˈia"),
        ("della cucina, una vicina", "dˌella kʊʧˈina, ˌʊna viʧˈina"),
        ("Perché no? Non so perché.", "perkˌe nˈɔ? non sˈɔ perkˈe."),
        ("ospita, ordinano, colpevole, decido", "ˈɔspita, ˈordinano, kolpˈevole, deʧˈido"),
        ("basandosi, andarsene, parlassimo", "bazˈandozɪ, andˈarsene, parlˈaSimo"),
        ("idee, aree, coordinare", "idˈɛe, ˈaree, koordinˈare"),
        ("estranei, obblighi, omicidi, orologi", "estrˈanei, ˈɔbːliɡɪ, omiʧˈidɪ, orolˈɔʤɪ"),
        ("stranieri, occasione, versione", "straniˈɛrɪ, okːaziˈone, versjˈone"),
        ("C'è, c'erano, dov'è, com'è, è", "ʧe, ʧˈɛrano, dovˈɛ, komˈɛ, e"),
        ("vitamina C", "vitamˈina ʧˈi"),
        ("auguri, ingegnere, gratuito, Davide", "aʊɡˈurɪ, inʤeɲˈɛre, ɡratˈuito, dˈavide"),
        ("dove, ottobre, conoscere, Londra", "dˈove, otːˈobre, konˈoʃere, lˈondra"),
        ("magazzino, benzina, utilizzo, utilizzano", "maɡaʣːˈino, benʣˈina, ʊtilˈiʣːo, ʊtilˈiʣːano"),
        ("indirizza, pezzo, ragazza", "indirˈiʦːa, pˈɛʦːo, raɡˈaʦːa"),
        ("buonasera, sottosegretario", "bʊonasˈera, sotːoseɡretˈario"),
        ("Boston, Miller, dover, amor", "bˈɔston, mˈiller, dovˈɛr, amˈor"),
        ("progetto, lotta, dopo, noi", "proʤˈɛtːo, lˈɔtːa, dˈopo, nˈoi"),
        ("la RAI, il PD", "la ɛrɾeaˈi, il pidˈi"),
        ("lo sport e il weekend", "lo spˈɔrt e il wikˈɛnd"),
    ],
)
def test_spelling_says_sounds_and_stress(text: str, phonemes: str) -> None:
    assert read(text) == phonemes


def test_english_looking_words_are_read_as_english() -> None:
    assert read("Uso Google e Facebook.") == "ˈuzo <Google> e <Facebook>."
    assert to_phonemes("Wow", "it", lambda word: ("", [word])) == ("", ["Wow"])


@given(
    st.text(alphabet=st.sampled_from("aàbcdeèéfghiìjklmnoòpqrstuùvwxyz' -,.!?«»0123456789€%°/:"), max_size=60)
)
@settings(max_examples=300, deadline=None)
def test_every_symbol_is_in_kokoros_vocabulary(text: str) -> None:
    phonemes, _ = to_phonemes(text, "it", lambda word: ("", [word]))
    assert set(phonemes) <= set(vocabulary())


def test_threads_read_the_same() -> None:
    lines = [f"Gli amici numero {number} hanno {number * 7} anni." for number in range(60)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read, lines)) == [read(line) for line in lines]

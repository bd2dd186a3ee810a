"""Portuguese is read by Brazil's rules: numbers in words, stress, nasal vowels; in symbols that Kokoro knows."""

from __future__ import annotations

import unicodedata
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceclone_worker.engines.kokoro.phonemes.portuguese import cardinal, ordinal, spell_out, to_phonemes
from voiceclone_worker.engines.kokoro.phonemes.reader import vocabulary

VALUES = {
    "zero": 0, "um": 1, "dois": 2, "três": 3, "quatro": 4, "cinco": 5, "seis": 6, "sete": 7, "oito": 8, "nove": 9,
    "dez": 10, "onze": 11, "doze": 12, "treze": 13, "quatorze": 14, "quinze": 15, "dezesseis": 16, "dezessete": 17,
    "dezoito": 18, "dezenove": 19, "vinte": 20, "trinta": 30, "quarenta": 40, "cinquenta": 50, "sessenta": 60,
    "setenta": 70, "oitenta": 80, "noventa": 90, "cem": 100, "cento": 100, "duzentos": 200, "trezentos": 300,
    "quatrocentos": 400, "quinhentos": 500, "seiscentos": 600, "setecentos": 700, "oitocentos": 800, "novecentos": 900,
}  # fmt: skip
SCALES = {"mil": 10**3, "milh": 10**6, "bilh": 10**9, "trilh": 10**12}


def number_of(words: str) -> int:
    """Read number words back, by another way than they are written."""
    total = group = 0
    for word in words.split():
        name = word.removesuffix("ão").removesuffix("ões")
        if name in SCALES:
            total, group = total + (group or 1) * SCALES[name], 0
        elif word != "e":
            group += VALUES[word]
    return total + group


def read(text: str, tag: str = "pt-br") -> str:
    return to_phonemes(text, tag, lambda word: (f"<{word}>", []))[0]


@given(st.one_of(st.integers(0, 10**12), st.integers(0, 10**4)))
@settings(max_examples=400, deadline=None)
def test_numbers_in_words_read_back_as_the_same_number(number: int) -> None:
    assert number_of(cardinal(number)) == number
    assert number_of(spell_out(str(number))) == number


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "zero"),
        (21, "vinte e um"),
        (100, "cem"),
        (101, "cento e um"),
        (555, "quinhentos e cinquenta e cinco"),
        (1100, "mil e cem"),
        (1984, "mil novecentos e oitenta e quatro"),
        (2024, "dois mil e vinte e quatro"),
        (1_200_000, "um milhão e duzentos mil"),
        (1_234_567, "um milhão duzentos e trinta e quatro mil quinhentos e sessenta e sete"),
        (10**12, "um trilhão"),
        (10**15, "um" + " zero" * 15),
    ],
)
def test_cardinals(number: int, words: str) -> None:
    assert cardinal(number) == words


def test_ordinals() -> None:
    assert [ordinal(number) for number in (1, 10, 23, 100, 345)] == [
        "primeiro", "décimo", "vigésimo terceiro", "centésimo", "trecentésimo quadragésimo quinto",
    ]  # fmt: skip
    assert ordinal(22, feminine=True) == "vigésima segunda"


@pytest.mark.parametrize(
    ("written", "spelled"),
    [
        ("R$ 3.499,90", "três mil quatrocentos e noventa e nove reais e noventa centavos"),
        ("R$ 1", "um real"),
        ("R$ 0,50", "cinquenta centavos"),
        ("US$ 20 e 20 €", "vinte dólares e vinte euros"),
        ("£2 e ¥500", "duas libras e quinhentos ienes"),
        ("R$ 5 milhões", "cinco milhões de reais"),
        ("R$ 5 mil", "cinco mil reais"),
        ("1 pessoa, 2 casas, 200 meninas, 2 dias", "uma pessoa, duas casas, duzentas meninas, dois dias"),
        ("12,5%", "doze vírgula cinco por cento"),
        ("0,05", "zero vírgula zero cinco"),
        ("-5 °C", "menos cinco graus Celsius"),
        ("100 km/h", "cem quilômetros por hora"),
        ("60 m²", "sessenta metros quadrados"),
        ("1/2 e 3/4", "meio e três quartos"),
        ("15/03/2024", "quinze de março de dois mil e vinte e quatro"),
        ("1 de maio", "primeiro de maio"),
        ("1º lugar, 2ª vez, 3° andar, 4.º", "primeiro lugar, segunda vez, terceiro andar, quarto"),
        ("14h30", "quatorze horas e trinta"),
        ("às 2h", "às duas horas"),
        ("1:05", "uma hora e cinco"),
        ("século XXI, século V", "século vinte e um, século quinto"),
        ("Luís XIV e D. Pedro II", "Luís quatorze e Dom Pedro segundo"),
        ("a II Guerra", "a segunda Guerra"),
        ("(11) 91234-5678", "um um, nove um dois três quatro, cinco seis sete oito"),
        ("a Sra. Lima e o Dr. Souza", "a senhora Lima e o doutor Souza"),
        ("n.º 5, etc.", "número cinco, etcétera"),
        ("10-12 anos", "dez a doze anos"),
        ("ana@exemplo.br", "ana arroba exemplo ponto br"),
        ("2 + 2 = 4", "dois mais dois igual a quatro"),
        ("3ª-feira, 2a feira", "terça-feira, segunda-feira"),
        ("R$ 900/mês", "novecentos reais por mês"),
        ("nada a mudar", "nada a mudar"),
    ],
)
def test_digits_and_signs_become_words(written: str, spelled: str) -> None:
    assert spell_out(written) == spelled


@pytest.mark.parametrize(
    ("text", "phonemes"),
    [
        ("Bom dia, tudo bem?", "bˈoŋ ʤˈiæ, tˈudʊ bˈAŋ?"),
        ("coração, mãe, pães, leões", "kˌoɾasˈɐ̃ʊ̃, mˈɐ̃j, pˈɐ̃js, leˈõjs"),
        ("gente, tarde, noite, cidade", "ʒˈAŋʧy, tˈaɾəʤy, nˈoɪʧy, sˌidˈaʤy"),
        ("carro, rato, honra, caro", "kˈaxʊ, xˈatʊ, ˈoŋxæ, kˈaɾʊ"),
        ("falam, comeram, irmã", "fˈalɐ̃ʊ̃, kˌomˈeɾɐ̃ʊ̃, iɾəmˈɐ̃"),
        ("sal, papel, Brasil, difícil, azul", "sˈW, papˈɛʊ, brazˈiʊ, ʤˌifˈisiʊ, azˈuw"),
        ("país, saúde, rainha, juiz, sair", "paˈis, sˌaˈuʤy, xˌaˈiɲæ, ʒuˈis, saˈir"),
        ("queijo, quase, guerra, água, linguiça", "kˈAʒʊ, kwˈazy, ɡˈɛxæ, ˈaɡwæ, lˌiŋɡwˈisæ"),
        ("casa, osso, cena, caça, piscina", "kˈazæ, ˈosʊ, sˈenæ, kˈasæ, pˌisˈinæ"),
        ("xícara, exato, texto, táxi, próximo", "ʃˈikaɾæ, ˌezˈatʊ, tˈestʊ, tˈaksi, prˈɔsimʊ"),
        ("velho, ninho, chuva", "vˈɛljʊ, nˈiɲʊ, ʃˈuvæ"),
        ("rei, mau, pai, boi, viu, ouro", "xˈA, mˈW, pˈI, bˈoɪ, vˈiʊ, ˈowɾʊ"),
        ("história, família, série", "ˌistˈɔɾjæ, fˌæmˈiljæ, sˈɛɾjy"),
        ("os amigos, as casas, dois dias", "ʊz ˌæmˈiɡʊs, as kˈazæs, dˈoɪz ʤˈiæs"),
        ("muito trabalho", "mwˈiŋtʊ trˌabˈaljʊ"),
        ("São Paulo e Salvador", "sɐ̃ʊ̃ pˈWlʊ i sˌWvadˈor"),
        ("o voo, eles leem", "ʊ vˈoʊ, ˌelyz lˈeAŋ"),
        ("também, ontem, viagem", "tɐ̃mbˈAŋ, ˈoŋtAŋ, vˌiˈaʒAŋ"),
        ("não põe, vem, têm", "nˌɐ̃ʊ̃ pˈõj, vˈAŋ, tˈAŋ"),
        ("professora, escola, agora", "prˌofesˈoɾæ, ˌeskˈɔlæ, ˌaɡˈɔɾæ"),
        ("avô, avó, você, café", "avˈo, avˈɔ, vosˈe, kafˈɛ"),
        ("fazê-lo, guarda-chuva", "fazˈe lˈo, ɡwˈaɾədæ ʃˈuvæ"),
        ("ideia, herói, dinheiro", "ˌidˈɛɪæ, eɾˈɔɪ, ʤˌiɲˈAɾʊ"),
        ("universidade, cidade, você", "ˌunivˌeɾəsidˈaʤy, sˌidˈaʤy, vosˈe"),
        ("parece, conhecem, pudesse, fizeram", "pˌaɾˈɛsy, kˌoɲˈɛsAŋ, pˌudˈɛsy, fˌizˈɛɾɐ̃ʊ̃"),
        ("um mundo, junho, amanhã", "ũŋ mˈũŋdʊ, ʒˈũɲʊ, ˌæmɐ̃ɲˈɐ̃"),
        ("o governo, a estrela, o jovem", "ʊ ɡˌovˈeɾənʊ, a ˌestrˈelæ, ʊ ʒˈɔvAŋ"),
        ("Eu não sei. Não.", "eʊ nˌɐ̃ʊ̃ sˈA. nˈɐ̃ʊ̃."),
        ("frequente, tranquilo, cinquenta", "frˌekwˈAŋʧy, trˌɐ̃ŋkwˈilʊ, sˌiŋkwˈAŋtæ"),
        ("transporte, desde, mesmo", "trˌɐ̃ŋspˈɔɾəʧy, dˈezʤy, mˈezmʊ"),
        ("o e-mail do shopping", "ʊ imˈAʊ dʊ ʃˈɔpiŋ"),
    ],
)
def test_spelling_says_sounds_and_stress(text: str, phonemes: str) -> None:
    assert read(text) == unicodedata.normalize("NFD", phonemes)


def test_european_portuguese_is_read_with_the_rules_of_brazil() -> None:
    assert read("A gente vai de noite.", "pt-pt") == read("A gente vai de noite.", "pt-br")


def test_english_looking_words_are_read_as_english() -> None:
    assert read("Eu uso Google.") == "eʊ ˈuzʊ <Google>."
    assert to_phonemes("Wow", "pt", lambda word: ("", [word])) == ("", ["Wow"])


@given(
    st.text(
        alphabet=st.sampled_from("aáâãàbcçdeéêfghiíjklmnoóôõpqrstuúvwxyz' -,.!?0123456789$%°/:"), max_size=60
    )
)
@settings(max_examples=300, deadline=None)
def test_every_symbol_is_in_kokoros_vocabulary(text: str) -> None:
    phonemes, _ = to_phonemes(text, "pt", lambda word: ("", [word]))
    assert set(phonemes) <= set(vocabulary())


def test_threads_read_the_same() -> None:
    lines = [f"Os amigos número {number} têm {number * 7} anos." for number in range(60)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read, lines)) == [read(line) for line in lines]

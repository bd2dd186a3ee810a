"""Hindi is read by rules: numbers in lakh and crore, silent inherent vowels, nasals; in symbols that Kokoro knows."""

from __future__ import annotations

import unicodedata
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceclone_worker.engines.kokoro.phonemes.hindi import cardinal, ordinal, spell_out, to_phonemes
from voiceclone_worker.engines.kokoro.phonemes.reader import vocabulary

TENS_AND_ONES = [
    "शून्य",
    "एक",
    "दो",
    "तीन",
    "चार",
    "पाँच",
    "छह",
    "सात",
    "आठ",
    "नौ",
    "दस",
    "ग्यारह",
    "बारह",
    "तेरह",
    "चौदह",
    "पंद्रह",
    "सोलह",
    "सत्रह",
    "अठारह",
    "उन्नीस",
    "बीस",
    "इक्कीस",
    "बाईस",
    "तेईस",
    "चौबीस",
    "पच्चीस",
    "छब्बीस",
    "सत्ताईस",
    "अट्ठाईस",
    "उनतीस",
    "तीस",
    "इकतीस",
    "बत्तीस",
    "तैंतीस",
    "चौंतीस",
    "पैंतीस",
    "छत्तीस",
    "सैंतीस",
    "अड़तीस",
    "उनतालीस",
    "चालीस",
    "इकतालीस",
    "बयालीस",
    "तैंतालीस",
    "चवालीस",
    "पैंतालीस",
    "छियालीस",
    "सैंतालीस",
    "अड़तालीस",
    "उनचास",
    "पचास",
    "इक्यावन",
    "बावन",
    "तिरपन",
    "चौवन",
    "पचपन",
    "छप्पन",
    "सत्तावन",
    "अट्ठावन",
    "उनसठ",
    "साठ",
    "इकसठ",
    "बासठ",
    "तिरसठ",
    "चौंसठ",
    "पैंसठ",
    "छियासठ",
    "सड़सठ",
    "अड़सठ",
    "उनहत्तर",
    "सत्तर",
    "इकहत्तर",
    "बहत्तर",
    "तिहत्तर",
    "चौहत्तर",
    "पचहत्तर",
    "छिहत्तर",
    "सतहत्तर",
    "अठहत्तर",
    "उन्यासी",
    "अस्सी",
    "इक्यासी",
    "बयासी",
    "तिरासी",
    "चौरासी",
    "पचासी",
    "छियासी",
    "सत्तासी",
    "अट्ठासी",
    "नवासी",
    "नब्बे",
    "इक्यानवे",
    "बानवे",
    "तिरानवे",
    "चौरानवे",
    "पचानवे",
    "छियानवे",
    "सत्तानवे",
    "अट्ठानवे",
    "निन्यानवे",
]
SCALES = {"हज़ार": 10**3, "लाख": 10**5, "करोड़": 10**7, "अरब": 10**9, "खरब": 10**11, "नील": 10**13}


def number_of(words: str) -> int:
    """Read number words back, by another way than they are written."""
    total = group = 0
    for word in words.split():
        if word in SCALES:
            total, group = total + group * SCALES[word], 0
        elif word == "सौ":
            group *= 100
        else:
            group += TENS_AND_ONES.index(word)
    return total + group


def read(text: str) -> str:
    return to_phonemes(text, "hi", lambda word: (f"<{word}>", []))[0]


def test_there_is_one_word_for_each_number_below_a_hundred() -> None:
    assert [cardinal(number) for number in range(100)] == TENS_AND_ONES
    assert len(set(TENS_AND_ONES)) == 100


@given(st.one_of(st.integers(0, 10**12), st.integers(0, 10**4)))
@settings(max_examples=400, deadline=None)
def test_numbers_in_words_read_back_as_the_same_number(number: int) -> None:
    assert number_of(cardinal(number)) == number
    assert number_of(spell_out(f"{number:,}")) == number  # ten digits without commas are a telephone


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "शून्य"),
        (555, "पाँच सौ पचपन"),
        (45_000, "पैंतालीस हज़ार"),
        (123_456, "एक लाख तेईस हज़ार चार सौ छप्पन"),
        (10_000_000, "एक करोड़"),
        (10**12, "दस खरब"),
        (10**15, "एक" + " शून्य" * 15),
    ],
)
def test_cardinals(number: int, words: str) -> None:
    assert cardinal(number) == words


def test_ordinals() -> None:
    assert [ordinal(number) for number in (1, 2, 5, 6)] == ["पहला", "दूसरा", "पाँचवाँ", "छठा"]
    assert ordinal(1, "ी") == "पहली"


@pytest.mark.parametrize(
    ("written", "spelled"),
    [
        ("₹45,000", "पैंतालीस हज़ार रुपये"),
        ("₹1", "एक रुपया"),
        ("₹10.50", "दस रुपये पचास पैसे"),
        ("रु. 500 और 20 रु.", "पाँच सौ रुपये और बीस रुपये"),
        ("$5 और 20 €", "पाँच डॉलर और बीस यूरो"),
        ("₹5 करोड़", "पाँच करोड़ रुपये"),
        ("1,23,456 लोग", "एक लाख तेईस हज़ार चार सौ छप्पन लोग"),
        ("१२.५%", "बारह दशमलव पाँच प्रतिशत"),
        ("3.05", "तीन दशमलव शून्य पाँच"),
        ("-5 °C", "माइनस पाँच डिग्री सेल्सियस"),
        ("10 km और 5 किमी", "दस किलोमीटर और पाँच किलोमीटर"),
        ("60 km/h", "साठ किलोमीटर प्रति घंटा"),
        ("1/2, 3/4, 2 ½, 1 ½", "आधा, तीन चौथाई, ढाई, डेढ़"),
        ("15/03/2024", "पंद्रह मार्च दो हज़ार चौबीस"),
        ("15 अगस्त 1947 को", "पंद्रह अगस्त उन्नीस सौ सैंतालीस को"),
        ("सन् 1857", "सन् अठारह सौ सत्तावन"),
        ("1947 में", "उन्नीस सौ सैंतालीस में"),
        ("1947 लोग", "एक हज़ार नौ सौ सैंतालीस लोग"),
        ("3:30 बजे", "साढ़े तीन बजे"),
        ("1:30, 2:30", "डेढ़ बजे, ढाई बजे"),
        ("4:15 बजे, 4:45 बजे, 5:00", "सवा चार बजे, पौने पाँच बजे, पाँच बजे"),
        ("7:20 बजे", "सात बजकर बीस मिनट"),
        ("5वीं बार, 1ला, 10वें", "पाँचवीं बार, पहला, दसवें"),
        ("डॉ. शर्मा", "डॉक्टर शर्मा"),
        ("10-12 लोग", "दस से बारह लोग"),
        ("गुरु और शुरु", "गुरु और शुरु"),
        ("9876543210", "नौ आठ सात छह पाँच चार तीन दो एक शून्य"),
        ("तीन 1500 और मार्च 1500", "तीन एक हज़ार पाँच सौ और मार्च पंद्रह सौ"),
        ("कुछ नहीं बदला।", "कुछ नहीं बदला।"),
    ],
)
def test_digits_and_signs_become_words(written: str, spelled: str) -> None:
    assert spell_out(written) == spelled


@pytest.mark.parametrize(
    ("text", "phonemes"),
    [
        ("नमस्ते, आप कैसे हैं?", "nəmˈʌsteː, ˈaːp kˈɛːseː hɛ̃?"),
        ("यह अच्छा है। वह गया।", "jˌəh ˈʌcʰcʰaː hɛː. ʋˌəh ɡˈʌjaː."),
        ("करना, कहना, बदलना, समझना", "kˈʌɾnaː, kˈʌhnaː, bˈʌdəlnaː, sˈʌməɟʰnaː"),
        ("लड़का, बड़ा, पढ़ाई", "lˈʌɖkaː, bˈʌɖaː, pəɖʰˈaːi"),
        ("नमकीन, सोमवार, जानवर", "nəmkˈiːn, soːmʋˈaːɾ, ɟˈaːnʋəɾ"),
        ("हिंदी, अंग्रेज़ी, संबंध, गंगा", "hˈĩdi, ʌŋɡɾˈeːzi, səmbˈʌndʰ, ɡˈʌŋɡaː"),
        ("चाँद, पाँच, आँख, माँ", "cˈãd, pˈãc, ˈãkʰ, mˈã"),
        ("क्षेत्र, ज्ञान, प्रश्न, राष्ट्र", "kʃˈeːtɾə, ɡjˈaːn, pɾˈʌʃnə, ɾˈaːʂʈɾə"),
        ("ज़रूर, फ़ोन, ग़लत, ख़बर", "zəɾˈuːɾ, fˈoːn, ɣˈʌlət, xˈʌbəɾ"),
        ("कॉलेज, डॉक्टर", "kɔːlˈeːɟ, ɖˈɔːkʈəɾ"),
        ("चाय, गाय, नया, समय", "cˈaːj, ɡˈaːj, nˈʌjaː, sˈʌmɛj"),
        ("बच्चा, पत्ता, मिट्टी", "bˈʌcːaː, pˈʌtːaː, mˈɪʈʈi"),
        ("धर्म, कार्य, वर्ष", "dʰˈʌrm, kˈaːrjə, ʋˈʌrʂ"),
        ("आदमी, औरत, किताब", "ˈaːdmi, ˈɔːɾət, kɪtˈaːb"),
        ("दुःख, ऋषि, कृपया", "dˈʊhkʰ, ɾˈɪʂɪ, kɾˈɪpjaː"),
        ("विश्वविद्यालय", "ʋɪʃʋəʋɪdjˈaːlɛj"),
        ("मैंने इसे नहीं देखा", "mˈɛ̃neː ˈɪseː nˈʌhĩ dˈeːkʰaː"),
        ("मतलब, लगभग, मिलकर", "mˈʌtləb, lˈʌɡbʰəɡ, mˈɪlkəɾ"),
        ("सितंबर, प्रदर्शन, सुरक्षा, बहत्तर", "sɪtˈʌmbəɾ, pɾədˈʌrʃən, sʊɾˈʌkʃaː, bəhˈʌtːəɾ"),
        ("एवं, संवाद, संरक्षण, वंश, हँस", "ˈeːʋəm, səmʋˈaːd, sənɾˈʌkʃəɳ, ʋˈʌnʃ, hˈʌ̃s"),
        ("मांगने, जिंदगी, पहुंचते, मंगलवार", "mˈãɡneː, zˈĩdɡi, pəhˈũcteː, məŋɡəlʋˈaːɾ"),
        ("राज्य, सत्य, खत्म, फिल्म", "ɾˈaːɟjə, sˈʌtːjə, kʰˈʌtmə, fˈɪlm"),
        ("पत्थर, युद्ध, अट्ठाईस, नब्बे", "pˈʌtʰːəɾ, jˈʊdʰː, ʌʈʰʈʰaːˈiːs, nˈʌbbeː"),
        ("वृद्धि, दृश्य, श्रृंखला", "ʋɾˈɪdʰːɪ, dɾˈɪʃjə, ʃɾˈĩkʰlaː"),
        ("बाजारों, जमीनें, मजे, हफ्ते, तेजस्वी", "baːzˈaːɾõ, zəmˈiːnẽː, mˈʌzeː, hˈʌfteː, teːɟˈʌsʋi"),
        ("जनवरी, राष्ट्रपति, लखपति, सिंह", "ɟˈʌnʋəɾi, ɾˈaːʂʈɾəpətɪ, lˈʌkʰpətɪ, sˈɪŋɡʰ"),
        ("चाहिए, दीजिए, लिए", "cˈaːhɪeː, dˈiːɟɪeː, lˈɪeː"),
        ("१५ लोग", "pˈʌndɾəh lˈoːɡ"),
    ],
)
def test_devanagari_says_sounds_and_stress(text: str, phonemes: str) -> None:
    assert read(text) == unicodedata.normalize("NFD", phonemes)


def test_latin_words_are_read_as_english() -> None:
    assert read("मैं Google का उपयोग") == "mɛ̃ <Google> kaː ʊpjˈoːɡ".replace("ɛ̃", "ɛ\u0303")


def test_english_words_have_the_sounds_of_hindi() -> None:
    def english(word: str) -> tuple[str, list[str]]:
        return {"Facebook": "fˈAsbˌʊk", "WhatsApp": "wˌʌtsˈæp"}[word], []

    assert to_phonemes("Facebook WhatsApp", "hi", english)[0] == "fˈeːsbˌʊk ʋˌʌʈsˈɛːp"


def test_what_has_no_reading_is_returned() -> None:
    assert to_phonemes("क ⅋ ख", "hi", lambda word: (word, []))[1] == ["⅋"]


@given(st.text(alphabet=st.sampled_from("अआइकखगचजटडतदनपबमयरलवसह़ािीुूेैोौंँः्0123456789₹%.:-/ ।"), max_size=60))
@settings(max_examples=300, deadline=None)
def test_every_symbol_is_in_kokoros_vocabulary(text: str) -> None:
    assert set(read(text)) <= set(vocabulary())


def test_threads_read_the_same() -> None:
    lines = [f"{number} लोग {number * 7} दिन तक रहे।" for number in range(60)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read, lines)) == [read(line) for line in lines]

"""Languages: ISO 639 codes, BCP 47 tags, and what people write instead of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

EXAMPLES = "en, es-419, pt-BR or zh-Hans"
"""Of codes, for messages."""

_ISO_639 = """
aa aar Afar | ab abk Abkhazian | ae ave Avestan | af afr Afrikaans | ak aka Akan | am amh Amharic |
an arg Aragonese | ar ara Arabic | as asm Assamese | av ava Avaric | ay aym Aymara | az aze Azerbaijani |
ba bak Bashkir | be bel Belarusian | bg bul Bulgarian | bh bih Bihari | bi bis Bislama | bm bam Bambara |
bn ben Bengali | bo bod Tibetan | br bre Breton | bs bos Bosnian | ca cat Catalan | ce che Chechen |
ch cha Chamorro | co cos Corsican | cr cre Cree | cs ces Czech | cu chu Church Slavic | cv chv Chuvash |
cy cym Welsh | da dan Danish | de deu German | dv div Divehi | dz dzo Dzongkha | ee ewe Ewe | el ell Greek |
en eng English | eo epo Esperanto | es spa Spanish | et est Estonian | eu eus Basque | fa fas Persian |
ff ful Fulah | fi fin Finnish | fj fij Fijian | fo fao Faroese | fr fra French | fy fry Western Frisian |
ga gle Irish | gd gla Scottish Gaelic | gl glg Galician | gn grn Guarani | gu guj Gujarati | gv glv Manx |
ha hau Hausa | he heb Hebrew | hi hin Hindi | ho hmo Hiri Motu | hr hrv Croatian | ht hat Haitian |
hu hun Hungarian | hy hye Armenian | hz her Herero | ia ina Interlingua | id ind Indonesian |
ie ile Interlingue | ig ibo Igbo | ii iii Nuosu | ik ipk Inupiaq | io ido Ido | is isl Icelandic |
it ita Italian | iu iku Inuktitut | ja jpn Japanese | jv jav Javanese | jw jav Javanese | ka kat Georgian |
kg kon Kongo | ki kik Kikuyu | kj kua Kuanyama | kk kaz Kazakh | kl kal Kalaallisut | km khm Khmer |
kn kan Kannada | ko kor Korean | kr kau Kanuri | ks kas Kashmiri | ku kur Kurdish | kv kom Komi |
kw cor Cornish | ky kir Kyrgyz | la lat Latin | lb ltz Luxembourgish | lg lug Ganda | li lim Limburgish |
ln lin Lingala | lo lao Lao | lt lit Lithuanian | lu lub Luba-Katanga | lv lav Latvian | mg mlg Malagasy |
mh mah Marshallese | mi mri Maori | mk mkd Macedonian | ml mal Malayalam | mn mon Mongolian |
mr mar Marathi | ms msa Malay | mt mlt Maltese | my mya Burmese | na nau Nauru | nb nob Norwegian Bokmål |
nd nde North Ndebele | ne nep Nepali | ng ndo Ndonga | nl nld Dutch | nn nno Norwegian Nynorsk |
no nor Norwegian | nr nbl South Ndebele | nv nav Navajo | ny nya Chichewa | oc oci Occitan | oj oji Ojibwa |
om orm Oromo | or ori Odia | os oss Ossetian | pa pan Punjabi | pi pli Pali | pl pol Polish |
ps pus Pashto | pt por Portuguese | qu que Quechua | rm roh Romansh | rn run Rundi | ro ron Romanian |
ru rus Russian | rw kin Kinyarwanda | sa san Sanskrit | sd snd Sindhi |
se sme Northern Sami | sg sag Sango | si sin Sinhala | sk slk Slovak | sl slv Slovenian | sm smo Samoan |
sn sna Shona | so som Somali | sq sqi Albanian | sr srp Serbian | ss ssw Swati | st sot Southern Sotho |
su sun Sundanese | sv swe Swedish | sw swa Swahili | ta tam Tamil | te tel Telugu | tg tgk Tajik |
th tha Thai | ti tir Tigrinya | tk tuk Turkmen | tl tgl Tagalog | tn tsn Tswana | to ton Tonga |
tr tur Turkish | ts tso Tsonga | tt tat Tatar | tw twi Twi | ty tah Tahitian | ug uig Uyghur |
uk ukr Ukrainian | ur urd Urdu | uz uzb Uzbek | ve ven Venda | vi vie Vietnamese | vo vol Volapük |
wa wln Walloon | wo wol Wolof | xh xho Xhosa | yi yid Yiddish | yo yor Yoruba | za zha Zhuang |
zh zho Chinese | zu zul Zulu
"""
"""ISO 639-1 code, terminological code of ISO 639-2, English name; "jw" is Whisper's code of Javanese."""

_BIBLIOGRAPHIC = """
bod tib ces cze cym wel deu ger ell gre eus baq fas per fra fre hye arm isl ice kat geo mkd mac mri mao msa may
mya bur nld dut ron rum slk slo sqi alb zho chi
"""
"""Terminological and bibliographic code of ISO 639-2, where they differ."""

_WITHOUT_SHORT_CODE = """
ace Acehnese | ast Asturian | ban Balinese | bcl Bikol | ceb Cebuano | chr Cherokee | ckb Central Kurdish |
cop Coptic | csb Kashubian | dsb Lower Sorbian | fil Filipino | fur Friulian | grc Ancient Greek |
gsw Swiss German | hak Hakka | haw Hawaiian | hil Hiligaynon | hmn Hmong | hsb Upper Sorbian | ilo Ilocano |
jbo Lojban | kab Kabyle | kok Konkani | lfn Lingua Franca Nova | lij Ligurian | ltg Latgalian | mai Maithili |
mni Manipuri | nan Min Nan | nap Neapolitan | nds Low German | pap Papiamento | pcm Nigerian Pidgin | prs Dari |
quc Kiche | sat Santali | scn Sicilian | sco Scots | shn Shan | srd Sardinian | szl Silesian | vec Venetian | wuu Wu |
yue Cantonese
"""
"""ISO 639-3 codes of languages without one of two letters, and their names. Sardinian has one, sc, but what people call
so is simplified Chinese."""

_ALIASES = """
cmn zh | chs zh-Hans | cht zh-Hant | zhs zh-Hans | zht zh-Hant | zh-chs zh-Hans | zh-cht zh-Hant | zh-yue yue |
sc zh-Hans | tc zh-Hant | 简体 zh-Hans | 简体中文 zh-Hans | 简中 zh-Hans | 简 zh-Hans | 繁体 zh-Hant |
繁體 zh-Hant | 繁体中文 zh-Hant | 繁體中文 zh-Hant | 繁中 zh-Hant | 繁 zh-Hant | 中文 zh | 汉语 zh | 漢語 zh | 国语 zh |
國語 zh | 普通话 zh | mandarin zh | 粤语 yue | 粵語 yue | cn zh-CN | jp ja | 日本語 ja | 日语 ja | 日語 ja | 日文 ja |
한국어 ko | 英语 en | 英語 en | 英文 en | cz cs | dk da | ua uk | vn vi | iw he | ji yi | mo ro | sh sr-Latn |
scc sr | scr hr | pob pt-BR | ptb pt-BR | ptbr pt-BR | esp es | spn es | es-la es-419 | es-lat es-419 | en-uk en-GB |
español es | castellano es | castilian es | latino es-419 | français fr | francais fr | deutsch de | italiano it |
português pt | portugues pt | brazilian pt-BR | русский ru | українська uk | polski pl | nederlands nl | svenska sv |
dansk da | norsk no | suomi fi | türkçe tr | turkce tr | čeština cs | magyar hu | română ro | ελληνικά el | हिन्दी hi |
हिंदी hi | العربية ar | עברית he | فارسی fa | farsi fa | ไทย th | tiếng-việt vi | bahasa-indonesia id | flemish nl-BE |
burmese my | myanmar my | cantonese yue | valencian ca | moldovan ro | bokmål nb | bokmal nb | nynorsk nn |
latin-american-spanish es-419 | spanish-latin-america es-419 | spanish-latin-american es-419 | spanish-spain es-ES |
european-spanish es-ES | brazilian-portuguese pt-BR | portuguese-brazil pt-BR | portuguese-brazilian pt-BR |
european-portuguese pt-PT | portuguese-portugal pt-PT | simplified-chinese zh-Hans | chinese-simplified zh-Hans |
traditional-chinese zh-Hant | chinese-traditional zh-Hant | english-us en-US | american-english en-US |
english-uk en-GB | british-english en-GB | french-canada fr-CA | canadian-french fr-CA
"""
"""What people write, with blanks and underscores as hyphens, and the tag that it means."""

_SCRIPTS = (
    "arab beng cyrl deva ethi geor grek guru hang hans hant hebr jpan kore latn mong taml telu thaa thai tibt"
)
_REGIONS = """
ad ae af ag ai al am ao ar as at au aw ax az ba bb bd be bf bg bh bi bj bl bm bn bo bq br bs bt bw by bz ca cc cd cf cg
ch ci ck cl cm cn co cr cu cv cw cx cy cz de dj dk dm do dz ec ee eg eh er es et fi fj fk fm fo fr ga gb gd ge gf gg gh
gi gl gm gn gp gq gr gt gu gw gy hk hm hn hr ht hu id ie il im in io iq ir is it je jm jo jp ke kg kh ki km kn kp kr kw
ky kz la lb lc li lk lr ls lt lu lv ly ma mc md me mf mg mh mk ml mm mn mo mp mq mr ms mt mu mv mw mx my mz na nc ne nf
ng ni nl no np nr nu nz om pa pe pf pg ph pk pl pm pn pr ps pt pw py qa re ro rs ru rw sa sb sc sd se sg sh si sj sk sl
sm sn so sr ss st sv sx sy sz tc td tf tg th tj tk tl tm tn to tr tt tv tw tz ua ug um us uy uz va vc ve vg vi vn vu wf
ws xk ye yt za zm zw
"""
"""Countries (ISO 3166); besides these a region is three digits: 419 is Latin America."""
_VARIANTS = "1901 1996 arevela arevmda ekavsk ijekavsk monoton oxendict polyton tarask valencia"
"""Variants of a language that are in use. Another word makes no tag: "no-limits" is no Norwegian."""


def _rows(table: str, cells: int) -> Iterator[list[str]]:
    return (row.strip().split(maxsplit=cells - 1) for row in table.split("|"))


_NAMES = {code: name for code, _, name in _rows(_ISO_639, 3)} | dict(_rows(_WITHOUT_SHORT_CODE, 2))
_TERMINOLOGICAL = {code: long for code, long, _ in _rows(_ISO_639, 3)}
_IN_MATROSKA = dict(zip(_BIBLIOGRAPHIC.split()[::2], _BIBLIOGRAPHIC.split()[1::2], strict=True))
_MAIN = (
    {code: code for code in _NAMES}
    | {long: code for code, long in _TERMINOLOGICAL.items() if code != "jw"}
    | {_IN_MATROSKA[long]: code for code, long in _TERMINOLOGICAL.items() if long in _IN_MATROSKA}
)
"""Every code of two or three letters, and the one that stands for it."""
_BY_NAME = {name.casefold().replace(" ", "-"): code for code, name in _NAMES.items() if code != "jw"}
_TAG_OF_ALIAS = dict(_rows(_ALIASES, 2))


@lru_cache(maxsize=1000)
def language_of(text: str) -> str | None:
    """Return the BCP 47 tag of a code or name as people write it: ``es_MX``, ``spa``, ``zh_cn``, ``Spanish``, ``jp``.

    The language has the shortest code of ISO 639 ("es"), the script four letters ("zh-Hans"), the region capitals
    or digits ("pt-BR", "es-419"). None: no language is known by this.
    """
    key = re.sub(r"[\s_-]+", "-", text.strip().casefold())
    if tag := _TAG_OF_ALIAS.get(key) or _BY_NAME.get(key):
        return tag
    main, *subtags = key.split("-")
    code = _MAIN.get(main) or _TAG_OF_ALIAS.get(main, "")
    if not code or (subtags and "-" in code):
        return None
    scripts, regions, variants = 0, 0, 0
    for subtag in subtags:
        if subtag in _SCRIPTS.split() and not scripts + regions + variants:
            scripts, code = 1, f"{code}-{subtag.title()}"
        elif (subtag in _REGIONS.split() or re.fullmatch("[0-9]{3}", subtag)) and not regions + variants:
            regions, code = 1, f"{code}-{subtag.upper()}"
        elif subtag in _VARIANTS.split():
            variants, code = 1, f"{code}-{subtag}"
        else:
            return None
    return code


def main_language(tag: str) -> str:
    """Return the language of a tag without its script and region: of ``es-419``, ``es``."""
    return tag.partition("-")[0].lower()


def name_of(tag: str) -> str:
    """Return the English name of a language: "Spanish"; with its tag where that says more: "Spanish (es-419)"."""
    name = _NAMES.get(main_language(tag), tag)
    return f"{name} ({tag})" if "-" in tag else name


def is_name(text: str) -> bool:
    """Return whether a text is the English name of a language, not a code."""
    return text.casefold() in _BY_NAME


def three_letter_code(tag: str, *, bibliographic: bool) -> str | None:
    """Return the code of ISO 639-2 or 639-3 of ``es``, ``es-419``, ``spa`` or ``Spanish``, here ``spa``.

    None for what is no code. Of French it is ``fra``, or ``fre`` as the bibliographic code.
    """
    main = main_language(language_of(tag) or tag)
    is_code = len(main) == 3 and main.isascii() and main.isalpha()
    code = _TERMINOLOGICAL.get(_MAIN.get(main, main), main if is_code else None)
    return _IN_MATROSKA.get(code, code) if code is not None and bibliographic else code

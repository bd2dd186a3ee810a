"""Text files of users, in whatever encoding they are: the one that the text itself proves, or a refusal.

UTF-8 and byte order marks prove themselves. Any other encoding decodes nearly any bytes, so a text that was decoded
with it has to look like text: in Chinese, Japanese and Korean most characters are among the few hundred commonest;
in alphabets other than Latin, most letters are among the dozen commonest; in Latin letters, the language that the
words show (py3langid) is written with this encoding and has the letters that were found. Where two encodings pass with
different texts, none is taken. ``benchmarks/encodings.py`` counts right, refused and wrong ones.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from voiceclone_cli.errors import InputError
from voiceclone_cli.language_detection import TextLook

EXAMPLES = "gb18030, big5, shift_jis, euc-kr, windows-1251 or windows-1252"
"""Of names, for messages."""

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark is a prefix
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CODECS = {
    "gb18030": ("gb18030",),
    "gbk": ("gb18030",),
    "gb2312": ("gb18030",),
    "big5": ("cp950", "big5hkscs"),
    "shift_jis": ("cp932",),
    "euc_kr": ("cp949",),
    "iso8859-1": ("cp1252", "iso8859-1"),
    "iso8859-9": ("cp1254", "iso8859-9"),
    "ascii": ("cp1252",),
}
"""Codecs that are tried for a name: what programs write under it, which is more than the standard of that name."""

_LARGE, _MANY_ROWS = 500_000, 4_000
"""Bytes from which a file is large, and the rows of a large file that prove the encoding of all."""
_SAMPLE_LINES, _SAMPLE_CHARACTERS = 400, 8_000
"""Rows with other characters than ASCII that are looked at, evenly spread, and their characters altogether."""
_ASCII = re.compile(r"[\x00-\x7f]+")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_SCRIPTS = 3
"""Alphabets besides ASCII in which damaged UTF-8 may be; by chance, each character has another one."""
_ONE_SCRIPT = {"HIRAGANA": "CJK", "KATAKANA": "CJK", "FULLWIDTH": "CJK"}
_NO_TEXT = re.compile(
    r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\ud800-\udfff\ue000-\uf8ff\ufdd0-\ufdef\ufff0-\ufffb\ufffe\uffff"
    r"\U000f0000-\U0010ffff]"
)
"""Controls, private use and what is no character."""


@dataclass(frozen=True, slots=True)
class DecodedText:
    """The text of a file, its line ends as they are, and how it was decoded."""

    text: str
    encoding: str
    guessed: bool = False
    """Whether the text proved it, and neither a byte order mark nor the user said it."""

    def notes(self, name: str) -> tuple[str, ...]:
        """Return a sentence for the user where the encoding of the file ``name`` was found out."""
        if not self.guessed:
            return ()
        return (f"{name} is not UTF-8 and was read as {self.encoding}: give --encoding if that is wrong.",)


def encoding_named(text: str) -> str:
    """Return the name of an encoding as Python writes it. Raises ValueError where there is none of this name."""
    try:
        # hex and zip are codecs too, and no encodings of text: these raise LookupError here.
        "".encode(text.strip())
        return codecs.lookup(text.strip()).name
    except (LookupError, ValueError) as error:
        raise ValueError(f"must be an encoding such as {EXAMPLES}, not {text!r:.60}") from error


def decode(data: bytes, given: str | None = None) -> DecodedText:
    """Return the text of a file's bytes.

    A few damaged bytes among many whole characters of UTF-8 become unpaired surrogates. ``given``: the encoding, from
    the user, of a file that is not UTF-8. Raises InputError (``text_encoding``), with a clause that fits behind the
    name of the file, where the bytes are not text in the given encoding, or prove none.
    """
    mark, encoding = next((pair for pair in _BYTE_ORDER_MARKS if data.startswith(pair[0])), (b"", ""))
    if mark:
        return DecodedText(_with_mark(data[len(mark) :], encoding), encoding)
    text = _utf8(data)
    if text is not None and (given is None or not text.isascii()):
        return DecodedText(text, "utf-8")
    if given is not None:
        return DecodedText(_as_given(data, given), given)
    found = dict[str, str]()
    for name, codec in _candidates(data):
        decoded = _plain(data, codec)
        if decoded is not None:
            found.setdefault(decoded, name)
    if len(found) != 1:
        raise InputError(
            f"is not UTF-8 text, and does not show in which encoding it is: give --encoding ({EXAMPLES}), or save "
            "it as UTF-8.",
            code="text_encoding",
        )
    ((text, name),) = found.items()
    return DecodedText(text, name, guessed=True)


def decode_whole(data: bytes, given: str | None = None) -> DecodedText:
    """Return what :func:`decode` does. Raises InputError for damaged bytes too: here every character counts."""
    decoded = decode(data, given)
    if _SURROGATE.search(decoded.text):
        raise InputError("has bytes that are not UTF-8: save it as UTF-8.", code="text_encoding")
    return decoded


def _with_mark(data: bytes, encoding: str) -> str:
    text = _utf8(data) if encoding == "utf-8" else _strictly(data, encoding)
    if text is None or "\0" in text:
        raise InputError(
            f"begins with the mark of {encoding.upper()}, and is damaged behind it: save it as UTF-8.",
            code="text_encoding",
        )
    return text


def _utf8(data: bytes) -> str | None:
    """Return the text of UTF-8, a few damaged bytes as surrogates; None where it is another encoding."""
    text = data.decode("utf-8", "surrogateescape")
    damaged = len(_SURROGATE.findall(text))
    whole = len(_ASCII.sub("", text)) - damaged if damaged else 0
    if whole < 4 * damaged or (damaged and _has_many_scripts(text)):
        return None
    # UTF-16 without a mark decodes as UTF-8 with null characters, ISO-2022 with escapes.
    return None if "\0" in text or "\x1b$" in text else text


def _has_many_scripts(text: str) -> bool:
    names = {
        _script_of(each) for each in set(text) if ord(each) > 127 and unicodedata.category(each)[0] in "LM"
    }
    return len({_ONE_SCRIPT.get(name, name) for name in names}) > _SCRIPTS


def _as_given(data: bytes, given: str) -> str:
    name = given.lower().replace("_", "-")
    texts = (_strictly(data, codec) for codec in _CODECS.get(given, _CODECS.get(name, (given,))))
    text = next((text for text in texts if text is not None), None)
    if text is None or "\0" in text:
        raise InputError(
            f"is not text in the encoding {given}: give the right --encoding ({EXAMPLES}), or save it as UTF-8.",
            code="text_encoding",
        )
    return text.removeprefix("\ufeff")


def _strictly(data: bytes, codec: str) -> str | None:
    try:
        return data.decode(codec)
    except UnicodeDecodeError:
        return None


# What proves an encoding


def _candidates(data: bytes) -> Iterator[tuple[str, str]]:
    """Yield the encodings that the bytes prove, each with the codec."""
    if b"\x1b$" in data:
        yield "iso-2022-jp", "iso2022_jp_2"
    elif b"\0" in data:
        yield from ((name, name) for name in ("utf-16-le", "utf-16-be"))
    else:
        rows = _rows(data)
        yield from _by_characters(rows)
        yield from _by_letters(rows)
        yield from _by_language(rows)


def _rows(data: bytes) -> bytes:
    """Return a file; of a large one rows with other bytes than ASCII, evenly spread."""
    if len(data) <= _LARGE:
        return data
    rows = [row for row in data.split(b"\n") if not row.isascii()]
    step = -(-len(rows) // _MANY_ROWS) or 1
    return b"\n".join(rows[::step])


def _plain(data: bytes, codec: str) -> str | None:
    """Return the text in this codec; None for what is no plain text."""
    text = _strictly(data, codec)
    if text is None or _NO_TEXT.search(text) or not _are_assigned(text):
        return None
    return text


def _are_assigned(text: str) -> bool:
    return all(unicodedata.category(character) != "Cn" for character in set(text))


def _sample(text: str) -> str:
    """Return rows of the text with other characters than ASCII, evenly spread, each once."""
    rows = list(dict.fromkeys(row for row in text.splitlines() if not row.isascii()))
    step = -(-len(rows) // _SAMPLE_LINES) or 1
    return "\n".join(rows[::step])[:_SAMPLE_CHARACTERS]


# Chinese, Japanese, Korean: the commonest characters

_HAN = (
    "的一是不了在人有我他大中上以和地到主就可也你生能而子那得下自年成方多作用道行所然事去法如都日小心她本前但因想意"
    "力今天好最手第水口再分比重文理名平位光走性世安海放品相告立打情定入明加化代月公信白各己老先全其外男女王李高少十"
    "百二三四五六七八九早晚快身通南西北使便被提死叫喝坐住做找怕很常怎什知市民政太原由反受工目指求正算式完示非空次至"
    "言色火山石木金土田林江河城京村元朋友兄弟姐妹爸父母哥等直接命任何共已此且或者若往沿朝底形交具利句段首取步曾更忘"
    "怪忙急怒哭笑吵嘴耳足毛肉血皮狗牛羊花草苦甜辣油米茶酒菜餐午店房屋桌椅衣服帽鞋包巾洗刷牙哈呵啊哦哎呀吧呢嗯咱啦郭"
    "徐董蔡潘杜魏姚康尹施洪易武邱侯孟秦史郝曹唐宋保持量特格星期末半夜份部件器令殊感待留宅近楚喔妳咗嘅唔哋啲佢喺嘢嚟"
    "咁睇冇食嘛"
)
"""Common Chinese characters that are written alike in simplified and traditional script."""
_SIMPLIFIED = (
    "出家同只它合回真面并千表吃教妈才向果酸床喂胡朱杨梁念们个这来说为国时会对过发后里没还么样开问关话给让听两点几门"
    "见从现当动经长进实间机将应种无与头体业电东车马鱼鸟风飞龙书写读语请谢谁认识记讲试该设许论诉词谈误课调难离题顾须"
    "愿类觉亲观规视选远运连边达适逻钱银钟错铁闻闪闭张阳阴陈际随险华单卖买员响园图圆坏块声处备够夹奖妇娘学宁宝审宽宾"
    "导尔尽层属岁岛币师带帮库庆庙废广庄异弃归录总恋恶惊惯战戏户扫执扩报担拥择挂损换据数断旧显晓术条极构标树档检楼欢"
    "气汉沟济满热爱爷状独环玛疗疯监盘盖码确积称穷竞笔签简紧红约级纪纯纸纳练组细织终绍结绝统绿维网罗职联肃脑脏脸节艺"
    "荣药虑虽虾补装计订访证评译诗详谊谋赛赞赢赶跃转轮软轻较辆输辞迁迟郑邮释钥铺锁阶隐静顶项顺领频颜颗额饭饮饿馆驾验"
    "骗鸡鸭麦黄齐齿刘吴孙赵周叶苏吕邓韩冯萧卢陆严贺贾"
)
_TRADITIONAL = (
    "內於豬鳥們個這來說為國時會對過發後裡裏沒還麼樣開問關話給讓聽兩點幾門見從現當動經長進實間機將應種無與頭體業電東"
    "車馬魚風飛龍書寫讀語請謝誰認識記講試該設許論訴詞談誤課調難離題顧須鬚願類覺親觀規視選遠運連邊達適邏錢銀鐘錯鐵聞"
    "閃閉張陽陰陳際隨險華單賣買員響園圖圓壞塊聲處備夠夾獎婦媽孃學寧寶審寬賓導爾盡層屬歲島幣師帶幫庫慶廟廢廣莊異棄歸"
    "錄總戀惡驚慣戰戲戶掃執擴報擔擁擇掛損換據數斷舊顯曉術條極構標樹檔檢樓歡氣漢溝濟滿熱愛爺狀獨環瑪療瘋監盤蓋碼確積"
    "稱窮競筆簽簡緊紅約級紀純紙納練組細織終紹結絕統綠維網羅職聯肅腦臟臉節藝榮藥慮雖蝦補裝計訂訪證評譯詩詳誼謀賽贊贏"
    "趕躍轉輪軟輕較輛輸辭遷遲鄭郵釋鑰鋪鎖階隱靜頂項順領頻顏顆額飯飲餓館駕驗騙雞鴨麥黃齊齒劉吳孫趙楊葉蘇呂鄧韓馮蕭盧"
    "陸嚴賀賈嗎係"
)
_KANA = "".join(map(chr, (*range(0x3041, 0x3094), *range(0x30A1, 0x30F7), 0x30FC)))
_KANJI = (
    "日一国会人年大十二本中長出三同時政事自行社見月分後前民生連五発間対上部東者地合市業内相方四定今回新場金員九入立"
    "開手力学問高代明実円関決子動京全目表経通外最言現理体化田当八六約主題下意法不来作性的要用度強気小七成期取都和機"
    "平加山思家話世受多続進正安数記女初北午指心界点教書活原先得解名交向際面文元重近千考海利知道信集別物引使求所次水"
    "半死感特情示変打男私始島直朝式確村運終果西台広容必電住争能無再真流有口過少放料語空止送役木聞身切由説転食車夫何"
    "南石足違消神番声念待試早親追形景落好退頭彼君僕俺誰娘父母兄弟姉妹友達店駅客夜昼春夏秋冬雨雪犬猫鳥魚花茶酒飯肉野"
    "菜飲読買売帰着寝起遊歩走泣笑怒忙楽嬉悲痛怖弱悪良古若赤青白黒色音映画写旅病院医薬校室勉仕願申頼伝習覚忘持探付助"
    "守戻渡返訳難失礼丈簡単然緒昨曜週毎佐藤鈴橋辺伊林吉井松清斎"
)
_HANGUL = (
    "이다는가을에의고지하를은도로한어나사아기그자리해서시스라있수게인대정보일들전만거니부장없것제오구면마내여안야우"
    "무너뭐요네죠까습합세주생말당된했었았겠와과으려러드데때저미비소조모동상신원성진선연용공국간관경계문물방번복분불"
    "산살새식실심알앞약양업영예왜외운위유음임입잘적절점좋중직집차참처초추치친타트파편학할함행형호화회후힘더두뒤등따"
    "또란람래량력련렇르른름린림갑강같개건걸겁격결곳괜군글금김날남났년노녀눈느늘단달닥답던둘든디떻뜨먹명몇몸못바밖발"
    "밤백버벌법변본봐뵙빨빠쁘설셨속손송쉬슨슷십싶써씨악않애얘언얼엄엇역열온올왔욕울월읽잊작잠재젠져졌족존종좀죄준줄"
    "즘찮찾책천철청체촌출커큰키탁탕택터테토통투특판팔평포표품피필향허현혼환황효"
)
_SIGNS = re.compile(
    r"[\s\u2010-\u203b\u3000-\u303f\uff01-\uff65\uffe0-\uffee·×°\u2190-\u21ff\u2460-\u25ff♪♫★☆①-⑳]"
)
"""Punctuation of Chinese, Japanese and Korean, and full-width letters: they prove nothing."""

_LEAST_COMMON = 4
"""Common characters: less prove nothing."""
_COMMON_SHARE, _COMMON_SHARE_OF_FEW, _FEW_CHARACTERS = 0.45, 0.55, 20
"""Share of common characters from which a text is in this language, and that of a text of few characters: it has .7 to
.95 of them, and others have .2."""
_WORSE = 0.6
"""The next encoding must have less than this part of the best one's share."""


@cache
def _common_characters() -> tuple[tuple[str, str, frozenset[str]], ...]:
    """Return the encodings with characters of two bytes: name, codec and common characters of each."""
    chinese = frozenset(_HAN + _SIMPLIFIED + _TRADITIONAL)
    japanese, korean = frozenset(_KANA + _KANJI), frozenset(_HANGUL)
    return (
        ("gb18030", "gb18030", chinese),
        *(("big5", codec, chinese) for codec in _CODECS["big5"]),
        ("shift_jis", "cp932", japanese),
        ("euc-jp", "euc_jp", japanese),
        ("euc-kr", "cp949", korean),
        *(
            (name, name, common)
            for name in ("utf-16-le", "utf-16-be")
            for common in (chinese, japanese, korean)
        ),
    )


def _by_characters(data: bytes) -> Iterator[tuple[str, str]]:
    """Yield the encoding whose text is mostly common characters of its language."""
    shares = []
    for name, codec, common in _common_characters():
        text = _plain(data, codec)
        if text is None:
            continue
        characters = [each for each in _SIGNS.sub("", _sample(text)) if ord(each) > 127]
        hits = sum(each in common for each in characters)
        if hits >= _LEAST_COMMON:
            least = _COMMON_SHARE_OF_FEW if len(characters) < _FEW_CHARACTERS else _COMMON_SHARE
            shares.append((hits / len(characters), text, least, name, codec))
    if not shares:
        return
    best, text, least, name, codec = max(shares)
    if best >= least and all(share < _WORSE * best or other == text for share, other, *_ in shares):
        yield name, codec


# Other alphabets: the commonest letters

_ALPHABETS = (
    ("windows-1251", "cp1251", "CYRILLIC"),
    ("koi8-u", "koi8_u", "CYRILLIC"),
    ("cp866", "cp866", "CYRILLIC"),
    ("iso8859-5", "iso8859_5", "CYRILLIC"),
    ("windows-1253", "cp1253", "GREEK"),
    ("iso8859-7", "iso8859_7", "GREEK"),
    ("windows-1255", "cp1255", "HEBREW"),
    ("windows-1256", "cp1256", "ARABIC"),
    ("iso8859-6", "iso8859_6", "ARABIC"),
    ("windows-874", "cp874", "THAI"),
)
"""Name, codec, and first word of the Unicode names of its letters."""
_COMMON_LETTERS = {
    "CYRILLIC": frozenset("оеаинтсрвлкмі"),
    "GREEK": frozenset("αοιετσνηυρπκς"),
    "HEBREW": frozenset("יוהלארמתבשנ"),
    "ARABIC": frozenset("اليمونرتبعدهة"),
    "THAI": frozenset("านรอกเงมยลวดทสตะบปคหแไ"),
}
_LETTERS_SHARE = {"CYRILLIC": 0.6, "GREEK": 0.7, "HEBREW": 0.65, "ARABIC": 0.6, "THAI": 0.65}
"""Share of the commonest letters from which a text is in this alphabet; they have .7 to .85 of it."""
_RIVAL_SHARE = 0.45
"""Share from which another text speaks against the best one."""
_LEAST_LETTERS, _LEAST_CAPITALS = 18, 30
"""Letters from which a text may prove an alphabet; and of a text in capitals, which small letters become elsewhere."""
_CYRILLIC = {
    "ru": "абвгдеёжзийклмнопрстуфхцчшщъыьэюя",
    "uk": "абвгґдеєжзиіїйклмнопрстуфхцчшщьюя",
    "be": "абвгдеёжзійклмнопрстуўфхцчшыьэюя",
    "bg": "абвгдежзийклмнопрстуфхцчшщъьюя",
    "sr": "абвгдђежзијклљмнњопрстћуфхцчџш",
    "mk": "абвгдѓежзѕијклљмнњопрстќуфхцчџш",
}
"""Letters of the languages that are written with these encodings: a text has those of one of them."""
_LETTERS_LEAD, _LETTERS_LEAD_OF_FEW, _FEW_LETTERS = 0.15, 0.2, 40
"""By which the share must exceed that of any other text, and that of few letters."""
_IN_ALPHABET = 0.97
"""Share of this alphabet among the letters that are not ASCII."""


def _by_letters(data: bytes) -> Iterator[tuple[str, str]]:
    """Yield the encoding whose text is mostly common letters of its alphabet, and clearly more than any other's."""
    shares: list[tuple[float, str, float, str, str]] = []
    passed = set[str]()
    for name, codec, script in _ALPHABETS:
        text = _plain(data, codec)
        if text is None:
            continue
        sample = _sample(text)
        letters = [
            each for each in unicodedata.normalize("NFD", sample) if ord(each) > 127 and each.isalpha()
        ]
        own = [each for each in letters if _script_of(each) == script]
        if not own or len(own) < _IN_ALPHABET * len(letters):
            continue
        share = sum(each.lower() in _COMMON_LETTERS[script] for each in own) / len(own)
        if share < _RIVAL_SHARE or not _are_words_whole(sample, script):
            continue
        # What is too short, or strange for its alphabet, proves nothing; yet it speaks against another encoding.
        lead = _LETTERS_LEAD if len(own) >= _FEW_LETTERS else _LETTERS_LEAD_OF_FEW
        shares.append((share, text, lead, name, codec))
        is_small = any(map(str.islower, own)) or script in _UNICASE
        least = _LEAST_LETTERS if is_small else _LEAST_CAPITALS
        if share >= _LETTERS_SHARE[script] and len(own) >= least and _are_of_one_language(sample, script):
            passed.add(name)
    if not shares:
        return
    best, text, lead, name, codec = max(shares)
    others = [share for share, other, *_ in shares if other != text]
    if name in passed and best - max(others, default=0.0) >= lead:
        yield name, codec


_UNICASE = ("HEBREW", "ARABIC", "THAI")
_FINAL_LETTER_INSIDE = re.compile(r"[ςםןץףך](?=[^\W\d_])")


_ODD_GREEK = 0.1
"""Share of Greek words with two accents: there are a few before "μου"."""


def _is_odd_greek(word: str) -> bool:
    return len(re.findall("[άέήίόύώΐΰ]", word)) > 1 or bool(re.search("[ΐΰ]", word))


_THAI, _THAI_VOWEL = re.compile("[ก-๎]"), re.compile("[ะ-ฺเ-๎]")
_THAI_MISPLACED = re.compile("(?<![ก-๎])[ัิ-ฺ็-๎]|[เ-ไ](?![ก-ฮ])")
"""A mark that no letter carries, and a vowel that is written before a consonant and has none."""
_THAI_VOWELS = 0.25
"""Share of vowels and tones in a text; Thai has .4."""


def _are_of_one_language(sample: str, script: str) -> bool:
    """Return whether letters are where, and beside others, that a language of this alphabet has."""
    if _FINAL_LETTER_INSIDE.search(sample):
        return False
    if script == "GREEK":
        words = _other_words(unicodedata.normalize("NFC", sample))
        return sum(map(_is_odd_greek, words)) <= _ODD_GREEK * len(words)
    if script == "THAI":
        if _THAI_MISPLACED.search(sample):
            return False
        return len(_THAI_VOWEL.findall(sample)) >= _THAI_VOWELS * len(_THAI.findall(sample))
    if script != "CYRILLIC":
        return True
    letters = [each for each in unicodedata.normalize("NFC", sample.lower()) if _script_of(each) == script]
    foreign = min(sum(each not in alphabet for each in letters) for alphabet in _CYRILLIC.values())
    return foreign <= (1 - _IN_ALPHABET) * len(letters) * (len(letters) >= _FOREIGN_FROM)


@cache
def _script_of(letter: str) -> str:
    return unicodedata.name(letter, "").partition(" ")[0]


_WORD = re.compile(r"[^\W\d_]+")
_HARMLESS = re.compile(r"[ªºµ\xad]|(?<=m)[²³]")
"""Signs that count as letters or digits and are none."""
_IN_WORDS = frozenset("’‘ʼ´·—–…׳״־“”„«»‹›")
"""Signs besides ASCII that may have letters on both sides: apostrophes, dashes, quotes without a blank."""
_BEFORE_WORDS = _IN_WORDS | frozenset("¿¡‚\xa0§№€£¥♪")
_LATIN_QUOTES = "‚’"
"""Open a quotation in Latin letters only; with the letters of others they are a capital of another encoding."""
_BEHIND_WORDS = _IN_WORDS | frozenset("\xa0™®©°،؛؟♪")
_FEW = 0.02
"""Share of words with a fault that a text may have: a brand, a slip."""


def _are_words_whole(sample: str, script: str) -> bool:
    """Return whether nearly all words are of one alphabet, with capitals in front only, and without signs in them."""
    return _word_faults(sample, script) <= _FEW * len(_other_words(sample))


def _other_words(sample: str) -> list[str]:
    """Return the words with other letters than ASCII."""
    return [word for word in _WORD.findall(_HARMLESS.sub("", sample)) if not word.isascii()]


def _word_faults(sample: str, script: str) -> int:
    """Return how many words and signs beside them no text of this alphabet has."""
    faults = sum(_is_odd_word(word, script) for word in _other_words(sample))
    plain = _HARMLESS.sub("", sample)
    return faults + sum(
        _is_odd_sign(*each, script) for each in zip(" " + plain, plain, plain[1:] + " ", strict=False)
    )


def _is_odd_word(word: str, script: str) -> bool:
    if any(_script_of(letter) != script for letter in word):
        return True
    if script == "LATIN" and len(word) > 2 and not any(map(str.isascii, word)):
        return True
    return any(
        before.islower() and after.isupper() and not (before.isascii() and after.isascii())
        for before, after in pairwise(word)
    )


def _is_odd_sign(before: str, sign: str, after: str, script: str) -> bool:
    if sign.isascii() or sign.isspace() or sign.isalnum() or unicodedata.category(sign)[0] == "M":
        return False
    if before.isalpha():
        return sign not in (_IN_WORDS if after.isalpha() else _BEHIND_WORDS)
    return after.isalpha() and (sign not in _BEFORE_WORDS or (sign in _LATIN_QUOTES and script != "LATIN"))


# Latin letters: the language that the words show

_LATIN: Mapping[str, Mapping[str, str]] = {
    "windows-1252": {
        "en": "éóäöü", "fr": "àâæçéèêëîïôœùûüÿ", "de": "äöüßé", "es": "áéíóúüñïç", "pt": "áâãàçéêíóôõúü",
        "it": "àèéìíîòóùú", "nl": "éëïóöüèáíúàêç", "sv": "åäöéàüá", "da": "æøåéäöüá", "nb": "æøåéèêòôóä",
        "no": "æøåéèêòôóä", "nn": "æøåéèêòôóä", "fi": "äöåéü", "is": "áéíóúýþæöð", "ca": "àçèéíïòóúü", "gl": "áéíóúüñ",
        "eu": "ñüáéíóú", "ga": "áéíóú", "gd": "àèìòù", "oc": "àáçèéíïòóúü", "sq": "ëç", "et": "äöüõšž", "af": "éèêëîïôöûü",
        "id": "é", "ms": "é", "sw": "", "tl": "éáíóúñ", "lb": "äëéöü", "br": "êñùü", "fy": "âêéôûúëïöü",
    },
    "windows-1250": {
        "pl": "ąćęłńóśźżéöü", "cs": "áčďéěíňóřšťúůýžöüä", "sk": "áäčďéíĺľňóôŕšťúýžöü", "hu": "áéíóöőúüű",
        "sl": "čšžćđ", "hr": "čćđšž", "bs": "čćđšž", "sr": "čćđšž", "ro": "ăâîşţé", "sq": "ëç",
    },
    "windows-1254": {"tr": "çğıiöşüâîûé", "az": "çğıöşü"},
    "windows-1257": {"lt": "ąčęėįšųūž", "lv": "āčēģīķļņšūž", "et": "äöüõšž"},
}  # fmt: skip
"""Encodings, the languages that are written with them, and the letters of these besides ASCII. Those of English are in
names and loan words, and are at the same place in all these encodings: an English text with a Czech name proves none."""
_OTHER_CODECS = {"windows-1250": "iso8859-2"}
_ENGLISH_LOANS = (
    "façade façades naïve naïveté déjà voilà crème brûlée crêpe crêpes fête señor señora señorita jalapeño jalapeños "
    "piñata mañana niño château garçon françois zoë chloë noël vis-à-vis à tête-à-tête entrée"
)
_LEAST_LATIN = 24
"""Letters, ASCII too, from which words show a language."""
_LANGUAGE_LEAST = 0.5
"""Probability of the language."""
_FOREIGN_LETTERS = 0.2
"""Share of letters of another language that a text may have: names."""
_FOREIGN_FROM = 20
"""Letters besides ASCII from which there may be any."""


def _by_language(data: bytes) -> Iterator[tuple[str, str]]:
    """Yield the encodings in which the text is in a language that is written with them, in its letters."""
    found: list[tuple[int, str]] = []
    for name, alphabets in _LATIN.items():
        for codec in (name, *filter(None, [_OTHER_CODECS.get(name)])):
            text = _plain(data, codec)
            if text is None or not _are_words_whole(sample := _sample(text), "LATIN"):
                continue
            words = list(dict.fromkeys(re.findall(r"[^\W\d_]+(?:['’-][^\W\d_]+)*", sample)))
            if sum(map(len, words)) < _LEAST_LATIN:
                continue
            look = TextLook.of([" ".join(words)])
            foreign = [
                letters
                for language, alphabet in alphabets.items()
                if look.probability_of(language) >= _LANGUAGE_LEAST
                and (letters := _foreign_letters(words, language, alphabet)) is not None
            ]
            if foreign:
                found.append((min(foreign) + _word_faults(sample, "LATIN"), codec))
    fewest = min((faults for faults, _ in found), default=0)
    yield from ((codec, codec) for faults, codec in found if faults == fewest)


def _foreign_letters(words: Sequence[str], language: str, alphabet: str) -> int | None:
    """Return how many letters of the words the language does not have; None for more than names explain."""
    words = [word.lower() for word in words]
    if language == "en":
        words = [word for word in words if word not in _ENGLISH_LOANS.split()]
    letters = [letter for word in words for letter in word if not letter.isascii() and letter.isalpha()]
    foreign = sum(letter not in alphabet for letter in letters)
    is_name = len(letters) >= _FOREIGN_FROM and foreign <= _FOREIGN_LETTERS * len(letters)
    return foreign if not foreign or is_name else None

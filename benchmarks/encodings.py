"""How many text files of other encodings than UTF-8 are read rightly, refused, and read wrongly.

python benchmarks/encodings.py [--verbose]

Subtitles, tables and plain texts of one, three and all sentences of each language, in every encoding that they are
written in; and files in encodings that are not known, or not text at all, which have to be refused.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "worker_env")]

from voiceclone_cli.encodings import decode  # noqa: E402
from voiceclone_cli.errors import InputError  # noqa: E402

SENTENCES: dict[str, tuple[str, str]] = {
    # language: (encodings, sentences)
    "zh-Hans": (
        "gb2312 gbk gb18030 utf-16-le utf-16-be",
        "妈妈，钥匙放在哪儿了？|别着急，我马上就下楼。|这列火车几点到南京？|医生说他下个月才能出院。|你听见外面的声音了吗？|"
        "昨天夜里下了一场大雪。|请把窗户关上，太冷了。|我们认识快二十年了。|谁也没想到结果会是这样。|再等五分钟，好不好？",
    ),
    "zh-Hant": (
        "big5 cp950 gbk gb18030 utf-16-le",
        "媽媽，鑰匙放在哪兒了？|別著急，我馬上就下樓。|這列火車幾點到臺南？|醫生說他下個月才能出院。|你聽見外面的聲音了嗎？|"
        "昨天夜裡下了一場大雨。|請把窗戶關上，太冷了。|我們認識快二十年了。|誰也沒想到結果會是這樣。|再等五分鐘，好不好？",
    ),
    "ja": (
        "shift_jis cp932 euc_jp iso2022_jp utf-16-le",
        "お母さん、鍵はどこに置いたの？|慌てないで、すぐ下に行くから。|この電車は何時に大阪に着きますか。|先生、妹の具合はどうですか？|"
        "外で何か音がしなかった？|ゆうべは雪がたくさん降ったね。|窓を閉めてください、寒いです。|私たちは二十年前からの知り合いだ。|"
        "こんなことになるとは誰も思わなかった。|あと五分だけ待って！",
    ),
    "ko": (
        "euc_kr cp949 utf-16-le",
        "엄마, 열쇠 어디에 뒀어요?|서두르지 마, 금방 내려갈게.|이 기차는 몇 시에 부산에 도착해요?|의사가 다음 달에 퇴원할 수 있대요.|"
        "밖에서 무슨 소리 못 들었어?|어젯밤에 눈이 많이 왔어요.|창문 좀 닫아 주세요, 추워요.|우리가 안 지 벌써 이십 년이 됐네.",
    ),
    "ru": (
        "cp1251 koi8_r cp866 iso8859_5 utf-16-le",
        "Мама, куда ты положила ключи?|Не торопись, я сейчас спущусь.|Во сколько поезд прибывает в Казань?|"
        "Врач сказал, что его выпишут через месяц.|Ты слышал шум на улице?|Ночью выпало много снега.|"
        "Закройте окно, пожалуйста, здесь холодно.|Мы знакомы почти двадцать лет.",
    ),
    "uk": (
        "cp1251 koi8_u",
        "Мамо, куди ти поклала ключі?|Не поспішай, я зараз спущуся.|О котрій годині потяг прибуває до Львова?|"
        "Лікар сказав, що його випишуть за місяць.|Ти чув шум надворі?|Уночі випало багато снігу.|"
        "Зачиніть вікно, будь ласка, тут холодно.|Ми знайомі майже двадцять років.",
    ),
    "bg": (
        "cp1251",
        "Мамо, къде сложи ключовете?|Не бързай, веднага слизам долу.|В колко часа пристига влакът във Варна?|"
        "Лекарят каза, че ще го изпишат след месец.|Чу ли шума отвън?|През нощта падна много сняг.",
    ),
    "el": (
        "cp1253 iso8859_7",
        "Μαμά, πού έβαλες τα κλειδιά;|Μη βιάζεσαι, κατεβαίνω αμέσως.|Τι ώρα φτάνει το τρένο στη Θεσσαλονίκη;|"
        "Ο γιατρός είπε ότι θα βγει σε ένα μήνα.|Άκουσες τον θόρυβο έξω;|Χθες το βράδυ χιόνισε πολύ.",
    ),
    "he": (
        "cp1255",
        "אמא, איפה שמת את המפתחות?|אל תמהר, אני יורד מיד.|באיזו שעה הרכבת מגיעה לחיפה?|הרופא אמר שישחררו אותו בעוד חודש.|"
        "שמעת את הרעש בחוץ?|בלילה ירד הרבה שלג.",
    ),
    "ar": (
        "cp1256",
        "أمي، أين وضعتِ المفاتيح؟|لا تستعجل، سأنزل حالا.|متى يصل القطار إلى الإسكندرية؟|قال الطبيب إنه سيخرج بعد شهر.|"
        "هل سمعت الضجة في الخارج؟|نزل ثلج كثير في الليل.",
    ),
    "th": (
        "cp874 tis_620",
        "แม่คะ เอากุญแจไว้ที่ไหน|ไม่ต้องรีบ เดี๋ยวผมลงไป|รถไฟขบวนนี้ถึงเชียงใหม่กี่โมงครับ|หมอบอกว่าเดือนหน้าถึงจะออกจากโรงพยาบาลได้|"
        "ได้ยินเสียงข้างนอกไหม|เมื่อคืนฝนตกหนักมาก",
    ),
    "pl": (
        "cp1250 iso8859_2",
        "Mamo, gdzie położyłaś klucze?|Nie śpiesz się, zaraz zejdę na dół.|O której pociąg przyjeżdża do Łodzi?|"
        "Lekarz powiedział, że wyjdzie dopiero za miesiąc.|Słyszałeś ten hałas na zewnątrz?|W nocy spadło mnóstwo śniegu.|"
        "Proszę zamknąć okno, jest zimno.|Znamy się już prawie dwadzieścia lat.",
    ),
    "cs": (
        "cp1250 iso8859_2",
        "Mami, kam jsi dala klíče?|Nespěchej, hned přijdu dolů.|V kolik hodin přijíždí vlak do Plzně?|"
        "Doktor řekl, že ho pustí až za měsíc.|Slyšel jsi ten hluk venku?|V noci napadlo hodně sněhu.",
    ),
    "hu": (
        "cp1250 iso8859_2",
        "Anya, hová tetted a kulcsokat?|Ne siess, mindjárt lemegyek.|Hány órakor ér a vonat Győrbe?|"
        "Az orvos szerint csak egy hónap múlva jöhet ki.|Hallottad azt a zajt odakint?|Éjszaka rengeteg hó esett, gyönyörű volt.",
    ),
    "ro": (
        "cp1250 iso8859_2",
        "Mamă, unde ai pus cheile?|Nu te grăbi, cobor imediat.|La ce oră ajunge trenul la Iaşi?|"
        "Doctorul a spus că va ieşi peste o lună.|Ai auzit zgomotul de afară?|Azi-noapte a nins foarte mult în oraş.",
    ),
    "hr": (
        "cp1250",
        "Mama, gdje si stavila ključeve?|Ne žuri, odmah silazim.|U koliko sati vlak stiže u Zagreb?|"
        "Liječnik kaže da će izaći tek za mjesec dana.|Jesi li čuo buku vani?|Noćas je pao veliki snijeg, još uvijek sniježi.",
    ),
    "tr": (
        "cp1254 iso8859_9",
        "Anne, anahtarları nereye koydun?|Acele etme, hemen aşağı iniyorum.|Tren saat kaçta Eskişehir'e varıyor?|"
        "Doktor bir ay sonra çıkabileceğini söyledi.|Dışarıdaki gürültüyü duydun mu?|Dün gece çok kar yağdı.",
    ),
    "lt": (
        "cp1257",
        "Mama, kur padėjai raktus?|Neskubėk, tuoj nusileisiu žemyn.|Kelintą valandą traukinys atvyksta į Šiaulius?|"
        "Gydytojas sakė, kad jį išleis po mėnesio.|Ar girdėjai triukšmą lauke?|Naktį prisnigo labai daug.",
    ),
    "es": (
        "cp1252 latin_1",
        "Mamá, ¿dónde pusiste las llaves?|No corras, ahora mismo bajo.|¿A qué hora llega el tren a Málaga?|"
        "El médico dijo que saldrá dentro de un mes.|¿Has oído ese ruido ahí fuera?|Anoche nevó muchísimo.|"
        "Cierre la ventana, por favor, tengo frío.|Nos conocemos desde hace casi veinte años, señor.",
    ),
    "pt": (
        "cp1252 latin_1",
        "Mãe, onde é que puseste as chaves?|Não corras, já vou descer.|A que horas chega o comboio a Évora?|"
        "O médico disse que ele só sai daqui a um mês.|Ouviste aquele barulho lá fora?|Ontem à noite nevou imenso.",
    ),
    "fr": (
        "cp1252 latin_1 iso8859_15",
        "Maman, où as-tu mis les clés ?|Ne te presse pas, je descends tout de suite.|À quelle heure le train arrive-t-il à Orléans ?|"
        "Le médecin a dit qu'il sortirait dans un mois.|Tu as entendu ce bruit dehors ?|Il a énormément neigé cette nuit-là.",
    ),
    "de": (
        "cp1252 latin_1",
        "Mama, wo hast du die Schlüssel hingelegt?|Beeil dich nicht, ich komme gleich herunter, wir haben noch fünf Minuten.|"
        "Um wie viel Uhr kommt der Zug in Köln an?|Der Arzt sagt, dass er erst nächsten Monat nach Hause darf.|"
        "Hast du das Geräusch draußen gehört?|Schließen Sie bitte das Fenster, es ist kühl.",
    ),
    "it": (
        "cp1252 latin_1",
        "Mamma, perché hai messo lì le chiavi?|Non c'è fretta, scendo più tardi.|A che ora arriva il treno a Forlì?|"
        "Il medico ha detto che uscirà tra un mese.|È vero che hai sentito un rumore là fuori?|Stanotte è nevicato, però poco.",
    ),
    "sv": (
        "cp1252 latin_1",
        "Mamma, var lade du nycklarna någonstans?|Skynda dig inte, jag går ner på en gång.|När kommer tåget till Malmö?|"
        "Läkaren sa att han får åka hem om en månad.|Hörde du ljudet utanför?|Det snöade väldigt mycket i natt.",
    ),
    "da": (
        "cp1252",
        "Mor, hvor har du lagt nøglerne?|Skynd dig ikke, jeg går nedenunder nu.|Hvornår kommer toget til Århus?|"
        "Lægen sagde, at han først må komme hjem om en måned.|Hørte du støjen udenfor?|Det sneede rigtig meget i går.",
    ),
    "en": (
        "cp1252",
        "Mum, I don’t know where you’ve put the keys.|“Don’t hurry,” she said, “I’ll be right down.”|What time’s the train due – at five?|"
        "The doctor says he’ll be out in a month…|Didn’t you hear that noise outside?|We sat in the café until it closed.",
    ),
}  # fmt: skip
"""Sentences of our own, separated by "|"."""

UNKNOWN = {
    "cp850": "es", "cp437": "fr", "mac_roman": "de", "mac_cyrillic": "ru", "cp852": "pl", "cp857": "tr", "cp037": "en",
    "cp1026": "tr", "cp862": "he", "cp864": "ar", "johab": "ko", "hz": "", "utf_7": "",
}  # fmt: skip
"""Encodings that are not known, with a language that is written in them: these files have to be refused. HZ and UTF-7
are ASCII for every reader, and are left out."""


def as_srt(rows: Sequence[str]) -> str:
    cues = (f"{n}\r\n00:00:{n:02d},000 --> 00:00:{n:02d},900\r\n{row}\r\n" for n, row in enumerate(rows, 1))
    return "\r\n".join(cues)


def as_ass(rows: Sequence[str]) -> str:
    head = (
        "[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize\nStyle: Default,Arial,20\n\n"
        "[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
    )
    return head + "".join(
        f"Dialogue: 0,0:00:{n:02d}.00,0:00:{n:02d}.90,Default,,0,0,0,,{row}\n"
        for n, row in enumerate(rows, 1)
    )


def as_csv(rows: Sequence[str]) -> str:
    return "start,end,speaker,text\n" + "".join(
        f'{n},{n}.9,SPEAKER_00,"{row}"\n' for n, row in enumerate(rows, 1)
    )


def as_text(rows: Sequence[str]) -> str:
    return "\n".join(rows) + "\n"


FORMATS = {"srt": as_srt, "ass": as_ass, "csv": as_csv, "txt": as_text}


def known_files() -> Iterator[tuple[str, int, str, bytes]]:
    """Yield name, number of sentences, text and bytes of the files whose encoding is known, once each."""
    seen: set[bytes] = set()
    for language, (encodings, joined) in SENTENCES.items():
        sentences = joined.split("|")
        for encoding in encodings.split():
            for kind, write in FORMATS.items():
                parts = [sentences, sentences[:3], sentences[-3:], *([each] for each in sentences)]
                for number, part in enumerate(parts):
                    text = write(part)
                    try:
                        data = text.encode(encoding)
                    except UnicodeEncodeError:
                        continue
                    if data not in seen and data != text.encode():
                        seen.add(data)
                        yield f"{language}.{encoding}.{number}.{kind}", len(part), text, data


def unknown_files() -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of files that must be refused."""
    for encoding, language in UNKNOWN.items():
        if language:
            for kind, write in FORMATS.items():
                sentences = SENTENCES[language][1].split("|")
                for number, part in enumerate([sentences, *([each] for each in sentences)]):
                    text = write(part)
                    data = text.encode(encoding, "replace")
                    if data != text.encode() and not data.isascii():
                        yield f"{language}.{encoding}.{number}.{kind}", data
    chooser = random.Random(0)
    for size in (3, 10, 100, 1_000, 10_000):
        for number in range(20):
            yield f"random.{size}.{number}", bytes(chooser.randrange(256) for _ in range(size - 1)) + b"\xff"
            text = bytes(chooser.choice(b"abc \n\xe9\xc4\xb1\x93\xfc") for _ in range(size - 1)) + b"\xff"
            yield f"mixed.{size}.{number}", text
    for path in [*sorted((ROOT / "docs").rglob("*.png")), *sorted((ROOT / "src").rglob("*.flac"))][:20]:
        yield path.name, path.read_bytes()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--verbose", action="store_true", help="list the files that are not read rightly")
    arguments = parser.parse_args()
    results: dict[str, Counter[str]] = {}
    seconds = 0.0
    for name, size, text, data in known_files():
        began = time.perf_counter()
        try:
            found = "right" if decode(data).text == text else "wrong"
        except InputError:
            found = "refused"
        seconds += time.perf_counter() - began
        results.setdefault(
            "1 sentence" if size == 1 else "3 sentences" if size == 3 else "6 to 10 sentences", Counter()
        )[found] += 1
        if arguments.verbose and found != "right":
            print(found, name, text[-80:].splitlines()[-1])
    for name, data in unknown_files():
        try:
            decoded = decode(data)
            results.setdefault("encodings that are not known, no text", Counter())["wrong"] += 1
            print("wrong", name, decoded.encoding, repr(decoded.text[-60:]))
        except InputError:
            results.setdefault("encodings that are not known, no text", Counter())["refused"] += 1
    print("| files | right | refused | wrong |\n|---|---|---|---|")
    for kind, counts in results.items():
        print(f"| {kind} | {counts['right']} | {counts['refused']} | {counts['wrong']} |")
    files = sum(sum(counts.values()) for counts in results.values())
    print(f"{files} files, {1000 * seconds / files:.1f} ms each")
    return int(any(counts["wrong"] for counts in results.values()))


if __name__ == "__main__":
    raise SystemExit(main())

"""English words inside Chinese lines, cut out at their times and recognised as English.

    python -m benchmarks.english_words [--out RESULTS.json] [--sounds FOLDER]

whisper-base, told that a line is Chinese, expects Chinese words in it and writes 同意 for Tony. So each word is also cut
out of the line, at the times that are planned for it, and recognised alone in whisper's English mode. Each line is said
as the engine says it, its word by an English voice, and by the Chinese voice alone. The same words cut out of English
sentences by English voices are the control: a word without its sentence is hard to recognise in any language. A word
counts where its letters stand one behind the other in what was recognised; a sound of the next word often sticks to it
("Tesla is"). Errors are edits in the Chinese characters of the rest of the line.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.languages import ENGLISH_VOICES, Floats, Speaker, reading_of, units
from voiceclone_cli.evaluation.text import edit_distance
from voiceclone_worker.engines.kokoro.engine import LineSpeaker
from voiceclone_worker.engines.kokoro.line_plan import FRAME_SECONDS
from voiceclone_worker.engines.kokoro.model import MAX_TOKENS
from voiceclone_worker.engines.kokoro.phonemes.reader import LinePart, to_tokens

SENTENCES = {
    "Outlook": "我每天用{}看日程。", "GitHub": "代码已经放到{}上了。", "Tesla": "他上个月买了一辆{}，很喜欢。",
    "Spotify": "我喜欢在{}上听歌。", "iPhone": "这款{}的电池很耐用。", "App": "请先下载我们的{}再注册。",
    "Bluetooth": "你的{}好像没有打开。", "meeting": "下午三点有个{}，别忘了。", "Zoom": "我们晚上用{}开会。",
    "deadline": "这个项目的{}是下周五。", "Python": "她正在学{}，学得很快。", "WeChat": "你可以在{}上找到我。",
    "Word": "请把文件存成{}格式。", "Excel": "这张{}表格做得很清楚。", "PPT": "今晚要把{}改完。",
    "MacBook": "我的{}用了五年还很好。", "ChatGPT": "他让{}帮忙写了一封信。", "Tony": "明天{}会来办公室。",
    "team": "我们的{}一共有八个人。", "Chrome": "请用{}打开这个网页。", "Google": "我在{}上查了很久。",
    "YouTube": "这段视频在{}上很受欢迎。", "Facebook": "他很少用{}发照片。", "Email": "我已经给你发了{}，请看一下。",
    "PDF": "合同的{}在附件里。", "Netflix": "周末我们在{}上看电影。", "Starbucks": "楼下新开了一家{}，人很多。",
    "Microsoft": "她在{}工作了十年。", "Instagram": "这张照片我发在{}上了。", "Windows": "电脑装的是{}系统。",
    "Linux": "服务器用的是{}系统。", "Kindle": "坐车的时候我用{}看书。",
}  # fmt: skip
ENGLISH = (
    "I think that {} is what we need for this.", "She talked about {} again this morning.",
    "We have used {} for a few years now.", "My brother asked me about {} last week.",
)  # fmt: skip
WAYS = ("english", "chinese", "control")
"""Who says a word: an English voice in the Chinese line, the Chinese voice, an English voice in the English sentence."""
RATE = 24_000
_EDGE_SECONDS = 0.04
"""Around a word: its first and its last sound reach into their neighbours."""
_SILENCE_SECONDS = 0.5


def cut(signal: Floats, start: float, end: float) -> Floats:
    """Return the sound between two times in seconds, between two silences."""
    first, last = round((start - _EDGE_SECONDS) * RATE), round((end + _EDGE_SECONDS) * RATE)
    word = signal[max(0, first) : last].copy()
    fade = np.linspace(0.0, 1.0, round(0.01 * RATE), dtype=np.float32)
    word[: len(fade)] *= fade
    word[-len(fade) :] *= fade[::-1]
    silence = np.zeros(round(_SILENCE_SECONDS * RATE), np.float32)
    return np.concatenate([silence, word, silence])


def said(speaker: LineSpeaker, part: LinePart) -> tuple[Floats, Floats]:
    """Return the sound of a line and the word cut out of it."""
    (span,) = part.english
    plan = speaker.plan(part, 1.0)
    signal = speaker.converted(plan, part)
    if plan.english:
        (frames,) = plan.english
    else:
        # The first token is the pause that frames the line.
        ends = np.cumsum(plan.token_frames())
        frames = int(ends[span[0]]), int(ends[span[1]])
    return signal, cut(signal, frames[0] * FRAME_SECONDS, frames[1] * FRAME_SECONDS)


def in_english(word: str, number: int) -> LinePart:
    """Return an English sentence with a word, and where that is in it."""
    before, after = (reading_of(part, "en").phonemes for part in ENGLISH[number // 4 % 4].split("{}"))
    phonemes = reading_of(f"用{word}。", "zh")
    ((first, last),) = phonemes.english
    start = len(before) + 1
    line = f"{before} {phonemes.phonemes[first:last]} {after}"
    return LinePart(to_tokens(line), ((start, start + last - first),))


def chinese_errors(text: str, recognised: str) -> tuple[int, int]:
    """Return the errors in the Chinese characters around the word, whatever was recognised for that, and how many these are."""
    before, after = (units(part, "zh") for part in text.split("{}"))
    found = units(recognised, "zh")
    places = range(len(found) + 1)
    first = [edit_distance(before, found[:place]) for place in places]
    second = [edit_distance(after, found[place:]) for place in places]
    fewest = min(first[start] + second[end] for start in places for end in places[start:])
    return fewest, len(before) + len(after)


def letters(text: str) -> str:
    return "".join(sign for sign in text.lower() if sign.isalnum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="each word as it was recognised")
    parser.add_argument("--sounds", type=Path, help="folder for the lines and the words cut out of them")
    options = parser.parse_args()

    import soundfile
    import soxr

    from voiceclone_cli.evaluation.metrics import Recogniser
    from voiceclone_cli.models import download

    folders = download.ensure_models(["kokoro", "whisper-base"])
    speaker, recogniser = Speaker(folders["kokoro"]), Recogniser(folders["whisper-base"], 1)

    def recognised(signal: Floats, language: str) -> str:
        return recogniser.words(soxr.resample(signal, RATE, 16_000).astype(np.float32), language) or ""

    rows: list[dict[str, Any]] = []
    for number, (word, text) in enumerate(SENTENCES.items()):
        chinese, english = list(ENGLISH_VOICES.items())[number % 4]
        (line,) = reading_of(text.format(word), "zh").parts(MAX_TOKENS)
        row: dict[str, Any] = {"word": word, "chinese_voice": chinese, "english_voice": english}
        for way, said_by, part in (
            ("english", speaker.line_speaker(chinese, english), line),
            ("chinese", speaker.line_speaker(chinese, ""), line),
            ("control", speaker.line_speaker(english, ""), in_english(word, number)),
        ):
            signal, alone = said(said_by, part)
            row[way] = {"seconds": round(len(signal) / RATE, 2), "cut": recognised(alone, "en")}
            if way != "control":
                in_line = recognised(signal, "zh")
                errors, characters = chinese_errors(text, in_line)
                row[way] |= {"line": in_line, "errors": errors, "characters": characters}
            if options.sounds:
                options.sounds.mkdir(parents=True, exist_ok=True)
                for name, sound in (("line", signal), ("cut", alone)):
                    soundfile.write(options.sounds / f"{word}.{way}.{name}.wav", sound, RATE)
        print(
            word,
            *(" / ".join((row[way].get("line", ""), row[way]["cut"])) for way in WAYS),
            sep=" | ",
            flush=True,
        )
        rows.append(row)
        if options.out:
            options.out.write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    summarise(rows)


def summarise(rows: Sequence[dict[str, Any]]) -> None:
    """Print how many words are recognised, in their line and cut out of it."""
    for way in WAYS:
        cells = []
        for part in ("line", "cut"):
            found = [letters(row["word"]) in letters(row[way].get(part, "")) for row in rows]
            cells.append(f"{part} {sum(found)}")
        errors, characters = (sum(row[way].get(key, 0) for row in rows) for key in ("errors", "characters"))
        print(f"{way}, of {len(rows)}: {', '.join(cells)}, errors {errors}/{characters}")


if __name__ == "__main__":
    main()

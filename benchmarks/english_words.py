"""English words inside Chinese lines, cut out at their times and recognised as English.

    python -m benchmarks.english_words [--out RESULTS.json] [--sounds FOLDER]

whisper-base, told that a line is Chinese, expects Chinese words in it and writes 同意 for Tony. So each word is also cut
out of the line, at the times that the network planned for its phonemes, and recognised alone in whisper's English mode.
The same words cut out of English sentences by English voices are the control: a word without its sentence is hard to
recognise in any language. A word counts where its letters stand one behind the other in what was recognised; a sound of
the next word often sticks to it ("Tesla is").
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.languages import Floats, Speaker, phonemes_of

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
VOICES = {
    "zh": ("zf_xiaoxiao", "zm_yunyang", "zf_xiaobei", "zm_yunjian"),
    "en": ("af_heart", "am_michael", "bf_emma", "bm_george"),
}
RATE = 24_000
_EDGE_SECONDS = 0.04
"""Around a word: its first and its last sound reach into their neighbours."""
_SILENCE_SECONDS = 0.5


def span_of_word(text: str, word: str, language: str) -> tuple[str, int, int]:
    """Return the phonemes of a line, and where those of the word begin and end in them."""
    before, after = text.split("{}")
    line = phonemes_of(text.format(word), language)
    start, end = len(phonemes_of(before, language).rstrip(" .,")), len(phonemes_of(after, language).lstrip())
    end = len(line) - end
    while line[start] == " ":
        start += 1
    while line[end - 1] == " ":
        end -= 1
    return line, start, end


def cut(signal: Floats, frames: np.ndarray[Any, Any], start: int, end: int) -> Floats:
    """Return the sound of the tokens from ``start`` to ``end``, between two silences."""
    times = np.concatenate([[0], np.cumsum(frames)]) * (len(signal) / frames.sum())
    edge = round(_EDGE_SECONDS * RATE)
    # The first token is the pause that frames the line.
    word = signal[max(0, int(times[start + 1]) - edge) : int(times[end + 1]) + edge].copy()
    fade = np.linspace(0.0, 1.0, round(0.01 * RATE), dtype=np.float32)
    word[: len(fade)] *= fade
    word[-len(fade) :] *= fade[::-1]
    silence = np.zeros(round(_SILENCE_SECONDS * RATE), np.float32)
    return np.concatenate([silence, word, silence])


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
    for number, (word, chinese) in enumerate(SENTENCES.items()):
        row: dict[str, Any] = {"word": word}
        for language, text in (("zh", chinese), ("en", ENGLISH[number // 4 % 4])):
            voice = VOICES[language][number % 4]
            line, start, end = span_of_word(text, word, language)
            signal, frames = speaker.planned(line, voice)
            piece = cut(signal, frames, start, end)
            row[language] = {"voice": voice, "phonemes": line[start:end], "cut": recognised(piece, "en")}
            if language == "zh":
                row[language]["line"] = recognised(signal, language)
            if options.sounds:
                options.sounds.mkdir(parents=True, exist_ok=True)
                for name, sound in (("line", signal), ("cut", piece)):
                    soundfile.write(options.sounds / f"{word}.{language}.{name}.wav", sound, RATE)
        print(word, row["zh"]["line"], row["zh"]["cut"], row["en"]["cut"], sep=" | ", flush=True)
        rows.append(row)
        if options.out:
            options.out.write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    summarise(rows)


def summarise(rows: Sequence[dict[str, Any]]) -> None:
    """Print how many words are recognised, in their line and cut out of it."""

    def recognised(language: str, part: str) -> list[bool]:
        return [letters(row["word"]) in letters(row[language][part]) for row in rows]

    in_line, alone, control = recognised("zh", "line"), recognised("zh", "cut"), recognised("en", "cut")
    either = sum(map(any, zip(in_line, alone, strict=True)))
    print(
        f"of {len(rows)}: in the Chinese line {sum(in_line)}, cut out of it {sum(alone)}, one of both {either}"
    )
    print(f"cut out of an English sentence {sum(control)}")


if __name__ == "__main__":
    main()

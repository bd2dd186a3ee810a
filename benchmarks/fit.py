"""How near the expected length of kokoro's lines comes to the spoken one, in each of its languages.

    python -m benchmarks.fit [LANGUAGE...] [--render N] [--figures]
    python -m benchmarks.fit --run RUN_DIR [--run RUN_DIR...]

The lines are those of ``benchmarks/sentences`` (see ``benchmarks/languages.py``): each sentence, its first words (1, 2 and
4; in Chinese and Japanese 2, 4 and 7 characters), and pairs of sentences. Two native voices in turn speak each, at speed
1 and without a slot. The spoken length is planned by the front of the network, which decides it; ``--render N`` also
renders the first N sentences of each set, and says how far their sound is from the plan.

``--figures`` prints what ``phonemes/registry.py`` should have (``Length``), fitted to the sets ``tuned`` alone, so that
twice as long an error counts less than twice. The table says what comes of the figures that are there: errors in percent of
the spoken length, on the sets ``tuned`` and on all ``held-out`` ones.

``--run`` does the same with the cloned voices of a finished run without a script: the sentences of the first held-out set,
expected of a typical voice, at the pace of the reference (as in a first run), and after half of them were measured.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.languages import FOLDER, SETS, VOICES, Floats, Speaker, sentences
from voiceclone_cli.rundir.manifest import Manifest
from voiceclone_worker.engines.kokoro.engine import LineSpeaker
from voiceclone_worker.engines.kokoro.model import MAX_TOKENS
from voiceclone_worker.engines.kokoro.phonemes import length, reader, registry
from voiceclone_worker.engines.kokoro.voices import FittedVoice, read_voice

EDGES_SECONDS, PAUSE_SECONDS = 0.04, 0.2
"""What the engine keeps of the silence around the sound of a line, and between the parts of a long one."""
LENGTHS = ((0.0, 1.0), (1.0, 3.0), (3.0, 99.0))
"""Spoken seconds, for the columns of the table."""


@dataclass(frozen=True)
class Line:
    """A line as a voice spoke it."""

    language: str
    name: str
    """Of its set."""
    text: str
    voice: str
    tokens: int
    seconds: float

    @property
    def error(self) -> float:
        """Return the expected length less the spoken one, as a share of the spoken one."""
        expected = length.typical_seconds(self.text, self.language)
        assert expected is not None
        return expected / self.seconds - 1


def texts(language: str, name: str) -> Iterator[str]:
    """Yield the lines of a set: long, usual and short ones."""
    whole = [sentence.written for sentence in sentences(language, name)]
    blank, counts = ("", (2, 4, 7)) if language in ("zh", "ja") else (" ", (1, 2, 4))
    yield from whole
    yield from map(blank.join, zip(whole[::2], whole[1::2], strict=True))
    for text in whole:
        words = text.split() if blank else list(text)
        for count in counts:
            if len(words) > count + 1:
                yield blank.join(words[:count]).rstrip(",.;:、，。-−") + ("." if blank else "。")


class Planner(Speaker):
    """Kokoro with its published voices, asked only how long a line is."""

    def seconds(self, reading: reader.Reading, voice: str) -> float:
        """Return the length of a line as the engine would write it."""
        plans = self.plans(reading, voice)
        return sum(plan.seconds() + EDGES_SECONDS for plan in plans) + PAUSE_SECONDS * (len(plans) - 1)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the published voices."""
        return self._table.names

    def clone_seconds(self, text: str, language: str, voice: FittedVoice) -> float:
        """Return the length of a line in a cloned voice, as the engine would write it."""
        mixture = voice.mixture(language)
        speaker = LineSpeaker(voice, mixture, self._model, self._table, 1.0)
        (part,) = reader.read(text, language).parts(MAX_TOKENS)
        return speaker.plan(part, mixture.speed).seconds() + EDGES_SECONDS

    def voices(self, language: str) -> list[str]:
        """Return the native voices of a language; of the many English ones every third."""
        first = registry.native_voices(language)
        names = [name for name in self._table.names if name[0] in first]
        return names[::3] if language == "en" else names


def measure(language: str, name: str, planner: Planner) -> list[Line]:
    """Plan the lines of a set in two voices each."""
    voices, found = planner.voices(language), []
    for number, text in enumerate(texts(language, name)):
        reading = reader.read(text, language)
        for voice in dict.fromkeys(voices[(number + step) % len(voices)] for step in (0, len(voices) // 2)):
            tokens = len(reader.to_tokens(reading.phonemes))
            seconds = planner.seconds(reading, voice)
            found.append(Line(language, name, text, voice, tokens, seconds))
    return found


def fitted(lines: Sequence[Line]) -> Floats:
    """Return seconds of a line beyond its tokens and of a token: least squares of relative errors, reweighted."""
    inputs = np.array([(1.0, line.tokens) for line in lines])
    spoken = np.array([line.seconds for line in lines])
    weights, found = 1 / spoken, np.zeros(2)
    for _ in range(30):
        found, *_ = np.linalg.lstsq(inputs * weights[:, None], spoken * weights, rcond=None)
        errors = np.abs(inputs @ found / spoken - 1)
        weights = 1 / spoken / np.sqrt(np.maximum(errors, 0.02))
    return found.astype(np.float32)


def table_row(language: str, name: str, lines: Sequence[Line]) -> str:
    """Return a row of the table in results/fit.md."""
    errors = np.array([line.error for line in lines])
    spoken = np.array([line.seconds for line in lines])
    sizes = 100 * np.abs(errors)
    cells = [
        f"{len(lines)}",
        f"{np.median(sizes):.1f}",
        f"{np.quantile(sizes, 0.9):.0f}",
        f"{100 * np.median(errors):+.1f}",
    ]
    for least, most in LENGTHS:
        chosen = sizes[(spoken >= least) & (spoken < most)]
        cells.append(f"{np.median(chosen):.1f} ({len(chosen)})" if len(chosen) else "-")
    return f"| {language} | {name} | {' | '.join(cells)} |"


def cloned(run_dir: Path, planner: Planner) -> Iterator[str]:
    """Yield a row of the table of cloned voices for each speaker and language of a run."""
    manifest = Manifest.load(run_dir)
    slowest, fastest = length.SPEEDS
    for speaker in manifest.speakers:
        pace = length.speaking_pace(
            speaker["reference_text"], manifest.language, speaker["reference_seconds"]
        )
        factor = 1.0 if pace is None else 1 / max(slowest, min(fastest, pace))
        voice = read_voice(run_dir / "speakers" / speaker["name"] / "voice.npz", planner.names)
        for code in voice.mixtures:
            language = next(name for name in VOICES if name.startswith(code))
            lines = [sentence.written for sentence in sentences(language, "held-out")]
            spoken = np.array([planner.clone_seconds(text, language, voice) for text in lines])
            typical = np.array([length.typical_seconds(text, language) or np.nan for text in lines])
            measured = spoken[::2].sum() / typical[::2].sum()
            errors = (
                typical / spoken - 1,
                factor * typical / spoken - 1,
                (measured * typical / spoken - 1)[1::2],
            )
            cells = [f"{100 * np.median(np.abs(error)):.1f}" for error in errors]
            yield f"| {language} | {speaker['name']} | {' | '.join(cells)} |"


def rendered(language: str, name: str, count: int, planner: Planner) -> list[float]:
    """Return how much longer the sound of the first sentences is than planned, in seconds."""
    found = []
    for number, sentence in enumerate(sentences(language, name)[:count]):
        reading = reader.read(sentence.written, language)
        voice = VOICES[language][number % len(VOICES[language])]
        found.append(len(planner.speak(reading, voice)) / 24_000 - planner.seconds(reading, voice))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("languages", nargs="*", metavar="LANGUAGE", help="default: all with sentences")
    parser.add_argument("--render", type=int, default=0, metavar="N", help="sentences of each set to render")
    parser.add_argument("--figures", action="store_true", help="print the figures for the registry")
    parser.add_argument(
        "--run", type=Path, action="append", metavar="RUN_DIR", help="measure its cloned voices"
    )
    options = parser.parse_args()

    from voiceclone_cli.models import download

    planner = Planner(download.ensure_models(["kokoro"])["kokoro"])
    if options.run:
        print("| language | speaker | typical voice, % | pace of the reference, % | measured, % |")
        print("|---|---|---:|---:|---:|")
        for run_dir in options.run:
            for row in cloned(run_dir, planner):
                print(row, flush=True)
        return
    print(
        "| language | set | lines | median, % | 90 % of lines, % | bias, % | under 1 s | 1 to 3 s | over 3 s |"
    )
    print("|---|---|---:|---:|---:|---:|---:|---:|---:|")
    differences: list[float] = []
    for language in options.languages or VOICES:
        lines: list[Line] = []
        for name in SETS:
            if (FOLDER / f"{language}.{name}.txt").is_file():
                lines += measure(language, name, planner)
                differences += rendered(language, name, options.render, planner)
        tuned = [line for line in lines if line.name == "tuned"]
        print(table_row(language, "tuned", tuned))
        print(table_row(language, "held-out", [line for line in lines if line.name != "tuned"]), flush=True)
        if options.figures:
            line, token = fitted(tuned)
            characters = sum(len(each.text) for each in tuned)
            tokens = sum(each.tokens for each in tuned)
            print(
                f"  {language}: Length({line:.3f}, {token:.3f}, {tokens / characters:.2f})", file=sys.stderr
            )
    if differences:
        print(
            f"  {len(differences)} sounds: {np.median(differences):+.3f} s from the plan in the median, "
            f"{max(differences, key=abs):+.3f} s at most",
            file=sys.stderr,
        )


if __name__ == "__main__":
    main()

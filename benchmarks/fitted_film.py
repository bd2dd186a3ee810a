"""A film of 40 lines of which 12 do not fit their slots: how late or hurried they are, before and after fitting.

    python -m benchmarks.fitted_film [--engine kokoro]

The sound is the sample recording, over and over. A program that honours budgets translates each line into one of a
hundred Spanish sentences, or into its first words. Prints a row for each of --fit off and --fit loose.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import soundfile

from voiceclone_cli.config import resolve
from voiceclone_cli.pipeline.request import RunRequest
from voiceclone_cli.pipeline.run import run
from voiceclone_cli.translation.job import TranslationOptions

LINES, TIGHT = 40, (2, 5, 8)
"""Lines of the film; of ten of them, those with a short slot."""
LONG_SECONDS, SHORT_SECONDS = 4.6, 1.7
HEARD = 0.1
"""Seconds past its slot from which a line counts as too long."""
HURRIED = 1.4
"""Kokoro hurries a line into its slot, so that it is not late but fast."""

WHO = ("Mi hermana", "El viejo profesor", "Nuestro vecino", "La joven doctora", "El capitán")
WHAT = (
    *("abrió la ventana de la cocina", "escribió una carta muy larga", "perdió las llaves de la casa"),
    *("compró pan y unas manzanas", "caminó despacio hasta el río", "olvidó el nombre de la calle"),
    *("esperó el último tren de la noche", "arregló la silla rota"),
)
PROGRAM = """\
import json, sys
sentences = json.loads(sys.argv[1])
for line in sys.stdin:
    rows = []
    for row in json.loads(line)["lines"]:
        text = sentences[int(row["id"]) % len(sentences)]
        while len(text) > row.get("budget", len(text)) and " " in text:
            text = text.rpartition(" ")[0].rstrip(",") + "."
        rows.append({"id": row["id"], "text": text})
    print(json.dumps({"lines": rows}), flush=True)
"""


def main() -> None:
    """Run the film twice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", default="kokoro")
    engine = parser.parse_args().engine
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        film, script, turns = _film(folder)
        program = folder / "program.py"
        program.write_text(PROGRAM, encoding="utf-8")
        for fit in ("off", "loose"):
            settings = resolve(
                {
                    "engine": engine,
                    "fit": fit,
                    "translator_command": f'"{sys.executable}" "{program}" {_sentences()}',
                }
            )
            options = TranslationOptions("es")
            result = run(
                RunRequest(film, settings, folder / fit, script, turns, translation=options, report=False)
            )
            over = [row["overflow_seconds"] or 0.0 for row in result.manifest.segments]
            expected = [row["expected_overflow_seconds"] or 0.0 for row in result.manifest.segments]
            hurry = [
                (row["expected_seconds"] or 0.0) / (row["placed_seconds"] or 1.0)
                for row in result.manifest.segments
            ]
            print(
                f"--fit {fit}: {sum(seconds > HEARD for seconds in expected)} of {len(over)} lines are expected to be more "
                f"than {HEARD} s too long for their slots at --max-stretch, {sum(seconds > HEARD for seconds in over)} are; "
                f"{sum(factor > HURRIED for factor in hurry)} are spoken more than {HURRIED} times as fast as usual, the "
                f"fastest {max(hurry):.2f} times",
                flush=True,
            )


def _sentences() -> str:
    import json
    import shlex

    return shlex.quote(json.dumps([f"{who} {what}." for what in WHAT for who in WHO]))


def _film(folder: Path) -> tuple[Path, Path, Path]:
    """Write sound, script and turns of the film."""
    from importlib.util import find_spec

    spec = find_spec("pyannote")
    assert spec is not None and spec.submodule_search_locations
    sample = Path(next(iter(spec.submodule_search_locations))) / "audio" / "sample" / "sample.wav"
    samples, rate = soundfile.read(sample)
    starts = [0.5]
    for n in range(LINES):
        starts.append(starts[-1] + (SHORT_SECONDS if n % 10 in TIGHT else LONG_SECONDS))
    frames = round((starts[-1] + 0.5) * rate)
    film, script, turns = folder / "film.wav", folder / "film.csv", folder / "film.rttm"
    soundfile.write(film, np.resize(samples, frames), rate)
    rows = [
        f"A,{start:.2f},{end - 0.1:.2f},This is what they say in line {n} of the film."
        for n, (start, end) in enumerate(pairwise(starts), 1)
    ]
    script.write_text("\n".join(["speaker,start,end,text", *rows]), encoding="utf-8")
    # The sample's first speaker, who is the reference.
    turns.write_text(
        f"SPEAKER film 1 10.64 3.44 <NA> <NA> A <NA> <NA>\nSPEAKER film 1 18.06 3.38 <NA> <NA> A <NA> <NA>\n"
        f"SPEAKER film 1 30.0 {starts[-1] - 30:.2f} <NA> <NA> A <NA> <NA>\n",
        encoding="utf-8",
    )
    return film, script, turns


if __name__ == "__main__":
    main()

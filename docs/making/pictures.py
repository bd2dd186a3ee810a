"""Draws the pictures of the README: a real run on a terminal, and its report, light and dark.

`make pictures` runs it. It needs the models and a Chromium (CHROMIUM names one), and takes some minutes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from terminal import draw, screen_after

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs" / "pictures"
COLUMNS = 104
WIDTH, HEIGHT = 1400, 950
"""Pixels of the report's picture."""
CHOSEN_LINE = 3
"""Whose original and clone are shown side by side."""


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    environ = {**os.environ, "TERM": "xterm-256color", "OMP_WAIT_POLICY": "PASSIVE"}
    environ["PATH"] = str(Path(sys.executable).parent) + os.pathsep + environ["PATH"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _copy_sample(folder / "input.wav")
        lines = screen_after(["voiceclone", "run", "input.wav"], folder, COLUMNS, environ)
        # Where it happened to run is nobody's business.
        shown = [line.replace(f"{folder}/", "") for line in lines]
        draw(
            ["$ voiceclone run input.wav", *shown], PICTURES / "run.svg", title="voiceclone", columns=COLUMNS
        )
        screen_after(["voiceclone", "check", "input.voiceclone"], folder, COLUMNS, environ)
        _photograph(folder / "input.voiceclone" / "report.html")


def _copy_sample(target: Path) -> None:
    sample = ROOT / "examples" / "sample.py"
    path = subprocess.run([sys.executable, sample], stdout=subprocess.PIPE, text=True, check=True).stdout
    shutil.copy(path.strip(), target)


def _photograph(report: Path) -> None:
    # The client of Chromium is that of the tests.
    sys.path.append(str(ROOT / "tests"))
    from browser import find_chromium, open_browser

    program = find_chromium()
    if program is None:
        raise SystemExit("there is no Chromium here: install one, or name it with CHROMIUM")
    with open_browser(program) as browser:
        page = browser.open_page(report.as_uri(), WIDTH, HEIGHT)
        for _ in range(CHOSEN_LINE):
            page.press("j")
        for scheme in ("light", "dark"):
            features = [{"name": "prefers-color-scheme", "value": scheme}]
            page.call("Emulation.setEmulatedMedia", features=features)
            # Colours change slowly, and a line that is chosen moves the page.
            page.evaluate("scrollTo(0, 0), new Promise((done) => setTimeout(done, 1000))")
            target = PICTURES / f"report-{scheme}.png"
            page.screenshot(target)
            _make_small(target)


def _make_small(target: Path) -> None:
    """256 colours: a page has few more."""
    with Image.open(target) as image:
        few = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    few.save(target, optimize=True)


if __name__ == "__main__":
    main()

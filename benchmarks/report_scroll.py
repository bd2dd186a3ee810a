"""How smoothly a report scrolls: frame times in headless Chromium, for a run of many lines.

python benchmarks/report_scroll.py [--lines 2000]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from browser import find_chromium, open_browser  # noqa: E402
from report_runs import line, write_run  # noqa: E402
from voiceclone_cli.report.page import write_report  # noqa: E402

_SCROLL = """new Promise((done) => {
    const times = [];
    let last = performance.now();
    const step = (now) => {
        times.push(now - last);
        last = now;
        window.scrollBy(0, PIXELS);
        if (times.length <= 200) return requestAnimationFrame(step);
        times.sort((a, b) => a - b);
        done({median: times[100], p95: times[190], longest: times[200],
              rows: document.querySelectorAll('.line').length});
    };
    requestAnimationFrame(step);
})"""


def main() -> None:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lines", type=int, default=2000)
    count = parser.parse_args().lines
    chromium = find_chromium()
    if chromium is None:
        sys.exit("no Chromium: install one, or name it with CHROMIUM=...")
    with tempfile.TemporaryDirectory() as folder:
        rows = [
            line(n, f"SPEAKER_0{n % 4}", "Did you bring the drawings?", seconds=1.2) for n in range(count)
        ]
        run_dir = write_run(Path(folder) / "run", rows)
        started = time.perf_counter()
        report = write_report(run_dir)
        print(f"written in {time.perf_counter() - started:.1f} s, {report.stat().st_size / 1e6:.1f} MB")
        with open_browser(chromium) as browser:
            page = browser.open_page(report.as_uri())
            for pixels in (60, 1500):
                page.evaluate("window.scrollTo(0, 0)")
                frames = page.evaluate(_SCROLL.replace("PIXELS", str(pixels)))
                print(f"{pixels} px a frame, in ms: {json.dumps(frames)}")


if __name__ == "__main__":
    main()

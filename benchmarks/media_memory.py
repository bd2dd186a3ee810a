"""Speed and peak memory of reading a long video and of writing its mix.

    python benchmarks/media_memory.py [--minutes 60]

A 48 kHz stereo mp4 is made by looping pyannote's sample recording; each step then runs in a process of its
own. "extra memory" is what the step needs beyond Python with its imports.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--step", choices=STEPS)
    parser.add_argument("--file", type=Path)
    arguments = parser.parse_args()
    if arguments.step:
        print(json.dumps(measure(STEPS[arguments.step], arguments.file)))
        return
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "long.mp4"
        make_video(video, loops=round(arguments.minutes * 2))
        print(f"{arguments.minutes:g} min, 48 kHz stereo mp4, {video.stat().st_size / 1e6:.0f} MB")
        for step in STEPS:
            command = [sys.executable, __file__, "--step", step, "--file", str(video)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            print(f"{step:10}", describe(json.loads(done.stdout), arguments.minutes * 60))


def describe(figures: dict[str, float], seconds: float) -> str:
    return (
        f"{figures['seconds']:.1f} s (CPU {figures['cpu']:.1f} s) = "
        f"{seconds / figures['seconds']:.0f} x real time, "
        f"peak {figures['peak_mb']:.0f} MB, extra {figures['extra_mb']:.0f} MB"
    )


def measure(step: Callable[[Path], Callable[[], object]], video: Path) -> dict[str, float]:
    run = step(video)
    before = peak_mb()
    start, cpu_start = time.perf_counter(), time.process_time()
    run()
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu_start
    return {"seconds": seconds, "cpu": cpu, "peak_mb": peak_mb(), "extra_mb": peak_mb() - before}


def peak_mb() -> float:
    """Linux counts in KiB, macOS in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def make_video(path: Path, loops: int) -> None:
    """The sample as an mp4, its packets repeated with later times."""
    import av
    import soundfile
    import soxr

    from media_samples import conversation, write_media

    samples, rate = soundfile.read(conversation(), dtype="float32")
    loop = write_media(
        path.with_name("loop.mp4"), soxr.resample(samples, rate, 48_000), channels=2, video=True
    )
    with av.open(str(path), "w") as target:
        streams: dict[int, av.stream.Stream] = {}
        for index in range(loops):
            with av.open(str(loop)) as source:
                for stream in source.streams:
                    if stream.index not in streams:
                        streams[stream.index] = target.add_stream_from_template(stream)
                for packet in source.demux():
                    if packet.dts is None:
                        continue
                    # 1408 AAC frames of 1024 samples, the first of them before time 0.
                    shift = round(index * Fraction(1408 * 1024, 48_000) / packet.time_base)
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    packet.stream = streams[packet.stream.index]
                    target.mux(packet)


def reading(video: Path) -> Callable[[], object]:
    import av  # noqa: F401  (imports are not what is measured)
    import soxr  # noqa: F401

    from voiceclone_cli.audio.reader import read_recording

    return lambda: read_recording(video)


def spans(video: Path) -> Callable[[], object]:
    import av  # noqa: F401

    from voiceclone_cli.audio.reader import read_spans

    return lambda: read_spans(video, [(10.0, 20.0), (1500.0, 1510.0)])


def rendering(video: Path) -> Callable[[], object]:
    """A segment every four seconds, two speakers in turn, each a little too long for its slot."""
    import soundfile

    from media_samples import syllables
    from voiceclone_cli.audio.reader import read_recording
    from voiceclone_cli.audio.writer import write_wav
    from voiceclone_cli.config import resolve
    from voiceclone_cli.mixing.render import render_mix
    from voiceclone_cli.rundir.manifest import RunPaths
    from voiceclone_cli.types import Segment, no_progress

    spoken = video.with_name("spoken.wav")
    write_wav(spoken, syllables(4.5, 24_000), 24_000)
    recording = read_recording(video)
    segments = [
        Segment(str(index), f"SPEAKER_{index % 2:02}", 4.0 * index, 4.0 * index + 3, "...", "en")
        for index in range(int(recording.seconds / 4))
    ]
    soundfile.info(spoken)
    return lambda: render_mix(
        segments,
        {segment.id: spoken for segment in segments},
        recording,
        paths=RunPaths(video.parent),
        turns=(),
        settings=resolve({}, {}),
        info={},
        progress=no_progress,
    )


STEPS = {"reading": reading, "spans": spans, "rendering": rendering}

if __name__ == "__main__":
    main()

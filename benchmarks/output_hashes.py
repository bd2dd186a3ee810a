"""SHA-256 of the audio that a fixed set of runs writes, to show that a change of the code leaves the bytes alone.

    python benchmarks/output_hashes.py before.json --checkpoint tiny         run every scenario, write the hashes
    python benchmarks/output_hashes.py --compare before.json --checkpoint tiny     run again and compare
    python benchmarks/output_hashes.py --compare before.json --only echo-batch     one scenario

Only the `voiceclone` command line is used, so the same script measures any layout of the code: set PYTHONPATH to
the ``src`` and ``worker_env`` of another checkout to run that one. Hashes of two processor types, or of two
versions of torch, are not comparable. The exit code is 1 if a file differs or a run fails.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]

Hashes = dict[str, str]
"""SHA-256 by path relative to the output directory of the scenario."""

AUDIO = ("segments/*.wav", "stems/*.wav", "mix.wav")
"""Files of a run directory that are hashed."""

SETTINGS = {"VOICECLONE_THREADS": "2", "OMP_WAIT_POLICY": "PASSIVE", "PYANNOTE_METRICS_ENABLED": "false"}
INHERITED = ("VOICECLONE_HOME", "FISH_SPEECH_PYTHON")
"""Settings of the caller that stay: they locate models and the interpreter. All others would change the runs."""

REMOVED_PREFIXES = ("VOICECLONE_", "FISH_", "HF_TOKEN", "OMP_", "MKL_", "OPENBLAS_")


class CommandFailed(Exception):
    """A command that ended with another exit code than 0."""


@dataclass(frozen=True, slots=True)
class Line:
    """A turn of the generated recordings and the text that is spoken there."""

    speaker: str
    start: float
    """Seconds."""
    end: float
    text: str


MONOLOGUES = (
    Line("ANNA", 0.5, 6.5, "The morning train to the coast was late again."),
    Line("BERT", 7.0, 13.0, "Then we should have taken the bus."),
    Line("ANNA", 13.5, 15.5, "Perhaps."),
)

OVERLAPPING = (
    Line("ANNA", 1.0, 6.5, "I have been waiting here since seven o'clock this morning."),
    Line("BERT", 5.0, 11.0, "Nobody told me that we would meet so early, and at the other door."),
    Line("CARL", 6.0, 8.0, "Excuse me, is this seat taken, or may I put my bag there for a moment?"),
    Line("ANNA", 10.5, 14.0, "Yes."),
    Line("CARL", 13.0, 18.5, "Thank you, that is very kind."),
    Line("BERT", 18.0, 20.0, "So, where were we?"),
)
"""Lines that overlap, one that is too long for its slot, one that is much shorter."""

INTERVIEW = (
    Line("DIANE", 10.6, 14.1, "This is a short line for the first of the two."),
    Line("SHEILA", 14.7, 17.6, "And a somewhat longer one is the answer of the second."),
    Line("DIANE", 18.1, 21.4, "The third line says nothing new."),
    Line("SHEILA", 21.8, 28.0, "Neither does the fourth, but it takes its time to say so, as people do."),
)
"""Turns of the sample recording, with other words."""


def main() -> None:
    arguments = _parse_arguments()
    old: dict[str, Hashes] = json.loads(arguments.compare.read_text("utf-8")) if arguments.compare else {}
    if missing := [name for name in arguments.only if arguments.compare and name not in old]:
        raise SystemExit(f"{arguments.compare} has no scenario {', '.join(missing)}")
    names = arguments.only or [name for name in SCENARIOS if not old or name in old]
    environ = _environment()
    print(f"voiceclone_cli: {_package_path(environ)}", flush=True)
    new: dict[str, Hashes] = {}
    clean = True
    with tempfile.TemporaryDirectory(prefix="output-hashes-") as temporary:
        work = arguments.work or Path(temporary)
        for name in names:
            scratch = work.absolute() / name
            scratch.mkdir(parents=True)
            runner = Runner(scratch, environ, arguments.checkpoint)
            started = time.monotonic()
            try:
                SCENARIOS[name](runner)
                new[name] = _hash_audio(runner.out)
            except CommandFailed as error:
                clean = False
                print(f"{name}: failed: {error}", flush=True)
                continue
            seconds = time.monotonic() - started
            verdict = f"{len(new[name])} files"
            if arguments.compare:
                differing = _differing(old[name], new[name])
                clean = clean and not differing
                verdict = f"differs: {', '.join(differing)}" if differing else f"same, {verdict}"
            print(f"{name}: {verdict} ({seconds:.0f} s)", flush=True)
    if arguments.output:
        arguments.output.write_text(json.dumps(new, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    raise SystemExit(0 if clean else 1)


def _parse_arguments() -> argparse.Namespace:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", nargs="?", type=Path, help="JSON file to write")
    parser.add_argument("--compare", type=Path, metavar="OLD.json", help="hashes to compare with")
    parser.add_argument(
        "--only", action="append", default=[], choices=SCENARIOS, help="run this scenario; repeatable"
    )
    parser.add_argument(
        "--checkpoint",
        type=Path,
        metavar="DIR",
        help="checkpoint of the fish run; made there if DIR does not exist",
    )
    parser.add_argument(
        "--work", type=Path, metavar="DIR", help="directory to keep the runs in, to listen to them"
    )
    arguments = parser.parse_args()
    if not arguments.output and not arguments.compare:
        parser.error("give an output file, --compare, or both")
    return arguments


def _environment() -> dict[str, str]:
    """The caller's environment with fixed settings; PYTHONPATH absolute, as runs start in another directory."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in INHERITED or not name.startswith(REMOVED_PREFIXES)
    }
    if path := kept.get("PYTHONPATH"):
        kept["PYTHONPATH"] = os.pathsep.join(
            str(Path(entry).absolute()) for entry in path.split(os.pathsep) if entry
        )
    return {**kept, **SETTINGS}


def _package_path(environ: Mapping[str, str]) -> str:
    code = "import voiceclone_cli; print(voiceclone_cli.__file__)"
    return subprocess.run(
        [sys.executable, "-c", code],
        env=environ,
        cwd=tempfile.gettempdir(),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.strip()


def _hash_audio(out: Path) -> Hashes:
    """Hash the audio of a run directory, or of all run directories of a batch."""
    hashes = {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for pattern in AUDIO
        for path in out.rglob(pattern)
    }
    for kind in ("segments", "stems", "mix.wav"):
        if not any(kind in Path(path).parts for path in hashes):
            raise CommandFailed(f"{out} has no {kind}")
    return hashes


def _differing(old: Hashes, new: Hashes) -> list[str]:
    """Return the paths with other bytes, and those that only one of both has."""
    notes = {path: "" for path in old.keys() & new.keys() if old[path] != new[path]}
    notes |= dict.fromkeys(old.keys() - new.keys(), " (missing)")
    notes |= dict.fromkeys(new.keys() - old.keys(), " (new)")
    return [path + notes[path] for path in sorted(notes)]


class Runner:
    """The command line, in the scratch directory of one scenario."""

    def __init__(self, scratch: Path, environ: Mapping[str, str], checkpoint: Path | None) -> None:
        self.scratch = scratch
        self.out = scratch / "out"
        self._environ = environ
        self._checkpoint = checkpoint.absolute() if checkpoint else scratch / "checkpoint"

    def run(self, *arguments: object) -> None:
        """Run ``voiceclone run ARGUMENTS`` into ``out``. Raises CommandFailed."""
        self._call(
            [sys.executable, "-m", "voiceclone_cli", "run", *map(str, arguments), "--out", str(self.out)]
        )

    def checkpoint(self) -> Path:
        """Return the checkpoint for fish, after making it where it does not exist."""
        if not self._checkpoint.exists():
            options = [str(self._checkpoint), "--size", "tiny"]
            if (ROOT / "benchmarks" / "random_checkpoint.py").exists():
                self._call([sys.executable, "-m", "benchmarks.random_checkpoint", *options], cwd=ROOT)
            else:
                self._call([sys.executable, "-m", "voiceclone_cli", "checkpoint", "make", *options])
        return self._checkpoint

    def _call(self, command: Sequence[str], cwd: Path | None = None) -> None:
        # Not the caller's directory: a .env there would be read.
        done = subprocess.run(
            command,
            cwd=cwd or self.scratch,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )
        if done.returncode != 0:
            raise CommandFailed(f"{' '.join(command)} (exit code {done.returncode})\n{done.stdout[-3000:]}")


# ------------------------------------------------------------------------------------- scenarios


def sample_kokoro(runner: Runner) -> None:
    runner.run(_sample(), "--engine", "kokoro", "--diarizer", "embedded")


def sample_kokoro_parallel(runner: Runner) -> None:
    runner.run(
        *(_sample(), "--engine", "kokoro", "--diarizer", "embedded"), *("--mode", "parallel", "--workers", 2)
    )


def fish(runner: Runner) -> None:
    turns, script = _write_lines(runner.scratch, "interview", INTERVIEW)
    runner.run(
        *(_sample(), "--turns", turns, "--script", script, "--language", "en"),
        *(
            "--engine",
            "fish",
            "--checkpoint",
            runner.checkpoint(),
            "--device",
            "cpu",
            "--precision",
            "float32",
        ),
    )


def overlaps_duck(runner: Runner) -> None:
    runner.run(
        *_generate(runner.scratch, "scene", OVERLAPPING, stereo=True),
        "--engine",
        "kokoro",
        "--background",
        "duck",
    )


def overlaps_keep(runner: Runner) -> None:
    runner.run(
        *_generate(runner.scratch, "scene", OVERLAPPING, stereo=True),
        "--engine",
        "echo",
        "--background",
        "keep",
    )


def echo_batch(runner: Runner) -> None:
    """Three recordings, one of them stereo and one with overlaps, from a list."""
    talks = (
        _generate(runner.scratch, "talk1", MONOLOGUES),
        _generate(runner.scratch, "talk2", MONOLOGUES[:2], stereo=True),
        _generate(runner.scratch, "talk3", OVERLAPPING),
    )
    rows = [
        {"input": str(wav), "turns": str(turns), "script": str(script)} for wav, _, turns, _, script in talks
    ]
    listed = runner.scratch / "talks.jsonl"
    listed.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    runner.run("--list", listed, "--engine", "echo")


SCENARIOS: dict[str, Callable[[Runner], None]] = {
    "echo-batch": echo_batch,
    "overlaps-keep": overlaps_keep,
    "overlaps-duck": overlaps_duck,
    "fish": fish,
    "sample-kokoro": sample_kokoro,
    "sample-kokoro-parallel": sample_kokoro_parallel,
}

# Recordings


def _sample() -> Path:
    """The recording that pyannote.audio ships: 30 s, two people."""
    script = ROOT / "examples" / "sample.py"
    found = subprocess.run([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, check=True)
    return Path(found.stdout.strip())


def _generate(
    folder: Path, name: str, lines: Sequence[Line], *, stereo: bool = False
) -> tuple[Path, str, Path, str, Path]:
    """Write a recording with its turns and script; return the arguments of `voiceclone run` for them."""
    wav = folder / f"{name}.wav"
    _write_recording(wav, lines, stereo=stereo)
    turns, script = _write_lines(folder, name, lines)
    return wav, "--turns", turns, "--script", script


def _write_lines(folder: Path, name: str, lines: Sequence[Line]) -> tuple[Path, Path]:
    """Write turns (RTTM) and script (JSON)."""
    turns, script = folder / f"{name}.rttm", folder / f"{name}.json"
    rows = [
        f"SPEAKER {name} 1 {line.start:.3f} {line.end - line.start:.3f} <NA> <NA> {line.speaker} <NA> <NA>\n"
        for line in lines
    ]
    turns.write_text("".join(rows), encoding="utf-8")
    segments = [
        {
            "id": f"{number:04d}",
            "speaker": line.speaker,
            "start": line.start,
            "end": line.end,
            "text": line.text,
        }
        for number, line in enumerate(lines, 1)
    ]
    script.write_text(json.dumps({"language": "en", "segments": segments}), encoding="utf-8")
    return turns, script


def _write_recording(path: Path, lines: Sequence[Line], *, stereo: bool) -> None:
    """Write voiced syllables in every turn; in stereo (48 kHz) over a chord, each speaker in another place."""
    rate = 48_000 if stereo else 16_000
    speakers = sorted({line.speaker for line in lines})
    frames = round((max(line.end for line in lines) + 1.5) * rate)
    channels = np.zeros((frames, 2 if stereo else 1))
    for line in lines:
        number = speakers.index(line.speaker)
        voice = _syllables(number, line.end - line.start, rate)
        start = round(line.start * rate)
        gains = [0.9 - 0.35 * number, 0.2 + 0.35 * number] if stereo else [1.0]
        channels[start : start + len(voice)] += voice[:, None] * gains
    seconds = np.arange(frames) / rate
    if stereo:
        chord = np.asarray(sum(np.sin(2 * np.pi * hertz * seconds) for hertz in (220.0, 277.2, 329.6)))
        channels += 0.02 * chord[:, None] * [1.0, 0.8]
    channels += 0.0003 * np.random.default_rng(0).standard_normal(channels.shape)
    with wave.open(str(path), "wb") as out:
        out.setnchannels(channels.shape[1])
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes((np.clip(channels, -1, 1) * 32767).astype("<i2").tobytes())


def _syllables(speaker: int, seconds: float, rate: int) -> NDArray[np.float64]:
    """Return four syllables a second at the pitch of a speaker, as samples of shape (frames,)."""
    time = np.arange(round(seconds * rate)) / rate
    pitch = 105.0 * 1.3**speaker * (1 + 0.05 * np.sin(2 * np.pi * 0.4 * time))
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    voiced = sum(np.sin(harmonic * phase) / harmonic for harmonic in range(1, 16))
    noise = np.random.default_rng(speaker).standard_normal(len(time))
    return np.asarray(
        0.15 * np.clip(np.sin(2 * np.pi * 2.0 * time) ** 2, 0.02, None) * (voiced + 0.05 * noise)
    )


if __name__ == "__main__":
    main()

"""Tools of the benchmark that run in the worker's interpreter: fish-speech's own program, and the roofline.

    python worker_tools.py --tool upstream encode JOB.json SPEAKER     a reference to codes      SPEAKER.npy
    python worker_tools.py --tool upstream generate JOB.json LINE      text to codes             LINE.npy
    python worker_tools.py --tool upstream decode JOB.json LINE        codes to sound            LINE.wav
    python worker_tools.py --tool upstream loop JOB.json               all of it, the models loaded once, line by line
    python worker_tools.py --tool roofline JOB.json                    how near generation comes to the memory's limit
    python worker_tools.py --tool memory JOB.json                      the memory that our engine takes on the CPU

The first three are the steps of upstream's documentation, a process each. Each prints one line of JSON, as the
worker's own tools do. The job of ``upstream``: ``{"checkpoint", "source", "device", "precision", "compile",
"sampling": {"temperature", "top_p", "repetition_penalty", "max_new_tokens"}, "window": "own" | "cut", "folder",
"references": {SPEAKER: {"audio", "text"}}, "lines": [{"id", "speaker", "text", "seed"}]}``. With the window ``own``,
attention runs over the checkpoint's ``max_seq_len``, as upstream does it; ``cut`` shortens that to what our own engine
would need for the longest line. The job of ``roofline``: ``{"checkpoint", "source", "device", "precision", "compile",
"batch_sizes": [1, ...]}``; that of ``memory``: what ``benchmarks.memory`` writes.

torch is imported inside functions, so that the seconds it takes count as loading.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __name__ == "__main__":
    # In place of this folder, whose modules belong to the other environment.
    sys.path[0] = str(Path(__file__).resolve().parents[2] / "worker_env")

from voiceclone_worker.engines.base import Emit, EngineError
from voiceclone_worker.engines.fish.checkpoint import codec_config, open_upstream
from voiceclone_worker.runtime import Channel, exit_with_parent
from voiceclone_worker.telemetry import refuse_telemetry
from voiceclone_worker.tools import run_tool

if TYPE_CHECKING:
    import torch

    from voiceclone_worker.engines.fish.decoder import Decoder
    from voiceclone_worker.engines.fish.generations import Prompts

STEPS = ("encode", "generate", "decode")


def run_upstream(arguments: Sequence[str], emit: Emit) -> dict[str, Any]:
    """Run upstream's program: one step, or the loop.

    Answers ``{"seconds": {"load", "encode", ...}, "precision", "device", "peak_mb"}``; of a line also its
    ``frames``, of the loop its ``lines`` and ``window``. Raises EngineError: ``upstream_usage``, and those of the
    fish engine's loaders.
    """
    match list(arguments):
        case [step, job, name] if step in STEPS:
            return _step(step, _open(job), name)
        case ["loop", job]:
            return _loop(_open(job), emit)
    raise EngineError("upstream_usage", "say: encode|generate|decode JOB.json NAME, or: loop JOB.json")


def _open(path: str) -> UpstreamModels:
    started = time.perf_counter()
    return UpstreamModels(_read_job(path, "upstream_usage"), started)


def _read_job(path: str, code: str) -> dict[str, Any]:
    """Return a job. Raises EngineError with this code."""
    try:
        job: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EngineError(code, f"the job {path} cannot be read: {error}") from error
    return job


def _step(step: str, upstream: UpstreamModels, name: str) -> dict[str, Any]:
    """Run one of upstream's three commands."""
    answer: dict[str, Any] = {}
    if step == "encode":
        upstream.load_codec()
        upstream.save(name, upstream.encode(name))
    elif step == "generate":
        line = upstream.line(name)
        upstream.load_model(None)
        codes = upstream.generate(line, upstream.saved(line["speaker"]))
        upstream.save(name, codes)
        answer["frames"] = codes.shape[-1]
    else:
        upstream.load_codec()
        answer["frames"] = upstream.decode(name, upstream.saved(name))
    return answer | upstream.account()


def _loop(upstream: UpstreamModels, emit: Emit) -> dict[str, Any]:
    """Run everything in this process, one line after the other; a line that fails is reported and skipped."""
    upstream.load_codec()
    voices = {speaker: upstream.encode(speaker) for speaker in upstream.job["references"]}
    window = upstream.cut_window(voices) if upstream.job["window"] == "cut" else None
    upstream.load_model(window)
    lines = []
    for line in upstream.job["lines"]:
        row: dict[str, Any] = {"id": line["id"], "frames": None, "error": None}
        try:
            row["frames"] = upstream.decode(line["id"], upstream.generate(line, voices[line["speaker"]]))
        except Exception as error:
            row["error"] = f"{type(error).__name__}: {error}"
        lines.append(row)
        emit("upstream_line", completed=len(lines), id=line["id"])
    return {"lines": lines, "window": upstream.window} | upstream.account()


# ------------------------------------------------------------------------- upstream's models


class UpstreamModels:
    """Upstream's models in this process, called as upstream calls them, and the seconds of each kind of work.

    Generating goes through ``init_model`` and ``generate_long``, as upstream's command does. Its ``dac/inference.py``
    cannot be imported in a lean environment (it wants a project root, torchaudio and a global resolver), so its few
    calls stand here: instantiate the configuration, load the weights over the initialised ones, ``encode``,
    ``decode``. ``generate_long`` refuses every window that leaves less than 2048 positions behind the prompt; for a
    cut window its ``generate`` is called on the same prompt.

    ``started`` is when loading began (perf_counter). Raises EngineError as ``open_upstream`` and
    ``check_files`` do.
    """

    def __init__(self, job: Mapping[str, Any], started: float) -> None:
        import numpy  # noqa: F401 (loading it is a part of loading)
        import soundfile  # noqa: F401 (and so is this)

        from voiceclone_worker.engines.fish.checkpoint import PRECISIONS, choose_device
        from voiceclone_worker.engines.fish.generations import S1, check_files

        self.job = job
        self.seconds: dict[str, float] = {}
        self._folder = Path(job["checkpoint"])
        open_upstream(job["source"])
        check_files(self._folder, S1)
        self._device, precision = choose_device(job["device"], job["precision"])
        # Upstream has no such int8; it computes in bfloat16 then, which is its default.
        self._dtype = PRECISIONS[precision]
        self._spend("load", started)

    def line(self, name: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = next(line for line in self.job["lines"] if line["id"] == name)
        return found

    def save(self, name: str, codes: torch.Tensor) -> None:
        import numpy as np

        np.save(self._path(f"{name}.npy"), codes.numpy())

    def saved(self, name: str) -> torch.Tensor:
        """Codes that another step has saved, int64 [codebooks, frames]."""
        import numpy as np
        import torch

        return torch.from_numpy(np.load(self._path(f"{name}.npy"))).long()

    @property
    def window(self) -> int:
        """Positions over which attention runs."""
        return int(self._model.config.max_seq_len)

    def account(self) -> dict[str, Any]:
        """Return what this process has needed so far."""
        from voiceclone_worker.engines.fish.checkpoint import PRECISIONS

        return {
            "seconds": {stage: round(seconds, 4) for stage, seconds in self.seconds.items()},
            "precision": next(name for name, dtype in PRECISIONS.items() if dtype is self._dtype),
            "device": str(self._device),
            "peak_mb": peak_mb(),
        }

    # --------------------------------------------------------------------------- loading

    def load_codec(self) -> None:
        """As ``dac/inference.py`` does: every weight is initialised, then replaced."""
        import torch
        from hydra.utils import instantiate

        with self._timed("load"):
            codec = instantiate(codec_config(self._folder))
            weights = torch.load(
                self._folder / "codec.pth", map_location=self._device, mmap=True, weights_only=True
            )
            weights = weights.get("state_dict", weights)
            if any("generator" in key for key in weights):
                weights = {k.replace("generator.", ""): v for k, v in weights.items() if "generator." in k}
            codec.load_state_dict(weights, strict=False, assign=True)
            self._codec = codec.eval().to(self._device)

    def load_model(self, window: int | None) -> None:
        """``init_model``; for a window of another length than its own, its calls with that length,
        which are never compiled."""
        from fish_speech.models.text2semantic import inference

        with self._timed("load"):
            if window is None:
                self._model, self._decode_one = inference.init_model(
                    str(self._folder), self._device, self._dtype, compile=self.job["compile"]
                )
                return
            model = inference.DualARTransformer.from_pretrained(
                str(self._folder), load_weights=True, max_length=window
            )
            self._model = model.to(device=self._device, dtype=self._dtype).eval()
            self._decode_one = inference.decode_one_token_ar

    def cut_window(self, voices: Mapping[str, torch.Tensor]) -> int:
        """Return the positions of the longest line in our own engine, in multiples of 64."""
        from fish_speech.tokenizer import FishTokenizer

        with self._timed("load"):
            tokenizer = FishTokenizer.from_pretrained(str(self._folder))
            config = json.loads((self._folder / "config.json").read_text(encoding="utf-8"))
            longest = 0
            for line in self.job["lines"]:
                prompt, *_ = self._prompt(tokenizer, config["num_codebooks"], line, voices[line["speaker"]])
                longest = max(longest, prompt.shape[1] + self._cap(line["text"]))
        return min(-(-longest // 64) * 64, int(config["max_seq_len"]))

    def _cap(self, text: str) -> int:
        """Return the frames at which our engine stops a line without a slot."""
        from voiceclone_worker.engines.fish.decoder import length_bounds

        frames_per_second = self._codec.sample_rate / self._codec.frame_length
        _, most = length_bounds(text, None, frames_per_second, self.job["sampling"]["max_new_tokens"])
        return most

    # --------------------------------------------------------------------------- working

    def encode(self, speaker: str) -> torch.Tensor:
        """Return the codes of a reference, int64 [codebooks, frames]. It must be mono at the codec's rate."""
        import soundfile
        import torch

        with self._timed("encode"), torch.no_grad():
            samples, rate = soundfile.read(self.job["references"][speaker]["audio"], dtype="float32")
            if rate != self._codec.sample_rate or samples.ndim != 1:
                raise EngineError(
                    "upstream_usage",
                    f"the reference of {speaker} must be mono at {self._codec.sample_rate} Hz, not {rate} Hz",
                )
            audio = torch.from_numpy(samples)[None, None].to(self._device)
            codes: torch.Tensor
            codes, _ = self._codec.encode(audio, torch.tensor([audio.shape[2]], device=self._device))
            return (codes[0] if codes.ndim == 3 else codes).cpu().long()

    def generate(self, line: Mapping[str, Any], voice: torch.Tensor) -> torch.Tensor:
        """Return the codes of a line, int64 [codebooks, frames].

        Raises what upstream raises, and ValueError when it generates nothing.
        """
        import torch

        with self._timed("generate"):
            torch.manual_seed(line["seed"])
            cut = self.job["window"] == "cut"
            codes = self._generate(line, voice) if cut else self._generate_long(line, voice)
        if codes.shape[-1] == 0:
            raise ValueError("upstream generated no frame")
        return codes.long()

    def _generate_long(self, line: Mapping[str, Any], voice: torch.Tensor) -> torch.Tensor:
        from fish_speech.models.text2semantic.inference import generate_long

        responses = generate_long(
            model=self._model,
            device=self._device,
            decode_one_token=self._decode_one,
            text=line["text"],
            prompt_text=[self.job["references"][line["speaker"]]["text"]],
            prompt_tokens=[voice],
            **self.job["sampling"],
        )
        codes: torch.Tensor = next(r.codes for r in responses if r.action == "sample")
        return codes.cpu()

    def _generate(self, line: Mapping[str, Any], voice: torch.Tensor) -> torch.Tensor:
        from fish_speech.models.text2semantic.inference import generate

        config = self._model.config
        prompt, masks, parts = self._prompt(self._model.tokenizer, config.num_codebooks, line, voice)
        tokens: torch.Tensor = generate(
            model=self._model,
            prompt=prompt.to(self._device),
            audio_masks=masks,
            audio_parts=parts,
            decode_one_token=self._decode_one,
            **self.job["sampling"],
        )
        # As in generate_long, without the row of tokens and without the last frame, which is the end.
        return tokens[1:, prompt.shape[1] : -1].cpu()

    def _prompt(
        self, tokenizer: Any, codebooks: int, line: Mapping[str, Any], voice: torch.Tensor
    ) -> tuple[torch.Tensor, Any, Any]:
        """Return the prompt of ``generate_long``: tokens [1 + codebooks, positions], and two values for other models."""
        from fish_speech.content_sequence import ContentSequence, TextPart, VQPart

        words = self.job["references"][line["speaker"]]["text"]
        sequence = ContentSequence(modality="interleave")
        sequence.append([TextPart(text=words), VQPart(codes=voice)], add_end=True, speaker=0)
        sequence.append([TextPart(text=line["text"])], add_end=False, speaker=0)
        prompt, masks, parts = sequence.encode_for_inference(tokenizer, num_codebooks=codebooks)
        return prompt, masks, parts

    def decode(self, name: str, codes: torch.Tensor) -> int:
        """Write the sound of ``codes`` and return their number of frames."""
        import soundfile
        import torch

        frames = int(codes.shape[-1])
        with self._timed("decode"), torch.no_grad():
            audio, _ = self._codec.decode(codes.to(self._device), torch.tensor([frames], device=self._device))
            samples = audio[0, 0].float().cpu().numpy()
        with self._timed("write"):
            soundfile.write(self._path(f"{name}.wav"), samples, self._codec.sample_rate)
        return frames

    def _path(self, name: str) -> Path:
        return Path(self.job["folder"]) / name

    @contextlib.contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self._spend(stage, started)

    def _spend(self, stage: str, started: float) -> None:
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - started


# ---------------------------------------------------------------------------------- roofline

LARGE = 1_000_000_000
"""Bytes that are summed: far more than any cache holds."""
SUMS = 7
FRAMES = 48
"""Steps that are timed, after ``WARM`` others; the text is long enough for more."""
WARM = 4
REFERENCE_FRAMES = 129
"""Six seconds."""
TEXT = (
    "Every morning the old station fills with people who remember another time, and the river carries "
    "their voices slowly towards the quiet winter garden."
)


def measure_roofline(arguments: Sequence[str], emit: Emit) -> dict[str, Any]:
    """Measure how near generation comes to what the memory allows.

    Generating reads every weight for every frame, so a single line cannot be decoded faster than the memory delivers
    them. Answers ``bandwidth_gb_per_second`` (10^9 bytes, read by summing a large tensor with the same threads),
    ``bytes_per_frame`` (the slow layers and the rows of the head that are considered once, the fast layers and their
    head for each further codebook), ``limit_frames_per_second`` for a single line, and ``measured``: for each batch
    size the frames a second after the prompt, of all lines together, and for a single line the ``share`` of the limit
    that was reached. Raises EngineError: ``roofline_usage``, and those of the fish engine's loaders.
    """
    if len(arguments) != 1:
        raise EngineError("roofline_usage", "say: roofline JOB.json")
    job = _read_job(arguments[0], "roofline_usage")
    import torch

    from voiceclone_worker.engines.fish.checkpoint import PRECISIONS, choose_device
    from voiceclone_worker.engines.fish.decoder import Decoder
    from voiceclone_worker.engines.fish.generations import generation_of
    from voiceclone_worker.engines.fish.sampling import SamplingSettings
    from voiceclone_worker.engines.fish.transformer import products_of

    device, precision = choose_device(job["device"], job["precision"])
    delivered, products = bandwidth(device), products_of(precision, device)
    folder = Path(job["checkpoint"])
    generation = generation_of(folder)
    weights, prompts = generation.load(folder, device, PRECISIONS[precision])
    sampling = generation.sampling(weights, SamplingSettings(), products)
    decoder = Decoder(weights, sampling, max(job["batch_sizes"]), products=products, compiled=job["compile"])
    limit = delivered / decoder.model.nbytes_per_frame
    measured: list[dict[str, Any]] = []
    for lines in job["batch_sizes"]:
        speed = lines / step_seconds(decoder, prompts, lines)
        share = round(speed / limit, 4) if lines == 1 else None
        measured.append({"batch_size": lines, "frames_per_second": round(speed, 3), "share": share})
    return {
        "precision": precision,
        "device": str(device),
        "threads": torch.get_num_threads(),
        "bandwidth_gb_per_second": round(delivered / 1e9, 3),
        "bytes_per_frame": decoder.model.nbytes_per_frame,
        "limit_frames_per_second": round(limit, 3),
        "measured": measured,
    }


def bandwidth(device: torch.device) -> float:
    """Return the bytes per second that a sum reads from the device's memory, the best of several."""
    import torch

    large = torch.ones(LARGE // 4, dtype=torch.float32, device=device)
    best = 0.0
    for _ in range(SUMS):
        started = time.perf_counter()
        large.sum().item()  # .item() waits for a device that works on its own
        best = max(best, large.nbytes / (time.perf_counter() - started))
    return best


def step_seconds(decoder: Decoder, prompts: Prompts, lines: int) -> float:
    """Return the median seconds of a step that decodes a frame for each of ``lines`` lines.

    Raises EngineError ``roofline_unmeasured`` when the checkpoint ends its lines before enough steps.
    """
    import torch

    from voiceclone_worker.engines.fish.decoder import DecoderLine
    from voiceclone_worker.engines.fish.layout import RESIDUAL_CODES

    sizes = (decoder.model.codebooks, REFERENCE_FRAMES)
    codes = torch.randint(RESIDUAL_CODES, sizes, generator=torch.Generator().manual_seed(0))
    voice, text = prompts.voice(TEXT, codes), prompts.line(TEXT)
    for seed in range(lines):
        decoder.submit(DecoderLine(voice, text, seed, WARM + FRAMES))
    seconds = []
    while decoder.busy:
        started = time.perf_counter()
        decoder.step()
        if decoder.active == lines:
            seconds.append(time.perf_counter() - started)
    if len(seconds) <= WARM:
        raise EngineError(
            "roofline_unmeasured", "this checkpoint ends its lines too early to measure its steps"
        )
    return statistics.median(seconds[WARM:])


# ------------------------------------------------------------------------------------ memory


SAMPLES_A_SECOND = 200


def measure_memory(arguments: Sequence[str], emit: Emit) -> dict[str, Any]:
    """Measure the memory of the fish engine on the CPU: it encodes a reference, and speaks a short line in every row.

    Counted is what the system cannot drop and read again (anonymous memory; Linux alone reports it), as the command
    computes it: with a voice's prompt and caches of ``prompt`` and ``positions`` positions. Answers ``peak_bytes`` and the
    lines that were spoken. Raises EngineError: ``memory_usage``, ``memory_unmeasured``, and those of the fish engine.
    """
    if len(arguments) != 1:
        raise EngineError("memory_usage", "say: memory JOB.json")
    job = _read_job(arguments[0], "memory_usage")
    peak, ended = _anonymous(), threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ended.wait(1 / SAMPLES_A_SECOND):
            peak = max(peak, _anonymous())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        spoken = _speak_rows(job)
    finally:
        ended.set()
        watcher.join()
    return {"peak_bytes": peak, "spoken": spoken}


def _speak_rows(job: Mapping[str, Any]) -> int:
    from voiceclone_worker.engines.base import Speech, SpeechRow
    from voiceclone_worker.engines.fish.engine import FishEngine
    from voiceclone_worker.protocol import EngineSpec, ReferenceSpec, SegmentSpec

    options = {"threads": job["threads"]}
    spec = EngineSpec("fish", job["checkpoint"], "cpu", job["precision"], job["rows"], options)
    engine = FishEngine(spec, lambda event, **fields: None)
    submit = engine._decoder.submit

    def submit_long(line: Any) -> None:
        # The line ends where it does; its cache is that of a long one.
        line.most_frames = job["positions"] - line.voice.shape[1] - line.text.shape[1]
        submit(line)

    engine._decoder.submit = submit_long  # type: ignore[method-assign]
    frames = job["reference_seconds"] * engine._codec.rate // engine._codec.frame_length
    # Each byte of the text is a token of a generated checkpoint; 40 others stand beside it.
    words = "a " * round((job["prompt"] - frames - 40) / 2)
    reference = ReferenceSpec("A", job["reference"], words, job["codes"])
    for _, error in engine.encode([reference]):
        if error is not None:
            raise EngineError(error.code, error.message)
    rows = [
        SpeechRow(0, SegmentSpec(str(number), "Good morning to you.", "en", number), reference)
        for number in range(job["rows"])
    ]
    return sum(isinstance(speech, Speech) for _, speech in engine.generate(rows))


def _anonymous() -> int:
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        return next(
            1024 * int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon:")
        )
    except (OSError, StopIteration, ValueError) as error:
        raise EngineError(
            "memory_unmeasured", "only Linux reports what of a process's memory is its own"
        ) from error


def peak_mb() -> int | None:
    """Return the largest resident set so far in MB (10^6 bytes); None where it is unknown."""
    try:
        # Not ru_maxrss: Linux passes it on through exec, so that a child starts with its parent's.
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        kib = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
        return round(int(kib) * 1024 / 1e6)
    except (OSError, StopIteration, ValueError):
        return _by_getrusage()


def _by_getrusage() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak * (1 if sys.platform == "darwin" else 1024) / 1e6)


if __name__ == "__main__":
    refuse_telemetry()
    exit_with_parent(serving=False)
    raise SystemExit(
        run_tool(
            sys.argv[2:],
            Channel(),
            {"upstream": run_upstream, "roofline": measure_roofline, "memory": measure_memory},
        )
    )

"""Our decoding against fish-speech's own class, token by token: CHECKPOINT.

Eight lines of mixed lengths by two speakers, three settings, the same seeds on both sides, float32. For S1 the other side
is upstream's ``generate_long``. S2 has no package that could be installed, but its weights fit the same class, which
speaks them once it norms what the fast transformer reads, and samples as S2 does. Prints for each setting and batch size
whether each line has the very codes, how long the lines are, and for S2 how many lines differ without either.
"""

import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import torch
from torch import Tensor

from voiceclone_worker.engines.fish.checkpoint import open_upstream

open_upstream()

import fish_speech.models.text2semantic.inference as upstream  # noqa: E402
from fish_speech.models.text2semantic.llama import (  # noqa: E402
    DualARModelArgs,
    DualARTransformer,
    precompute_freqs_cis,
)
from fish_speech.tokenizer import FISH_TIKTOKEN_PATTERN  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

from voiceclone_worker.engines.fish import frame_step  # noqa: E402
from voiceclone_worker.engines.fish.decoder import Decoder, DecoderLine  # noqa: E402
from voiceclone_worker.engines.fish.generations import S1, generation_of  # noqa: E402
from voiceclone_worker.engines.fish.generations.s1 import SPLIT_PATTERN  # noqa: E402
from voiceclone_worker.engines.fish.model import Windows  # noqa: E402
from voiceclone_worker.engines.fish.sampling import (  # noqa: E402
    PenaltySampling,
    RasSampling,
    SamplingSettings,
)
from voiceclone_worker.engines.fish.weights import Weights, rotations  # noqa: E402

TEXTS = (
    "Hello world.",
    "What is that?",
    "Ciao, come va",
    "好的。",
    "x" * 100 + "!",
    "Short one",
    "Yet another line; with 7 words",
    "End?",
)
SETTINGS = (
    SamplingSettings(0.7, 0.7, 1.2),
    SamplingSettings(1.0, 0.9, 1.1),
    SamplingSettings(0.2, 0.5, 1.5),
)
SLOTS = (1, 3, 8)
LONGEST, CUT_OFF = 300, 40
"""Frames within which every line ends by itself, and at which one is cut off."""
CPU = torch.device("cpu")
upstream.tqdm = lambda steps: steps


class UpstreamSampling(PenaltySampling):
    """Upstream's own way of sampling with S1.

    Every token of the vocabulary is a candidate, the noise comes in upstream's order from torch's exponential, the
    penalty's window is indexed the way upstream does it (its first frame across the codebooks, in place of the
    generated tokens); see also UpstreamWindows.
    """

    def _considered(self, weights: Weights) -> Tensor:
        return torch.arange(weights.shape.vocabulary)

    def noise(self, generators: Sequence[torch.Generator]) -> list[Tensor]:
        def draw(size: int) -> Tensor:
            rows = [torch.empty(size).exponential_(1, generator=generator) for generator in generators]
            return torch.stack(rows).to(self._ids.device)

        return [draw(len(self._ids))] + [draw(self.values) for _ in range(self._codebooks - 1)]

    def _penalised(self, window: Tensor) -> Tensor:
        return window[:, :, 0]


class UpstreamRas(RasSampling):
    """Upstream's random numbers with S2: for the whole vocabulary, twice, then for 4,096 values of each further code."""

    values = 4096

    def __init__(self, weights: Weights, settings: SamplingSettings) -> None:
        super().__init__(weights, settings)
        self._vocabulary = weights.shape.vocabulary

    def noise(self, generators: Sequence[torch.Generator]) -> list[Tensor]:
        def draw(size: int) -> Tensor:
            return torch.stack([torch.rand(size, generator=each) for each in generators]).log().neg()

        tokens = [draw(self._vocabulary)[:, self._ids] for _ in range(2)]
        return [torch.stack(tokens, 1)] + [draw(self.values) for _ in range(self._codebooks - 1)]


class PlainSampling(UpstreamRas):
    """S2's sampling without the second draw."""

    def token(self, logits: Tensor, window: Tensor, counts: Tensor, noise: Tensor) -> Tensor:
        return super().token(logits, torch.full_like(window, -1), counts, noise)


class UpstreamWindows(Windows):
    """Upstream's windows, which omit the first frame and have zeros where they are not full."""

    def push(self, frames: Tensor) -> None:
        n = len(frames)
        window, counts = self.frames[:n], self.counts[:n]
        held = (counts - 1).clamp(min=0)
        full = (held >= self.length)[:, None, None]
        rolled = torch.where(full, window.roll(-1, 2), window)
        index = held.clamp(max=self.length - 1)[:, None, None].expand(-1, frames.shape[1], 1)
        written = rolled.scatter(2, index, frames[:, :, None])
        window.copy_(torch.where((counts == 0)[:, None, None], window, written))
        counts += 1


def references():
    random = torch.Generator().manual_seed(5)
    return [
        torch.cat(
            [
                torch.randint(0, 1000, (1, frames), generator=random),
                torch.randint(0, 1024, (9, frames), generator=random),
            ]
        )
        for frames in (60, 95)
    ]


class S1Oracle:
    """Upstream's class and its ``generate_long``."""

    sampling = UpstreamSampling

    def __init__(self, folder):
        self._model = DualARTransformer.from_pretrained(
            str(folder), load_weights=True, max_length=3200
        ).eval()
        self._model.setup_caches(1, self._model.config.max_seq_len, torch.float32)

    def speak(self, text, codes, seed, most_frames, settings):
        torch.manual_seed(seed)
        answers = upstream.generate_long(
            model=self._model,
            device="cpu",
            decode_one_token=upstream.decode_one_token_ar,
            text=text,
            max_new_tokens=most_frames,
            top_p=settings.top_p,
            temperature=settings.temperature,
            repetition_penalty=settings.repetition_penalty,
            prompt_text="reference words",
            prompt_tokens=codes,
        )
        (spoken,) = (answer.codes.long() for answer in answers if answer.action == "sample")
        return spoken


class S2Oracle:
    """Upstream's class with S2's weights, a line at a time."""

    sampling = UpstreamRas

    def __init__(self, folder):
        config = json.loads((folder / "config.json").read_text())
        text, audio = config["text_config"], config["audio_decoder_config"]
        shared = ("dim", "n_head", "n_local_heads", "head_dim", "intermediate_size")
        shared += ("attention_qk_norm", "attention_qkv_bias", "attention_o_bias")
        arguments = DualARModelArgs(
            vocab_size=text["vocab_size"],
            n_layer=text["n_layer"],
            n_fast_layer=audio["n_layer"],
            rope_base=text["rope_base"],
            norm_eps=text["norm_eps"],
            max_seq_len=1024,
            tie_word_embeddings=True,
            codebook_size=audio["vocab_size"],
            num_codebooks=audio["num_codebooks"],
            scale_codebook_embeddings=True,
            **{key: text[key] for key in shared},
            **{f"fast_{key}": audio[key] for key in shared},
        )
        begin, last = config["semantic_start_token_id"], config["semantic_end_token_id"]
        tokens = SimpleNamespace(
            semantic_begin_id=begin,
            semantic_end_id=last,
            semantic_id_to_token_id=dict(enumerate(range(begin, last + 1))),
        )
        self._model = DualARTransformer(arguments, tokens).eval()
        found = self._model.load_state_dict(dict(self._weights(folder)), strict=False)
        assert not found.missing_keys and not found.unexpected_keys, found
        generation = generation_of(folder)
        self._weights, self._prompts = generation.load(folder, CPU, torch.float32)

    @staticmethod
    def _weights(folder):
        for path in folder.glob("*.safetensors"):
            for name, weight in load_file(path).items():
                short = name.removeprefix("text_model.model.").removeprefix("audio_decoder.")
                fast = name.startswith("audio_decoder.") and not short.startswith("codebook_embeddings.")
                yield f"fast_{short}" if fast else short, weight.float()

    @torch.inference_mode()
    def speak(self, text, codes, seed, most_frames, settings):
        model, rule = self._model, UpstreamRas(self._weights, settings)
        generator = torch.Generator().manual_seed(seed)
        model.setup_caches(1, 1024, torch.float32)
        prompt = torch.cat([self._prompts.voice("reference words", codes), self._prompts.line(text)], 1)
        frames, x, positions = [], prompt[None], torch.arange(prompt.shape[1])
        while len(frames) < most_frames:
            made = model.forward_generate(x, positions)
            noise = rule.noise([generator])
            window = torch.zeros(1, 11, rule.window, dtype=torch.long)
            for number, frame in enumerate(frames[1:][-rule.window :]):
                window[0, :, number] = frame
            token = rule.token(made.logits[0, -1:][:, rule._ids], window, None, noise[0])
            if int(token) == rule.end:
                break
            code = token - rule.begin
            frame = [token, code]
            model.forward_generate_fast(model.norm(made.hidden_states), torch.tensor([0]))
            for codebook in range(1, 10):
                hidden = model.fast_embeddings(code)
                logits = model.forward_generate_fast(hidden, torch.tensor([codebook]))[0, -1:]
                code = rule.code(logits, window, None, noise[codebook], codebook)
                frame.append(code)
            frames.append(torch.cat(frame))
            x, positions = frames[-1][None, :, None], torch.tensor([prompt.shape[1] + len(frames) - 1])
        return torch.stack(frames, 1)[1:]


def our_codes(decoder, voices, prompts, most_frames):
    for number, text in enumerate(TEXTS):
        decoder.submit(
            DecoderLine(voices[number % 2], prompts.line(text), 100 + number, most_frames, tag=number)
        )
    found = {}
    while decoder.busy:
        found |= {line.tag: line.codes for line in decoder.step()}
    return [found[number] for number in range(len(TEXTS))]


def agree(mine, theirs):
    # S1's upstream drops its last frame, the end token for a line that ended: of a line that was cut off it lacks a
    # real one.
    length = theirs.shape[1]
    return mine.shape[1] - length in (0, 1) and torch.equal(mine[:, :length], theirs)


def main(folder):
    codes, generation = references(), generation_of(folder)
    oracle = S1Oracle(folder) if generation is S1 else S2Oracle(folder)
    frame_step.Windows = UpstreamWindows

    def speak(settings, slots, most_frames, sampling, **changes):
        weights, prompts = generation.load(folder, CPU, torch.float32)
        weights.shape = dataclasses.replace(weights.shape, **changes)
        voices = [prompts.voice("reference words", reference) for reference in codes]
        return our_codes(Decoder(weights, sampling(weights, settings), slots), voices, prompts, most_frames)

    assert SPLIT_PATTERN == FISH_TIKTOKEN_PATTERN
    assert torch.equal(rotations(3000, 64, 1e6), precompute_freqs_cis(3000, 64, 1_000_000).float())
    answer = {"equal": [], "frames": [], "controls": {}}
    rounds = [(SETTINGS[0], (3,), CUT_OFF)] + [(settings, SLOTS, LONGEST) for settings in SETTINGS]
    for settings, sizes, most_frames in rounds:
        theirs = [
            oracle.speak(text, codes[number % 2], 100 + number, most_frames, settings)
            for number, text in enumerate(TEXTS)
        ]
        answer["frames"].append([line.shape[1] for line in theirs])
        for slots in sizes:
            mine = speak(settings, slots, most_frames, oracle.sampling)
            answer["equal"].append([agree(one, other) for one, other in zip(mine, theirs, strict=True)])
    if generation is not S1:
        for name, sampling, changes in (
            ("no second draw", PlainSampling, {}),
            ("not normed", UpstreamRas, {"fast_reads_normed": False}),
        ):
            mine = speak(SETTINGS[-1], 8, LONGEST, sampling, **changes)
            same = [agree(one, other) for one, other in zip(mine, theirs, strict=True)]
            answer["controls"][name] = same.count(False)
    return answer


print(json.dumps(main(Path(sys.argv[1]))))

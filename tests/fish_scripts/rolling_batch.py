"""The decoder's batch, watched step by step: CHECKPOINT.

Prints how many rows were spoken at each step while twelve lines, one of them long, went through three
slots; whether each line came out as it does alone, in float32 and bf16; what running out of memory
leaves; and how much memory the caches took.
"""

import json
import sys
from pathlib import Path

import torch

from voiceclone_worker.engines.fish.decoder import Decoder, DecoderLine
from voiceclone_worker.engines.fish.generations import generation_of
from voiceclone_worker.engines.fish.sampling import SamplingSettings
from voiceclone_worker.engines.fish.transformer import INT8, INT8_WEIGHTS, PLAIN

TEXTS = ["This one is by far the longest of all the lines that go through the three slots."] + [
    f"Line {number}{' or so' * (number % 3)}." for number in range(11)
]
FOLDER = Path(sys.argv[1])


def decoder_for(dtype, slots, products=PLAIN):
    generation = generation_of(FOLDER)
    weights, prompts = generation.load(FOLDER, torch.device("cpu"), dtype)
    sampling = generation.sampling(weights, SamplingSettings(), products)
    random = torch.Generator().manual_seed(1)
    voices = [
        prompts.voice("words", torch.randint(0, 1000, (10, frames), generator=random)) for frames in (40, 77)
    ]
    return Decoder(weights, sampling, slots, products=products), voices, prompts


def submit(decoder, voices, prompts):
    for number, text in enumerate(TEXTS):
        decoder.submit(DecoderLine(voices[number % 2], prompts.line(text), 100 + number, 400, tag=number))


def decode(decoder, voices, prompts):
    """Codes of every line, and how many rows there were at each step."""
    submit(decoder, voices, prompts)
    codes, rows = {}, []
    while decoder.busy:
        done = decoder.step()
        rows.append(decoder.active + len(done))
        codes |= {line.tag: line.codes for line in done}
    return codes, rows


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def out_of_memory(slots):
    """Memory for caches of two rows and no more: what a device without room says."""
    decoder, voices, prompts = decoder_for(torch.float32, slots)
    real = decoder.model.cache

    def cache(rows, positions):
        if rows > 2:
            raise torch.OutOfMemoryError("out of memory")
        return real(rows, positions)

    decoder.model.cache = cache
    submit(decoder, voices, prompts)
    codes, tried = {}, []
    while decoder.busy:
        try:
            codes |= {line.tag: line.codes for line in decoder.step()}
        except torch.OutOfMemoryError:
            tried.append(decoder.slots)
            decoder.halve()
    return codes, tried


def main():
    answer = {}
    rolling, rows = decode(*decoder_for(torch.float32, 3))
    answer["rows"] = rows
    answer["frames"] = [rolling[number].shape[1] for number in range(len(TEXTS))]
    for name, dtype, products in (
        ("float32", torch.float32, PLAIN),
        ("bf16", torch.bfloat16, PLAIN),
        ("int8", torch.bfloat16, INT8),
        ("int8 weights", torch.bfloat16, INT8_WEIGHTS),
    ):
        alone = decode(*decoder_for(dtype, 1, products))[0]
        three = rolling if name == "float32" else decode(*decoder_for(dtype, 3, products))[0]
        eight = decode(*decoder_for(dtype, 8, products))[0]
        answer[name] = [same(alone, three), same(alone, eight)]
    torch.set_num_threads(2)
    answer["two threads"] = same(rolling, decode(*decoder_for(torch.float32, 3))[0])
    codes, answer["tried"] = out_of_memory(8)
    answer["after halving"] = same(rolling, codes)
    return answer


print(json.dumps(main()))

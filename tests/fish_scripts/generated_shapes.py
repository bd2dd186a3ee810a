"""What each size of generated checkpoint comes to, without its weights: FOLDER (to write in)."""

import json
import math
import sys
from pathlib import Path

from voiceclone_worker.engines.fish.checkpoint import open_upstream

open_upstream()

from fish_speech.models.text2semantic.llama import DualARModelArgs  # noqa: E402
from fish_speech.tokenizer import FishTokenizer  # noqa: E402

from benchmarks.random_weights import (  # noqa: E402
    SIZES,
    codec_config,
    empty_codec,
    weight_shapes,
    write_tokenizer,
)
from voiceclone_worker.engines.fish.configuration import CheckpointConfig  # noqa: E402
from voiceclone_worker.engines.fish.generations.s2 import S2Tokenizer  # noqa: E402


def account(size):
    folder = Path(sys.argv[1]) / size.name
    folder.mkdir()
    write_tokenizer(folder, size)
    if size.s2:
        s2 = S2Tokenizer(folder)
        tokens = s2.speech_tokens(CheckpointConfig({}), size.vocabulary, size.semantic_tokens)
        vocabulary, codes = size.vocabulary, tokens.last - tokens.begin + 1
        encode = s2.text
    else:
        s1 = FishTokenizer.from_pretrained(str(folder))
        vocabulary = len(s1.all_special_tokens_with_ids) + s1.vocab_size
        codes, encode = s1.semantic_end_id - s1.semantic_begin_id + 1, s1.encode
    codec = empty_codec(codec_config(size.codec))
    return {
        "model": sum(math.prod(shape) for shape in weight_shapes(size.config).values()),
        "codec": sum(parameter.numel() for parameter in codec.parameters()),
        "frame": int(codec.frame_length),
        "vocabulary": vocabulary,
        "semantic": codes,
        "window": DualARModelArgs(**size.config).max_seq_len,
        "tokens": len(encode("<|speaker:0|>naïve")),
    }


print(json.dumps({name: account(size) for name, size in SIZES.items()}))

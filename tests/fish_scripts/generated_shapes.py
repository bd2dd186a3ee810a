"""What each size of generated checkpoint comes to, without its weights: FOLDER (to write in)."""

import json
import math
import sys
from pathlib import Path

from voiceclone_worker.engines.fish.checkpoint import open_upstream

open_upstream()

from fish_speech.models.text2semantic.llama import DualARModelArgs  # noqa: E402
from fish_speech.tokenizer import ALL_SPECIAL_TOKENS, FishTokenizer  # noqa: E402

from benchmarks.random_weights import (  # noqa: E402
    SIZES,
    codec_config,
    empty_codec,
    weight_shapes,
    write_vocabulary,
)


def account(size):
    folder = Path(sys.argv[1]) / size.name
    folder.mkdir()
    plain = [token for token in ALL_SPECIAL_TOKENS if not token.startswith("<|semantic:")]
    write_vocabulary(
        folder, [*plain, *(f"<|semantic:{n}|>" for n in range(size.semantic_tokens))], size.vocabulary
    )
    tokenizer = FishTokenizer.from_pretrained(str(folder))
    codec = empty_codec(codec_config(size.codec))
    return {
        "model": sum(math.prod(shape) for shape in weight_shapes(tokenizer, size.config).values()),
        "codec": sum(parameter.numel() for parameter in codec.parameters()),
        "frame": int(codec.frame_length),
        "vocabulary": len(tokenizer.all_special_tokens_with_ids) + tokenizer.vocab_size,
        "semantic": tokenizer.semantic_end_id - tokenizer.semantic_begin_id + 1,
        "window": DualARModelArgs(**size.config).max_seq_len,
        "tokens": len(tokenizer.encode("<|speaker:0|>naïve")),
        "end": tokenizer.get_token_id("<|im_end|>"),
    }


print(json.dumps({name: account(size) for name, size in SIZES.items()}))

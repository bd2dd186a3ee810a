"""A checkpoint's small files, read as what they are: words and numbers from a stranger.

What they describe is only built once it is known to be something that the weights beside it can fill,
and ``codec.yaml``, which names classes, may name those of the published codec alone.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_CLASSES = frozenset(
    {
        "fish_speech.models.dac.modded_dac.DAC",
        "fish_speech.models.dac.modded_dac.ModelArgs",
        "fish_speech.models.dac.modded_dac.WindowLimitedTransformer",
        "fish_speech.models.dac.rvq.DownsampleResidualVectorQuantize",
    }
)
_RATES = (8_000, 192_000)
"""Hz."""
_MOST_OF = (
    (("n_layer", "n_fast_layer", "num_codebooks", "n_codebooks", "transformer_layers"), 1_024),
    (("max_seq_len", "block_size"), 32_768),
    (("",), 2**31 - 1),
)
"""The largest number for names that end so: how often a layer is repeated, how long a context is (whose
mask is a square), anything else. What the weights do not fill cannot be measured by them."""
_DEEPEST = 20
"""Levels of codec.yaml, which has five. Reading takes the square of them."""
_MOST_BYTES = {
    "config.json": 1 << 20,
    "codec.yaml": 1 << 16,
    "special_tokens.json": 1 << 24,
    "tokenizer.tiktoken": 1 << 26,
}


def check_sizes(folder: Path, *names: str) -> None:
    """Raises ValueError where a file is far too large to be what its name says, OSError."""
    for name in names:
        size = (folder / name).stat().st_size
        if size > _MOST_BYTES[name]:
            raise ValueError(f"{name} has {size:,} bytes, more than {_MOST_BYTES[name]:,}")


def model_arguments(folder: Path, arguments: Any) -> dict[str, Any]:
    """The fields of ``config.json`` that the dataclass ``arguments`` has. Raises ValueError, OSError."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(config, dict) or config.get("model_type") != "dual_ar":
        kind = config.get("model_type") if isinstance(config, dict) else type(config).__name__
        raise ValueError(f"it is of model_type {kind!s:.40}, not 'dual_ar'")
    kinds = {field.name: str(field.type) for field in dataclasses.fields(arguments)}
    known = {key: value for key, value in config.items() if key in kinds}
    for key, value in known.items():
        takes = next(kind for kind in (str, float, int, bool) if kind.__name__ in kinds[key])
        # A whole number is a float as well, and true a whole number.
        if value is not None and not isinstance(value, (takes, int) if takes is float else takes):
            raise ValueError(f"{key} is {value!r:.40}, where a {takes.__name__} belongs")
        _check_value(key, value)
    return known


def published_codec() -> Path:
    """The codec's configuration that fish-speech ships."""
    import fish_speech

    return Path(next(iter(fish_speech.__path__))) / "configs" / "modded_dac_vq.yaml"


def codec_plan(folder: Path) -> dict[str, Any]:
    """The configuration of a checkpoint's codec, for hydra to build: its ``codec.yaml`` where there is one, else
    the published one. Raises ValueError, OSError."""
    import yaml

    own = folder / "codec.yaml"
    if own.is_file():
        check_sizes(folder, own.name)
    text = (own if own.is_file() else published_codec()).read_text(encoding="utf-8")
    try:
        depth = 0
        for event in yaml.parse(text, yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                raise ValueError("it repeats parts of itself by alias, which a few lines can make endless")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST:
                raise ValueError("it is nested too deeply")
        plan = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError("it is no YAML") from error
    if not isinstance(plan, dict) or "_target_" not in plan:
        raise ValueError("it describes no codec")
    for key, value in _leaves("", plan):
        _check_plan(key, value)
    return plan


def _check_plan(key: str, value: Any) -> None:
    if key == "_target_" and value not in _CLASSES:
        raise ValueError(f"it names {value!r:.60}, which is no part of the published codec")
    # hydra and omegaconf take these, and text with ${...}, as orders.
    if key.startswith("_") and key not in ("_target_", "_partial_"):
        raise ValueError(f"it holds {key!r:.40}, which is no part of a codec")
    if isinstance(value, str) and "${" in value:
        raise ValueError(f"{key:.40} refers to something outside of it")
    if key == "sample_rate" and not (isinstance(value, int) and _RATES[0] <= value <= _RATES[1]):
        raise ValueError(f"sample_rate is {value!r:.40}, not between {_RATES[0]} and {_RATES[1]}")
    _check_value(key, value)


def _check_value(key: str, value: Any) -> None:
    for name, leaf in _leaves(key, value):
        if not isinstance(leaf, (str, int, float, type(None))):
            raise ValueError(f"{name:.40} is no number")
        if isinstance(leaf, float) and not math.isfinite(leaf):
            raise ValueError(f"{name:.40} is {leaf}")
        if isinstance(leaf, int):
            # -1 stands for "as many as there are heads".
            most = next(most for ends, most in _MOST_OF if name.endswith(ends))
            if not -1 <= leaf <= most:
                raise ValueError(f"{name:.40} is {leaf:.4g}, not between 0 and {most}")


def _leaves(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Every value that holds no others, with the name nearest to it."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(str(name), inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(key, inner)
    else:
        yield key, value

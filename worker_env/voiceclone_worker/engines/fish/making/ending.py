"""Hand-set weights by which a generated checkpoint speaks as long as its text asks, and then ends.

All else in it is random, so without them it would babble up to its limit, or end anywhere. The engine
and the timeline want speech whose length follows the text. A few channels of the hidden state are kept
from the random weights, which neither read nor write them, and hold a small circuit:

- the embeddings say of every position: ``TEXT``, ``SPOKEN`` (a semantic token) or ``END`` (the end of
  the reference);
- a head of the first layer looks for ``END``. Positions behind it find it, and are marked ``CURRENT``:
  they belong to the line that is spoken now, not to the reference;
- a head of the second layer looks at all ``CURRENT`` positions alike and takes the mean of what they
  weigh: a token of text minus 1.3 frames, a spoken frame plus one. This ``BALANCE`` crosses zero when
  the text has been spoken, however long it was;
- the row of the end token in the output turns it into a logit that climbs over those of all semantic
  tokens there.

A head finds its positions by the sign of its keys: the norm that this model applies to queries and
keys leaves of a single component nothing but its sign. The component belongs to the slowest pair of
the rotary embedding, which hardly turns over the longest prompt.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

CONSTANT, TEXT, SPOKEN, END, CURRENT, BALANCE = range(6)
RESERVED = 6
"""The first so many channels of the hidden state are the circuit's. All but the balance hold 0 or the
square root of the width, beside random channels of variance 1."""

KEY_GAIN = 2.0
"""Weight of the norms of queries and keys: positions that a head looks for then weigh e^32 times the
others, or more."""

# What a position weighs in the balance, in tenths of a frame. Whole numbers below 128, so that bf16
# and int8 hold them exactly. Each line begins with the 13 bytes of `<|speaker:0|>`, which count as
# text; END takes 12.7 frames off again, so that a line has 4.2 frames beyond those of its text.
_TENTHS = {TEXT: -13.0, SPOKEN: 10.0, END: 127.0}

_BALANCE_SCALE = 0.04
"""Keeps the balance, which runs from -13 to 10, below the other channels."""

_LEVEL = 8.0
"""Logit of the end token at a balance of zero: about the highest of the semantic tokens."""

_SLOPE = 30.0
"""How steeply it climbs with the balance: lines end within a few frames in a hundred of their length."""

_NEVER = -60.0
"""Logit of every token that is neither speech nor the end."""

# Root mean square of a hidden state, which the norms divide by: the random channels give 1, what all
# random blocks add another 1 by the end, and each channel that is set 1.
_RMS_FIRST, _RMS_SECOND, _RMS_LAST = math.sqrt(3), math.sqrt(4), math.sqrt(5)


def wire_ending(weights: Mapping[str, Tensor], config: Mapping[str, Any], end: int, semantic: range) -> None:
    """Set the circuit into the random weights of a text model, in place.

    ``weights`` are named as in model.pth and ``config`` is config.json, of two layers or more; ``end``
    and ``semantic`` are the ids of the end token and of the semantic tokens.
    """
    _keep_apart(weights)
    _mark_positions(weights, config, end, semantic)
    _mark_current(weights, config)
    _weigh(weights, config)
    _speak_or_end(weights, config, end, semantic)


def _keep_apart(weights: Mapping[str, Tensor]) -> None:
    """Random weights neither read nor write the reserved channels."""
    for name, weight in weights.items():
        if name.endswith(("wqkv.weight", "w1.weight", "w3.weight", "output.weight")):
            weight[:, :RESERVED] = 0
        elif name.endswith(("wo.weight", "w2.weight")):
            weight[:RESERVED] = 0
        elif name.endswith("embeddings.weight"):
            weight[:, :RESERVED] = 0


def _mark_positions(
    weights: Mapping[str, Tensor], config: Mapping[str, Any], end: int, semantic: range
) -> None:
    unit = math.sqrt(config["dim"])
    embeddings = weights["embeddings.weight"]
    embeddings[:, CONSTANT] = unit
    embeddings[:, TEXT] = unit
    embeddings[end, TEXT], embeddings[end, END] = 0, unit
    spoken = embeddings[semantic.start : semantic.stop]
    # At these positions the model divides by this, once the codebooks' embeddings are added.
    scale = math.sqrt(config["num_codebooks"] + 1)
    spoken[:, CONSTANT], spoken[:, TEXT], spoken[:, SPOKEN] = scale * unit, 0, scale * unit


def _mark_current(weights: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
    """CURRENT becomes one unit behind the end of the reference. Before it, all keys have the wrong
    sign: the head then looks everywhere, and there is no END to be seen."""
    value = _set_head(weights, config, layer=0, wanted=END)
    value[END] = 1.0
    weights["layers.0.attention.wo.weight"][CURRENT, 0] = _RMS_FIRST


def _weigh(weights: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
    value = _set_head(weights, config, layer=1, wanted=CURRENT)
    for channel, tenths in _TENTHS.items():
        value[channel] = tenths
    weights["layers.1.attention.wo.weight"][BALANCE, 0] = _BALANCE_SCALE * _RMS_SECOND


def _set_head(weights: Mapping[str, Tensor], config: Mapping[str, Any], *, layer: int, wanted: int) -> Tensor:
    """Make the first head look at the positions where the channel ``wanted`` is set, all alike.

    Returns the row of weights [dim] of the head's first value, zero; its other values stay zero.
    """
    width, queries, keys = config["head_dim"], config["n_head"], config["n_local_heads"]
    wqkv = weights[f"layers.{layer}.attention.wqkv.weight"]
    query, key, value = (wqkv[first * width : (first + 1) * width] for first in (0, queries, queries + keys))
    for rows in (query, key, value):
        rows[:] = 0
    slowest = width - 2
    query[slowest, CONSTANT] = 1.0
    key[slowest, wanted], key[slowest, CONSTANT] = 2.0, -1.0
    return value[0]


def _speak_or_end(
    weights: Mapping[str, Tensor], config: Mapping[str, Any], end: int, semantic: range
) -> None:
    unit = math.sqrt(config["dim"])
    output = weights["output.weight"]
    output[:, CONSTANT] = _NEVER * _RMS_LAST / unit
    output[semantic.start : semantic.stop, CONSTANT] = 0
    output[end] = 0
    output[end, CONSTANT] = _LEVEL * _RMS_LAST / unit
    output[end, BALANCE] = _SLOPE * _RMS_LAST / (_BALANCE_SCALE * unit)

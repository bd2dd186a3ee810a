"""The hand-set weights with which the length of a generated line follows its text.

All other weights are random, so without these a line would run to its limit, or end anywhere; the engine and the
mixing need speech whose length follows the text. A few channels of the hidden state, which the random weights neither
read nor write, have a small circuit:

- the embeddings mark every position: ``TEXT``, ``FRAME`` (a semantic token) or ``END`` (the end of
  the reference);
- a head of the first layer looks for ``END``. Positions behind it find it, and are marked ``CURRENT``:
  they belong to the current line, not to the reference;
- a head of the second layer looks at all ``CURRENT`` positions alike and takes the mean of what they
  weigh: a token of text minus 1.3 frames, a generated frame plus one. This ``BALANCE`` crosses zero when
  there are enough frames for the text, whatever its length;
- the row of the end token in the output turns it into a logit that climbs over those of all semantic
  tokens there.

A head finds its positions by the sign of its keys: the norm that this model applies to queries and
keys leaves of a single component nothing but its sign. The component belongs to the slowest pair of
the rotary embedding, which hardly turns over the longest prompt.

Where the head is the matrix of the embeddings (S2), the end token's row has to serve as both. The gains of the last
norm then decide what the head sees of a channel: nothing of the marks, and of the constant and the balance so much that
the end's logit is the same. Two kinds of rows differ in the constant as they do in any case, by the root of how many
embeddings a frame is the sum of.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

CONSTANT, TEXT, FRAME, END, CURRENT, BALANCE = range(6)
RESERVED = 6
"""Channels of the hidden state, from the first, that belong to the circuit. All but the balance are 0 or the square
root of the width, beside random channels of variance 1."""

KEY_GAIN = 2.0
"""Weight of the norms of queries and keys: positions that a head looks for then weigh e^32 times the
others, or more."""

_TEXT_TENTHS, _FRAME_TENTHS = -13.0, 10.0
"""What a position of text, and a frame, weighs in the balance, in tenths of a frame. Whole numbers below 128, like those
of the ends, so that bf16 and int8 hold them exactly."""


@dataclass(frozen=True)
class EndingTokens:
    """The tokens that the circuit marks."""

    end: int
    """Ends the reference, and the line."""
    semantic: range
    ends: tuple[int, ...]
    """Tokens marked END, ``end`` among them."""
    unmarked: tuple[int, ...]
    """Tokens that are no text and no frame either."""
    end_tenths: float
    """What a position of ``ends`` weighs. It takes back what the other fixed tokens of a line's prompt weigh, but for
    4.2 frames."""


_BALANCE_SCALE = 0.04
"""Keeps the balance, which runs from -13 to 10, below the other channels."""

_LEVEL = 8.0
"""Logit of the end token at a balance of zero: about the highest of the semantic tokens."""

_SLOPE = 30.0
"""How steeply it climbs with the balance: lines end within a few frames in a hundred of their length."""

_NEVER = -60.0
"""Logit of every token that is neither speech nor the end."""

_OWN_SHARE = 4.6
_TIED_VARIETY = 3.2
"""Of tied embeddings: with these the logits of speech deviate by about 2, and that of what was said last is as much
higher."""

# Root mean square of a hidden state, which the norms divide by: the random channels give 1, what all
# random blocks add another 1 by the end, and each channel that is set 1.
_RMS_FIRST, _RMS_SECOND, _RMS_LAST = math.sqrt(3), math.sqrt(4), math.sqrt(5)


def wire_ending(weights: Mapping[str, Tensor], config: Mapping[str, Any], tokens: EndingTokens) -> None:
    """Set the circuit into the random weights of a text model, in place.

    ``weights`` are named as in model.pth and ``config`` is S1's config.json, of two layers or more.
    """
    _keep_apart(weights)
    _mark_positions(weights, config, tokens)
    _mark_current(weights, config)
    _weigh(weights, config, tokens)
    if config["tie_word_embeddings"]:
        _speak_or_end_tied(weights, config, tokens)
    else:
        _speak_or_end(weights, config, tokens)


def _keep_apart(weights: Mapping[str, Tensor]) -> None:
    """Keep random weights from reading and writing the reserved channels."""
    for name, weight in weights.items():
        if name.endswith(("wqkv.weight", "w1.weight", "w3.weight", "output.weight")):
            weight[:, :RESERVED] = 0
        elif name.endswith(("wo.weight", "w2.weight")):
            weight[:RESERVED] = 0
        elif name.endswith("embeddings.weight"):
            weight[:, :RESERVED] = 0
        elif name.endswith("norm.weight") and len(weight) == len(weights["norm.weight"]):
            weight[:RESERVED] = 1


def _mark_positions(weights: Mapping[str, Tensor], config: Mapping[str, Any], tokens: EndingTokens) -> None:
    unit = math.sqrt(config["dim"])
    embeddings = weights["embeddings.weight"]
    embeddings[:, CONSTANT] = unit
    embeddings[:, TEXT] = unit
    for token in (*tokens.ends, *tokens.unmarked):
        embeddings[token, TEXT] = 0
    for token in tokens.ends:
        embeddings[token, END] = unit
    frames = embeddings[tokens.semantic.start : tokens.semantic.stop]
    # At these positions the model divides by this, once the codebooks' embeddings are added.
    scale = math.sqrt(config["num_codebooks"] + 1)
    frames[:, CONSTANT], frames[:, TEXT], frames[:, FRAME] = scale * unit, 0, scale * unit


def _mark_current(weights: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
    """Make CURRENT one unit behind the end of the reference.

    Before it all keys have the wrong sign: the head then looks everywhere, and finds no END.
    """
    value = _set_head(weights, config, layer=0, channel=END)
    value[END] = 1.0
    weights["layers.0.attention.wo.weight"][CURRENT, 0] = _RMS_FIRST


def _weigh(weights: Mapping[str, Tensor], config: Mapping[str, Any], tokens: EndingTokens) -> None:
    value = _set_head(weights, config, layer=1, channel=CURRENT)
    value[TEXT], value[FRAME], value[END] = _TEXT_TENTHS, _FRAME_TENTHS, tokens.end_tenths
    weights["layers.1.attention.wo.weight"][BALANCE, 0] = _BALANCE_SCALE * _RMS_SECOND


def _set_head(
    weights: Mapping[str, Tensor], config: Mapping[str, Any], *, layer: int, channel: int
) -> Tensor:
    """Make the first head look at the positions where ``channel`` is set, all alike.

    Returns the row of weights [dim] of the head's first value, zero; its other values stay zero.
    """
    width, queries, keys = config["head_dim"], config["n_head"], config["n_local_heads"]
    wqkv = weights[f"layers.{layer}.attention.wqkv.weight"]
    query, key, value = (wqkv[first * width : (first + 1) * width] for first in (0, queries, queries + keys))
    for rows in (query, key, value):
        rows[:] = 0
    slowest = width - 2
    for part in ("q_norm", "k_norm"):
        weights[f"layers.{layer}.attention.{part}.weight"][slowest] = KEY_GAIN
    query[slowest, CONSTANT] = 1.0
    key[slowest, channel], key[slowest, CONSTANT] = 2.0, -1.0
    return value[0]


def _speak_or_end(weights: Mapping[str, Tensor], config: Mapping[str, Any], tokens: EndingTokens) -> None:
    unit, semantic = math.sqrt(config["dim"]), tokens.semantic
    output = weights["output.weight"]
    output[:, CONSTANT] = _NEVER * _RMS_LAST / unit
    output[semantic.start : semantic.stop, CONSTANT] = 0
    output[tokens.end] = 0
    output[tokens.end, CONSTANT] = _LEVEL * _RMS_LAST / unit
    output[tokens.end, BALANCE] = _SLOPE * _RMS_LAST / (_BALANCE_SCALE * unit)


def _speak_or_end_tied(
    weights: Mapping[str, Tensor], config: Mapping[str, Any], tokens: EndingTokens
) -> None:
    """Have the embeddings serve as the head, by the gains of the last norm.

    A frame's state has a part of its own token's embedding, and would say it again for ever: the random part of the
    frames' embeddings is made so small that this is no more than chance, whatever the width.
    """
    unit, semantic = math.sqrt(config["dim"]), tokens.semantic
    embeddings, gains = weights["embeddings.weight"], weights["norm.weight"]
    share = min(1.0, _OWN_SHARE / unit)
    embeddings[semantic.start : semantic.stop, RESERVED:] *= share
    gains[RESERVED:] *= _TIED_VARIETY / (share * unit)
    end = embeddings[tokens.end]
    end[:] = 0
    end[CONSTANT] = end[END] = end[BALANCE] = unit
    apart = 1 - math.sqrt(config["num_codebooks"] + 1)  # of the end's constant from that of a frame, in units
    gains[:RESERVED] = 0
    gains[CONSTANT] = _LEVEL * _RMS_LAST / (apart * unit * unit)
    gains[BALANCE] = _SLOPE * _RMS_LAST / (_BALANCE_SCALE * unit * unit)

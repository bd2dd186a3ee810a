"""Cutting a part out of an ONNX model: the nodes that compute some of its tensors from others.

ONNX is protobuf, and a part needs little of it: fields are copied as they are, byte for byte and in their order, so
the same model and the same tensors give the same bytes everywhere, and a part computes what the whole did. The onnx
package, which could do this too, would be one more dependency of every installation for one call.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# Numbers of fields: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
_MODEL_GRAPH, _MODEL_FUNCTIONS = 7, 25
_NODE, _INITIALIZER, _INPUT, _OUTPUT, _VALUE_INFO = 1, 5, 11, 12, 13
_GRAPH_SPARSE_INITIALIZER, _GRAPH_QUANTIZATION = 15, 14
_NODE_INPUT, _NODE_OUTPUT, _NODE_ATTRIBUTE = 1, 2, 5
_ATTRIBUTE_GRAPHS = (6, 11)
_INITIALIZER_NAME, _VALUE_INFO_NAME = 8, 1

_VARINT, _FIXED_64, _LENGTH_DELIMITED, _FIXED_32 = 0, 1, 2, 5


@dataclass(frozen=True, slots=True)
class _Field:
    """A protobuf field: its number, its content without the length, and its bytes as they are in the message."""

    number: int
    content: memoryview
    raw: memoryview


def cut_graph(model: bytes, inputs: Sequence[str], outputs: Sequence[str]) -> bytes:
    """Return the part of an ONNX ``model`` that computes the tensors ``outputs`` from ``inputs``.

    Raises ValueError where ``model`` is no ONNX model, the tensors do not bound a part of it, or it has what is not
    copied here: functions, graphs inside nodes, sparse initializers.
    """
    fields = list(_fields(memoryview(model)))
    graphs = [field for field in fields if field.number == _MODEL_GRAPH]
    if len(graphs) != 1 or any(field.number == _MODEL_FUNCTIONS for field in fields):
        raise ValueError("the file is not one ONNX graph without functions")
    graph = _cut(list(_fields(graphs[0].content)), inputs, outputs)
    return b"".join(_message(_MODEL_GRAPH, graph) if field is graphs[0] else field.raw for field in fields)


def _cut(fields: list[_Field], inputs: Sequence[str], outputs: Sequence[str]) -> bytes:
    nodes = [(field, _NodeTensors(field)) for field in fields if field.number == _NODE]
    needed = _needed_nodes([names for _, names in nodes], inputs, outputs)
    used = {tensor for index in needed for tensor in nodes[index][1].inputs}
    initializers = {
        _text(field, _INITIALIZER_NAME): field for field in fields if field.number == _INITIALIZER
    }
    known = {*inputs, *initializers, *(tensor for index in needed for tensor in nodes[index][1].outputs), ""}
    if lacking := (used | set(outputs)) - known:
        raise ValueError(f"{min(lacking)} does not follow from {', '.join(inputs)}")
    if any(field.number in (_GRAPH_SPARSE_INITIALIZER, _GRAPH_QUANTIZATION) for field in fields):
        raise ValueError("the graph has sparse initializers or quantization annotations")
    # The types and shapes of the tensors between two parts are those that the whole graph notes of them.
    described = {
        _text(field, _VALUE_INFO_NAME): bytes(field.content)
        for field in fields
        if field.number in (_INPUT, _OUTPUT, _VALUE_INFO)
    }
    if unknown := {*inputs, *outputs} - described.keys():
        raise ValueError(f"the graph does not say of which type {min(unknown)} is")
    dropped = (_NODE, _INITIALIZER, _INPUT, _OUTPUT, _VALUE_INFO)
    return b"".join(
        [
            *(nodes[index][0].raw for index in needed),
            *(field.raw for name, field in initializers.items() if name in used),
            *(_message(_INPUT, described[name]) for name in inputs),
            *(_message(_OUTPUT, described[name]) for name in outputs),
            *(field.raw for field in fields if field.number not in dropped),
        ]
    )


class _NodeTensors:
    """Names of the tensors that a node reads and writes."""

    def __init__(self, node: _Field) -> None:
        fields = list(_fields(node.content))
        self.inputs = [_decoded(field) for field in fields if field.number == _NODE_INPUT]
        self.outputs = [_decoded(field) for field in fields if field.number == _NODE_OUTPUT]
        attributes = [field for field in fields if field.number == _NODE_ATTRIBUTE]
        for attribute in attributes:
            if any(field.number in _ATTRIBUTE_GRAPHS for field in _fields(attribute.content)):
                raise ValueError("a node has a graph inside")


def _needed_nodes(nodes: Sequence[_NodeTensors], inputs: Sequence[str], outputs: Sequence[str]) -> list[int]:
    """Return the indices of the nodes between ``inputs`` and ``outputs``, in their order."""
    maker = {tensor: index for index, node in enumerate(nodes) for tensor in node.outputs if tensor}
    needed: set[int] = set()
    open_tensors = [tensor for tensor in outputs if tensor not in inputs]
    while open_tensors:
        index = maker.get(open_tensors.pop())
        if index is not None and index not in needed:
            needed.add(index)
            open_tensors += [tensor for tensor in nodes[index].inputs if tensor not in inputs]
    return sorted(needed)


def _fields(message: memoryview) -> Iterator[_Field]:
    position = 0
    while position < len(message):
        start = position
        key, position = _varint(message, position)
        content_start = position
        kind = key & 7
        if kind == _VARINT:
            _, position = _varint(message, position)
        elif kind == _LENGTH_DELIMITED:
            length, content_start = _varint(message, position)
            position = content_start + length
        elif kind in (_FIXED_32, _FIXED_64):
            position += 4 if kind == _FIXED_32 else 8
        else:
            raise ValueError("the file is not protobuf")
        if position > len(message):
            raise ValueError("the file is cut off")
        yield _Field(key >> 3, message[content_start:position], message[start:position])


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """Return a number and the position behind it."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(message):
            raise ValueError("the file is cut off")
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError("the file is not protobuf")


def _message(number: int, content: bytes) -> bytes:
    """Return a length-delimited field."""
    return _encoded_varint(number << 3 | _LENGTH_DELIMITED) + _encoded_varint(len(content)) + content


def _encoded_varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def _text(message: _Field, number: int) -> str:
    """Return a text field of a message; empty where it has none."""
    return next((_decoded(field) for field in _fields(message.content) if field.number == number), "")


def _decoded(field: _Field) -> str:
    return bytes(field.content).decode("utf-8")

"""A benchmark's document as cells of text: a column for each mode, a row for each figure."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

HEAD_WIDTH = 8
"""Names of modes are broken to about this width, so that six of them fit into 80 columns."""

_ROWS = (
    ("wall, s", "wall"),
    ("  load", "load"),
    ("  encode", "encode"),
    ("  generate", "generate"),
    ("  decode", "decode"),
    ("  write", "write"),
    ("frames", "frames"),
    ("frames/s", "frames_per_second"),
    ("  generating", "generated_per_second"),
    ("real-time factor", "real_time_factor"),
    ("peak memory, MB", "peak_mb"),
    ("× original", "ratio_over_original"),
    ("× upstream loop", "ratio_over_upstream_loop"),
)
"""What a row is called, and its key in the document."""


def heads(document: Mapping[str, Any]) -> list[list[str]]:
    """The lines of each column's head, the column of names first. A mode with a ``*`` was measured on
    a sample, one with a ``!`` has failed segments."""
    return [
        [""],
        *(textwrap.wrap(_head(mode), HEAD_WIDTH, break_long_words=False) for mode in document["modes"]),
    ]


def rows(document: Mapping[str, Any]) -> list[list[str]]:
    """Each row's name and its cells; "-" where nothing was measured. Rows that no mode has are left out."""
    made = []
    for name, key in _ROWS:
        figures = [mode[key] for mode in document["modes"]]
        if any(figure is not None for figure in figures):
            made.append([name, *map(_cell, figures)])
    return made


def remarks(document: Mapping[str, Any]) -> list[str]:
    """What must be known beside the figures, a sentence each."""
    modes = document["modes"]
    said = []
    for mode in modes:
        if mode["sampled"]:
            part = "{measured} of {of}".format(**mode["sampled"])
            said.append(f"* {mode['mode']}: {part} segments were spoken and the figures scaled to all")
    for mode in modes:
        said += _failures(mode)
    said += [f"{mode['mode']}: {note}" for mode in modes for note in mode["notes"]]
    said += document["notes"]
    if any(mode["workers"] > 1 for mode in modes):
        said.append("the stages of parallel modes are summed over their workers")
    if document["roofline"] is not None:
        said.append(roofline_line(document["roofline"]))
    load = document["machine"]["load_average"]
    if load["before"] is not None:
        said.append(
            f"load average of the {document['machine']['cores']} cores: {load['before']:.1f} before, "
            f"{load['after']:.1f} after"
        )
    return said


def roofline_line(roofline: Mapping[str, Any]) -> str:
    """What the memory allows and what of it was reached."""
    if "error" in roofline:
        return f"roofline: not measured ({roofline['error']['message']})"
    alone, *together = roofline["measured"]
    said = (
        f"roofline ({roofline['precision']}): {roofline['bytes_per_frame'] / 1e6:.0f} MB of weights a frame, "
        f"read at {roofline['bandwidth_gb_per_second']:.1f} GB/s, allow "
        f"{_digits(roofline['limit_frames_per_second'])} frames/s for a single line; "
        f"{_digits(alone['frames_per_second'])} were reached, {alone['share']:.0%}"
    )
    more = [
        f"; {row['batch_size']} lines together make {_digits(row['frames_per_second'])}" for row in together
    ]
    return said + "".join(more)


def plain(document: Mapping[str, Any]) -> str:
    """The table as aligned text, for files and pipes."""
    head = heads(document)
    height = max(map(len, head))
    # The last line of each head stands right above its column.
    lines = [[([""] * (height - len(cell)) + cell)[level] for cell in head] for level in range(height)]
    lines += rows(document)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip()
        for line in lines
    )


def _head(mode: Mapping[str, Any]) -> str:
    return f"{mode['mode']}{' *' if mode['sampled'] else ''}{' !' if mode['failed'] else ''}"


def _cell(figure: float | None) -> str:
    return "-" if figure is None else _digits(figure)


def _digits(value: float) -> str:
    """Three digits that count; all of those before the point."""
    if isinstance(value, int):
        return str(value)
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3}f}"


def _failures(mode: Mapping[str, Any]) -> Sequence[str]:
    """One sentence for each reason, with the segments it struck."""
    by_reason: dict[str, list[str]] = {}
    for row in mode["failed"]:
        by_reason.setdefault(f"{row['code']}: {row['message']}", []).append(row["id"])
    said = []
    for reason, ids in by_reason.items():
        spoken = mode["sampled"]["measured"] if mode["sampled"] else mode["segments"]
        struck = f"{len(ids)} of {spoken} segments failed, {ids[0]} for one"
        said.append(f"! {mode['mode']}: {'could not be measured' if ids == [''] else struck} ({reason})")
    return said

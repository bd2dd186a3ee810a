"""How many words were said wrong."""

from __future__ import annotations

from collections.abc import Sequence


def edit_distance(wanted: Sequence[str], heard: Sequence[str]) -> int:
    """The fewest items to replace, leave out or put in that make one sequence of the other (Levenshtein)."""
    # distances[n]: from what of ``wanted`` was looked at so far to the first n items of ``heard``.
    distances = list(range(len(heard) + 1))
    for row, item in enumerate(wanted, start=1):
        diagonal, distances[0] = distances[0], row
        for column, other in enumerate(heard, start=1):
            replaced = diagonal + (item != other)
            diagonal = distances[column]
            distances[column] = min(replaced, diagonal + 1, distances[column - 1] + 1)
    return distances[-1]

"""The lines of the benchmark of expected lengths, and how its figures are found."""

from __future__ import annotations

import pytest

from benchmarks.fit import Line, fitted, table_row, texts
from benchmarks.languages import VOICES


@pytest.mark.parametrize("language", VOICES)
def test_lines_are_long_usual_and_short_ones(language: str) -> None:
    lines = list(texts(language, "tuned"))
    assert len(lines) >= 16 + 8 + 30
    assert min(map(len, lines)) < 10 < 40 < max(map(len, lines))
    assert all(line[-1] in ".。!！?？" for line in lines[24:])


def line(tokens: int, seconds: float) -> Line:
    return Line("es", "tuned", "Hola a todos.", "ef_dora", tokens, seconds)


def test_the_figures_are_found_again_also_beside_a_voice_that_is_far_slower() -> None:
    lines = [line(tokens, 0.25 + 0.05 * tokens) for tokens in range(4, 90, 2)]
    slow = [line(tokens, 2 * (0.25 + 0.05 * tokens)) for tokens in (10, 30, 50)]
    assert fitted(lines + slow) == pytest.approx([0.25, 0.05], rel=0.02)


def test_a_row_has_the_errors_by_length() -> None:
    expected = line(1, 1.0).error + 1
    lines = [line(1, expected / 1.1), line(1, expected / 0.9)]
    cells = [cell.strip() for cell in table_row("es", "tuned", lines).strip("|").split("|")]
    assert cells[:3] == ["es", "tuned", "2"] and cells[3] == "10.0" and cells[-1] == "-"

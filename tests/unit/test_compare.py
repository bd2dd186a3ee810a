"""What a benchmark speaks, how its figures are scaled and compared, and how they are shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.compare import heads, plain, remarks, roofline_line
from benchmarks.upstream.figures import (
    Failed,
    Kind,
    Measure,
    Mode,
    check_modes,
    default_modes,
    document_row,
    read_modes,
    scaled,
)
from benchmarks.upstream.fixtures import LONGEST, SHORTEST, make_fixtures, speech_like, spread_sample
from voiceclone_cli.errors import InputError

# -------------------------------------------------------------------------------------- material


def test_the_same_seed_makes_the_same_lines_and_voices_and_another_others(tmp_path: Path) -> None:
    made = []
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        (tmp_path / name).mkdir()
        fixtures = make_fixtures(tmp_path / name, 3, 20, seed=seed, skewed=False)
        lines = [(s.id, s.speaker, s.text) for s in fixtures.script.segments]
        voices = [(r.text, r.audio.read_bytes()) for r in fixtures.references.values()]
        made.append((lines, voices))
    assert made[0] == made[1]
    assert made[0][0] != made[2][0]


def test_lines_are_sentences_of_twenty_to_a_hundred_and_twenty_characters(tmp_path: Path) -> None:
    fixtures = make_fixtures(tmp_path, 2, 300, seed=7, skewed=False)
    lengths = [len(segment.text) for segment in fixtures.script.segments]
    assert SHORTEST <= min(lengths) < 30 and 110 < max(lengths) <= LONGEST
    assert len({segment.text for segment in fixtures.script.segments}) == 300
    short = make_fixtures(tmp_path, 2, 100, seed=7, skewed=False, longest=40)
    assert max(len(segment.text) for segment in short.script.segments) <= 40
    assert all(s.text[0].isupper() and s.text.endswith(".") for s in fixtures.script.segments)


def test_a_skewed_cast_gives_four_fifths_of_the_same_lines_to_one_speaker(tmp_path: Path) -> None:
    even = make_fixtures(tmp_path, 6, 100, seed=0, skewed=False)
    skewed = make_fixtures(tmp_path, 6, 100, seed=0, skewed=True)
    assert [(s.id, s.text) for s in even.script.segments] == [(s.id, s.text) for s in skewed.script.segments]
    speakers = [segment.speaker for segment in skewed.script.segments]
    assert speakers.count("SPEAKER_00") == 80
    assert [speakers.count(f"SPEAKER_0{n}") for n in range(1, 6)] == [4] * 5
    assert sorted(skewed.references) == [f"SPEAKER_0{n}" for n in range(6)]


def test_only_speakers_with_a_line_need_a_reference(tmp_path: Path) -> None:
    assert len(make_fixtures(tmp_path, 6, 2, seed=0, skewed=False).references) == 2


def test_references_have_a_moving_pitch_of_their_own_and_pauses() -> None:
    voices = [speech_like(number) for number in range(6)]
    for sound in voices:
        assert sound.dtype == np.int16 and len(sound) == 6 * 44_100
        loudness = np.abs(sound.astype(float)).reshape(-1, 441).max(axis=1)
        assert loudness.max() > 15_000 and (loudness < 1000).any(), "speech has pauses"
    strongest = [int(np.abs(np.fft.rfft(sound.astype(float))).argmax()) for sound in voices]
    assert len(set(strongest)) == 6


def test_a_sample_stands_for_all_lengths(tmp_path: Path) -> None:
    script = make_fixtures(tmp_path, 2, 100, seed=3, skewed=False).script
    lengths = {segment.id: len(segment.text) for segment in script.segments}
    sample = spread_sample(script, 10)
    assert len(set(sample)) == 10
    assert np.mean([lengths[name] for name in sample]) == pytest.approx(
        np.mean([*lengths.values()]), rel=0.05
    )
    assert spread_sample(script, 500) == sorted(lengths), "no more than there are"


# ----------------------------------------------------------------------------------------- modes


def test_modes_are_read_from_a_list() -> None:
    options = read_modes(
        "original, upstream-loop,upstream-loop-same-window,sequential,parallel-12,sequential"
    )
    assert [mode.name for mode in options] == [
        "original",
        "upstream loop",
        "upstream loop, same window",
        "sequential",
        "parallel 12",
    ]
    assert read_modes(",".join(mode.flag for mode in options)) == options


@pytest.mark.parametrize("text", ["quick", "parallel", "parallel-0", "parallel-100", "", ","])
def test_an_unknown_mode_is_a_sentence_that_names_the_known_ones(text: str) -> None:
    with pytest.raises(InputError, match="parallel-N") as raised:
        read_modes(text)
    assert raised.value.code == "bad_mode"


def test_only_fish_has_modes_of_upstream() -> None:
    assert [mode.name for mode in default_modes("kokoro")] == ["sequential", "parallel 2", "parallel 3"]
    assert [mode.name for mode in default_modes("fish")][:2] == ["original", "upstream loop"]
    check_modes(default_modes("fish"), "fish")
    with pytest.raises(InputError, match="--engine fish"):
        check_modes(read_modes("sequential,upstream-loop"), "kokoro")


# --------------------------------------------------------------------------------------- figures


def measured(kind: Kind, wall: float | None, frames: float | None = None, **more: Any) -> Measure:
    return Measure(Mode(kind), 100, more.pop("count", 100), wall=wall, frames=frames, **more)


def test_figures_of_a_sample_are_scaled_by_the_number_of_segments() -> None:
    assert scaled(30.0, of=100, measured=10) == 300.0


def test_a_mode_is_compared_by_wall_time_and_by_frames_in_a_second() -> None:
    original = measured(Kind.ORIGINAL, 1000.0, 5000.0, count=10)
    loop = measured(Kind.LOOP, 200.0, 5000.0)
    ours = measured(Kind.SEQUENTIAL, 50.0, 4500.0, stages={"generate": 30.0}, speech_seconds=250.0)
    row = document_row(ours, [original, loop, ours])
    assert (row["ratio_over_original"], row["ratio_over_upstream_loop"]) == (20.0, 4.0)
    assert (row["frames_ratio_over_original"], row["frames_ratio_over_upstream_loop"]) == (18.0, 3.6)
    assert (row["frames_per_second"], row["generated_per_second"]) == (90.0, 150.0)
    assert row["real_time_factor"] == 0.2
    assert document_row(original, [original])["sampled"] == {"of": 100, "measured": 10}


def test_what_was_not_measured_is_none() -> None:
    row = document_row(measured(Kind.SEQUENTIAL, 50.0), [measured(Kind.SEQUENTIAL, 50.0)])
    unknown = ("load", "decode", "frames", "frames_per_second", "real_time_factor", "peak_mb", "sampled")
    assert all(row[key] is None for key in (*unknown, "ratio_over_original", "ratio_over_upstream_loop"))


# ----------------------------------------------------------------------------------------- table

ROOFLINE = {
    "precision": "bf16",
    "bytes_per_frame": 1.96e9,
    "bandwidth_gb_per_second": 22.0,
    "limit_frames_per_second": 11.2,
    "measured": [
        {"batch_size": 1, "frames_per_second": 6.7, "share": 0.6},
        {"batch_size": 5, "frames_per_second": 20.0, "share": None},
    ],
}


def document(*measures: Measure, roofline: dict[str, Any] | None = None) -> dict[str, Any]:
    load = {"before": 0.5, "after": 2.0}
    return {
        "modes": [document_row(measure, measures) for measure in measures],
        "machine": {"cores": 2, "load_average": load},
        "roofline": roofline,
        "notes": ["it speaks no words"],
    }


def full_document() -> dict[str, Any]:
    return document(
        measured(Kind.ORIGINAL, 12345.6, 6900.0, count=10, stages={"load": 1000.0}, peak_mb=4000),
        measured(Kind.LOOP, 2345.6, 6900.0),
        measured(Kind.CUT_LOOP, 1345.6, 6900.0),
        measured(Kind.SEQUENTIAL, 99.5, 6900.0),
        Measure(Mode(Kind.PARALLEL, 2), 100, 100, wall=80.0),
        Measure(Mode(Kind.PARALLEL, 3), 100, 100, wall=70.0),
    )


def test_six_modes_fit_into_eighty_columns_in_aligned_columns() -> None:
    lines = plain(full_document()).splitlines()
    assert max(map(len, lines)) <= 80
    wall = next(line for line in lines if line.startswith("wall"))
    assert wall.split() == ["wall,", "s", "12346", "2346", "1346", "99.5", "80.0", "70.0"]
    ends = {len(line) for line in lines[3:]}
    assert ends == {len(wall)}, "every row ends under the last head"


def test_rows_without_a_figure_are_left_out_and_gaps_are_dashes() -> None:
    names = [line[:17].strip() for line in plain(full_document()).splitlines()]
    assert "load" in names and "encode" not in names
    load = next(line for line in plain(full_document()).splitlines() if line.startswith("  load"))
    assert load.split() == ["load", "1000", "-", "-", "-", "-", "-"]


def test_a_sample_is_marked_and_said() -> None:
    shown = full_document()
    assert heads(shown)[1] == ["original", "*"]
    said = remarks(shown)
    assert any("original: 10 of 100 segments were synthesized" in line for line in said)
    assert "it speaks no words" in said


def test_failed_segments_are_marked_and_said_once_for_each_reason() -> None:
    failed = [Failed(f"{n:04d}", "worker_died", "it ended") for n in range(3)]
    shown = document(measured(Kind.SEQUENTIAL, 10.0, failed=[*failed, Failed("0009", "empty", "no frame")]))
    assert heads(shown)[1][-1] == "!"
    said = [line for line in remarks(shown) if line.startswith("!")]
    assert said == [
        "! sequential: 3 of 100 segments failed, 0000 for one (worker_died: it ended)",
        "! sequential: 1 of 100 segments failed, 0009 for one (empty: no frame)",
    ]


def test_a_mode_that_could_not_be_measured_keeps_its_column() -> None:
    shown = document(
        measured(Kind.LOOP, None, failed=[Failed("", "fish_missing", "no fish")]),
        measured(Kind.SEQUENTIAL, 10.0),
    )
    wall = next(line for line in plain(shown).splitlines() if line.startswith("wall"))
    assert wall.split() == ["wall,", "s", "-", "10.0"]
    assert "! upstream loop: could not be measured (fish_missing: no fish)" in remarks(shown)


def test_the_roofline_says_the_limit_and_what_was_reached() -> None:
    assert roofline_line(ROOFLINE) == (
        "roofline (bf16): 1960 MB of weights a frame, read at 22.0 GB/s, allow 11.2 frames/s for a single "
        "line; 6.70 were reached, 60%; 5 lines together make 20.0"
    )
    assert "no torch" in roofline_line({"error": {"code": "x", "message": "no torch"}})


def test_how_busy_the_machine_was_is_said() -> None:
    assert remarks(full_document())[-1] == "load average of the 2 cores: 0.5 before, 2.0 after"

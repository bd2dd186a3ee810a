"""Diarization error and number of speakers of the embedded model, before and after its own clustering.

Both are measured on the development set of ``benchmarks/conversations.py``; the settings were chosen on its first
half. "Before" is pyannote's agglomerative clustering (centroid, .68, four embeddings) of the same embeddings. The error
is without collar and counts overlaps. The first run downloads and renders the set (``--work``).
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.conversations import CONDITIONS, HALVES, RATE, Conversation, conversations, write

BEFORE = {"method": "centroid", "min_cluster_size": 4, "threshold": 0.68}
WAYS = ("before", "after")


@dataclass(frozen=True)
class Score:
    """What one clustering made of a recording; errors as shares of the speech."""

    error: float
    confusion: float
    speakers: int


def main() -> None:
    """Print a line for each recording, and the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--work", type=Path, default=Path("diarization-set"), help="folder for what is downloaded and made"
    )
    parser.add_argument("--half", choices=HALVES, help="only this half")
    arguments = parser.parse_args()

    started, seconds = time.perf_counter(), 0.0
    arguments.work.mkdir(parents=True, exist_ok=True)
    pipelines = _pipelines()
    rows: list[tuple[Conversation, Mapping[str, Score]]] = []
    for half in [arguments.half] if arguments.half else HALVES:
        for conversation in conversations(arguments.work, half):
            write(conversation, arguments.work / "recordings")
            scores = _scores(pipelines, conversation, arguments.work / "before")
            rows.append((conversation, scores))
            seconds += len(conversation.samples) / RATE
            print(_line(conversation, scores), flush=True)
    print(f"\n{len(rows)} recordings, {seconds / 60:.1f} min, in {time.perf_counter() - started:.0f} s\n")
    print(_tables(rows))


def _pipelines() -> dict[str, Any]:
    """Return the pipeline of each of WAYS."""
    from voiceclone_cli.analysis.diarization import prepare_import
    from voiceclone_cli.analysis.embedded import EMBEDDED_MODELS, embedding_model, load_embedded
    from voiceclone_cli.models.registry import ENTRIES
    from voiceclone_cli.models.store import default_home, model_folder

    prepare_import()
    from pyannote.audio import Model
    from pyannote.audio.core.plda import PLDA
    from pyannote.audio.pipelines import SpeakerDiarization

    home = default_home()
    folders = {entry.name: model_folder(entry, home) for entry in ENTRIES if entry.name in EMBEDDED_MODELS}
    before = SpeakerDiarization(
        segmentation=Model.from_pretrained(folders["segmentation-3.0"] / "pytorch_model.bin"),
        segmentation_step=0.1,
        embedding=embedding_model(folders["campplus"]),
        embedding_exclude_overlap=True,
        plda=PLDA.__new__(PLDA),
        clustering="AgglomerativeClustering",
        segmentation_batch_size=32,
        embedding_batch_size=32,
    )
    before.instantiate({"segmentation": {"min_duration_off": 0.0}, "clustering": BEFORE})
    return {"before": before, "after": load_embedded(folders)}


def _scores(pipelines: Mapping[str, Any], conversation: Conversation, folder: Path) -> dict[str, Score]:
    """Return the score of each of WAYS. That of "before" is kept in ``folder``: it takes long, and never changes."""
    kept = folder / f"{conversation.name}.json"
    scores = {}
    if kept.is_file():
        scores["before"] = Score(**json.loads(kept.read_text(encoding="utf-8")))
    else:
        scores["before"] = _score(conversation, _hypothesis(pipelines["before"], conversation))
        folder.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(asdict(scores["before"])), encoding="utf-8")
    scores["after"] = _score(conversation, _hypothesis(pipelines["after"], conversation))
    return scores


def _hypothesis(pipeline: Any, conversation: Conversation) -> Any:
    import torch

    file = {
        "waveform": torch.from_numpy(conversation.samples)[None],
        "sample_rate": RATE,
        "uri": conversation.name,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pipeline(file).speaker_diarization


def _score(conversation: Conversation, hypothesis: Any) -> Score:
    from pyannote.core import Annotation, Segment, Timeline
    from pyannote.metrics.diarization import DiarizationErrorRate

    reference = Annotation()
    for track, turn in enumerate(conversation.turns):
        reference[Segment(turn.start, turn.end), track] = turn.speaker
    whole = Timeline([Segment(0, len(conversation.samples) / RATE)])
    found = DiarizationErrorRate(collar=0.0, skip_overlap=False)(
        reference, hypothesis, uem=whole, detailed=True
    )
    return Score(
        error=found["diarization error rate"],
        confusion=found["confusion"] / found["total"],
        speakers=len(hypothesis.labels()),
    )


def _line(conversation: Conversation, scores: Mapping[str, Score]) -> str:
    results = "   ".join(
        f"{way} {score.error:.3f} (confusion {score.confusion:.3f}) {conversation.speakers} -> {score.speakers}"
        for way, score in scores.items()
    )
    return f"{conversation.name:20} {conversation.condition:12} {results}"


def _tables(rows: Sequence[tuple[Conversation, Mapping[str, Score]]]) -> str:
    lines = []
    for half in HALVES:
        of_half = [row for row in rows if row[0].half == half]
        if not of_half:
            continue
        lines += [
            f"| {half} | recordings | error before | after | confusion before | after | counts before | after |",
            "|---|---|---|---|---|---|---|---|",
        ]
        names = [condition.name for condition in CONDITIONS]
        for name in [*names, "meeting"]:
            lines.append(_row(name, [row for row in of_half if row[0].condition == name]))
        made = [row for row in of_half if row[0].condition != "meeting"]
        lines += [_row("all but meetings", made), ""]
    return "\n".join(lines)


def _row(name: str, rows: Sequence[tuple[Conversation, Mapping[str, Score]]]) -> str:
    def mean(field: str, way: str) -> str:
        return f"{np.mean([getattr(scores[way], field) for _, scores in rows]):.3f}"

    counts = [sum(scores[way].speakers == made.speakers for made, scores in rows) for way in WAYS]
    cells = [name, str(len(rows)), *(mean(field, way) for field in ("error", "confusion") for way in WAYS)]
    return "| " + " | ".join([*cells, *(f"{count} of {len(rows)}" for count in counts)]) + " |"


if __name__ == "__main__":
    main()

"""CHECKPOINT REFERENCES.json: encodes them all, and tells what became of each."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import torch

from voiceclone_worker.engines.fish.checkpoint import open_upstream
from voiceclone_worker.protocol import ReferenceSpec


def main(checkpoint: Path, references: Path) -> dict[str, object]:
    open_upstream()
    from voiceclone_worker.engines.fish.codec import Codec

    notes: list[str] = []
    codec = Codec(checkpoint, torch.device("cpu"), notes.append)
    specs = [ReferenceSpec(**row) for row in json.loads(references.read_text(encoding="utf-8"))]
    started = time.perf_counter()
    outcomes = {
        spec.speaker: None if error is None else {"code": error.code, "message": error.message}
        for spec, error in codec.encode(specs)
    }
    return {"outcomes": outcomes, "notes": notes, "seconds": time.perf_counter() - started}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), Path(sys.argv[2]))))

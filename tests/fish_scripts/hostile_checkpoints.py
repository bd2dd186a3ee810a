"""Load checkpoints one after the other: FOLDER ... Prints for each what stopped it, and the peak memory in MB."""

import json
import sys
from pathlib import Path

import torch

from voiceclone_worker.engines.base import EngineError
from voiceclone_worker.engines.fish.checkpoint import load_codec, open_upstream
from voiceclone_worker.engines.fish.generations import check_files, generation_of

open_upstream("")
CPU = torch.device("cpu")


def load(folder: Path) -> dict[str, object]:
    try:
        generation = generation_of(folder)
        check_files(folder, generation)
        generation.load(folder, CPU, torch.float32)
        load_codec(folder, CPU)
    except EngineError as error:
        return {"code": error.code, "message": error.message}
    return {"code": None}


answers = {Path(name).name: load(Path(name)) for name in sys.argv[1:]}
# Not getrusage's figure, which counts what the parent had when it made this process.
(peak,) = (
    int(line.split()[1]) / 1024
    for line in Path("/proc/self/status").read_text().splitlines()
    if line.startswith("VmHWM:")
)
print(json.dumps({"answers": answers, "peak_mb": peak}))

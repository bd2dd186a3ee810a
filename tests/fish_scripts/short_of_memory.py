"""The engine on a device with little memory: CHECKPOINT FOLDER (to write in).

There is no such device here, so the caches say what one would say: none for more than two lines at a
time, and none for the longest. Prints the notes, and what became of each line against how it is spoken
where there is room.
"""

import json
import math
import sys
import wave
from array import array
from pathlib import Path

import torch

from voiceclone_worker.engines.base import Speech, SpeechRow
from voiceclone_worker.engines.fish import load
from voiceclone_worker.engines.fish.model import Model
from voiceclone_worker.protocol import EngineSpec, ReferenceSpec, SegmentSpec

TEXTS = ["A line that may take its time. " * 8, *(f"Short line {number}." for number in range(11))]


def write_reference(path):
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16000)
        samples = (round(8000 * math.sin(i / 20) * math.sin(i / 3000)) for i in range(48000))
        sound.writeframes(array("h", samples).tobytes())


def main(checkpoint, folder):
    notes = []

    def emit(event, **fields):
        if event == "note":
            notes.append(fields["message"])

    engine = load(EngineSpec("fish", checkpoint=str(checkpoint), batch_size=8), emit)
    reference = ReferenceSpec("A", str(folder / "a.wav"), "words of the reference", str(folder / "a.npy"))
    write_reference(reference.audio)
    assert [error for _, error in engine.encode([reference])] == [None]
    rows = [SpeechRow(0, SegmentSpec(f"{n:04d}", text, "en", n), reference) for n, text in enumerate(TEXTS)]
    free = {row.segment.id: speech for row, speech in engine.generate(rows)}

    real = Model.cache

    def cache(model, slots, positions):
        if slots > 2 or positions > 500:
            raise torch.OutOfMemoryError("out of memory")
        return real(model, slots, positions)

    Model.cache = cache
    tight = {row.segment.id: speech for row, speech in engine.generate(rows)}
    return {
        "notes": notes,
        "free": all(isinstance(speech, Speech) for speech in free.values()),
        "same": [name for name in free if free[name] == tight[name]],
        "failed": {name: said.code for name, said in tight.items() if not isinstance(said, Speech)},
    }


print(json.dumps(main(Path(sys.argv[1]), Path(sys.argv[2]))))

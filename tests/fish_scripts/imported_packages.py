"""What the engine imports from other packages while it loads, encodes and speaks: CHECKPOINT FOLDER (to write in).

Prints the distributions by the name that is imported, of those that are installed.
"""

import importlib.metadata
import json
import math
import sys
import wave
from array import array
from pathlib import Path

from voiceclone_worker.engines.base import Speech, SpeechRow
from voiceclone_worker.engines.fish import load
from voiceclone_worker.protocol import EngineSpec, ReferenceSpec, SegmentSpec


def write_reference(path):
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16000)
        samples = (round(8000 * math.sin(i / 20) * math.sin(i / 3000)) for i in range(48000))
        sound.writeframes(array("h", samples).tobytes())


def main(checkpoint, folder):
    engine = load(EngineSpec("fish", checkpoint=str(checkpoint)), lambda event, **fields: None)
    reference = ReferenceSpec("A", str(folder / "a.wav"), "words of the reference", str(folder / "a.npy"))
    write_reference(reference.audio)
    assert [error for _, error in engine.encode([reference])] == [None]
    row = SpeechRow(0, SegmentSpec("0001", "A short line.", "en", 1), reference)
    assert all(isinstance(speech, Speech) for _, speech in engine.generate([row]))
    owners = importlib.metadata.packages_distributions()
    names = {name.partition(".")[0] for name in sys.modules}
    return {"packages": {name: owners[name] for name in sorted(names & owners.keys())}}


print(json.dumps(main(Path(sys.argv[1]), Path(sys.argv[2]))))

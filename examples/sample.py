"""Print the path of the sample recording that pyannote.audio ships: 30 s, two people on the telephone."""

from importlib.util import find_spec
from pathlib import Path

spec = find_spec("pyannote")
if spec is None or not spec.submodule_search_locations:
    raise SystemExit("pyannote.audio is not installed here; run `make env` first")
print(Path(next(iter(spec.submodule_search_locations))) / "audio" / "sample" / "sample.wav")

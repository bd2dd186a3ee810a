"""Open a checkout of fish-speech: FOLDER. Prints the error's code and message, or which folder was taken."""

import json
import sys

from voiceclone_worker.engines.base import EngineError
from voiceclone_worker.engines.fish.checkpoint import open_upstream

try:
    open_upstream(sys.argv[1])
except EngineError as error:
    print(json.dumps({"code": error.code, "message": error.message}))
else:
    import fish_speech
    import transformers

    try:
        transformers.AutoTokenizer()
        refused = False
    except ImportError:
        refused = True
    print(json.dumps({"taken": next(iter(fish_speech.__path__)), "stand-in refuses": refused}))

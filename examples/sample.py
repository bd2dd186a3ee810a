"""Print the path of the sample recording of `voiceclone demo`: 30 s, two people on the telephone."""

try:
    from voiceclone_cli.pipeline.demo import sample_recording
except ModuleNotFoundError:
    raise SystemExit(
        "voiceclone is not installed in this Python: run `python -m pip install .` first"
    ) from None

print(sample_recording())

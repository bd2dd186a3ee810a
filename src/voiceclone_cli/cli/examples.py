"""The examples under each verb's help: what it does for you, and the line to type."""

from __future__ import annotations

EXAMPLES: dict[str, tuple[tuple[str, str], ...]] = {
    "run": (
        ("Every line again, in its own speaker's voice", "voiceclone run talk.mp4"),
        ("A translation", "voiceclone run talk.mp4 --script talk.es.srt --out spanish.voiceclone"),
        ("A folder of episodes", "voiceclone run season --out dubbed"),
        ("For a program: one JSON document", "voiceclone run talk.mp4 --quiet --json"),
    ),
    "plan": (
        ("Who speaks, how long it will take, what it needs", "voiceclone plan talk.mp4"),
        ("With another engine", "voiceclone plan talk.mp4 --engine fish"),
    ),
    "report": (
        ("Write report.html again, and look at it", "voiceclone report talk.voiceclone --open"),
        ("Only write it", "voiceclone report talk.voiceclone"),
    ),
    "check": (
        ("Voices, words and sound of every line", "voiceclone check talk.voiceclone"),
        (
            "A gate: exit code 3 where a line is worse",
            "voiceclone check talk.voiceclone --min-similarity 0.3 --max-wer 0.25 --junit check.xml",
        ),
        ("Against an earlier run", "voiceclone check talk.voiceclone --baseline good.voiceclone"),
    ),
    "redo": (
        ("Two lines, another take", "voiceclone redo talk.voiceclone 0007 0012 --seed 3"),
        ("One line, other words", 'voiceclone redo talk.voiceclone 0007 --text "We meet at noon."'),
        ("Call a speaker by name", "voiceclone redo talk.voiceclone --rename SPEAKER_01=Anna"),
    ),
    "verify": (
        ("Is this speech synthetic?", "voiceclone verify talk.voiceclone/mix.wav"),
        ("For a program", "voiceclone verify episode.mp3 --json"),
    ),
    "diarize": (
        ("Who speaks when, as RTTM", "voiceclone diarize talk.mp4 --speakers 2"),
        ("As JSON", "voiceclone diarize talk.mp4 --min-speakers 2 --max-speakers 4 --json"),
    ),
    "script": (
        ("The words, to edit or to translate", "voiceclone script talk.mp4 --output talk.srt"),
        ("Of a recording in Spanish", "voiceclone script charla.wav --language es --output charla.json"),
    ),
    "synth": (
        ("Speak a task file", "voiceclone synth task.json"),
        (
            "Two workers, one JSON document",
            "voiceclone synth a.json b.json --mode parallel --workers 2 --json",
        ),
    ),
    "doctor": (
        ("Is everything there?", "voiceclone doctor"),
        ("For cloning, with these weights", "voiceclone doctor --engine fish --checkpoint openaudio-s1-mini"),
    ),
    "models list": (
        ("Every model: state, size, licence", "voiceclone models list"),
        ("For a program", "voiceclone models list --json"),
    ),
    "models pull": (
        ("All that a run needs", "voiceclone models pull"),
        ("One model", "voiceclone models pull kokoro"),
    ),
    "models verify": (
        ("Hash every file again", "voiceclone models verify"),
        ("One model", "voiceclone models verify whisper-base"),
    ),
    "config show": (
        ("Every setting, and where it came from", "voiceclone config show"),
        ("For a program", "voiceclone config show --json"),
    ),
    "env create": (
        ("Build it", "voiceclone env create"),
        ("Options for pip stand after --", "voiceclone env create -- --index-url https://example.org/simple"),
    ),
    "env show": (
        ("Where it is, and whether it is complete", "voiceclone env show"),
        ("For a program", "voiceclone env show --json"),
    ),
    "env remove": (
        ("This one", "voiceclone env remove"),
        ("Those of older locks too", "voiceclone env remove --all"),
    ),
}
"""By verb: what it is for, and the command."""


def epilog(verb: str) -> str:
    """The end of a verb's help. The mark in its first line keeps the lines as they are."""
    lines = [f"  # {purpose}\n  {command}" for purpose, command in EXAMPLES[verb]]
    return "\b\nExamples:\n" + "\n".join(lines)

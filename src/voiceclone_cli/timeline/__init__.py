"""The timeline: spoken segments fitted to their slots, placed to the sample, mixed and as stems."""

from voiceclone_cli.timeline.fitting import speech_rate
from voiceclone_cli.timeline.memory import render_or_recall
from voiceclone_cli.timeline.rendering import GUARD_SECONDS, mix_rate, render, slot_ends, sum_of_stems

__all__ = ["GUARD_SECONDS", "mix_rate", "render", "render_or_recall", "slot_ends", "speech_rate", "sum_of_stems"]

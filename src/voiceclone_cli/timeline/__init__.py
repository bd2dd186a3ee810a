"""The timeline: spoken segments fitted to their slots, placed to the sample, mixed and as stems."""

from voiceclone_cli.timeline.memory import recall, render_or_recall
from voiceclone_cli.timeline.rendering import Rendering, render
from voiceclone_cli.timeline.slots import GUARD_SECONDS, mix_rate, slot_ends

__all__ = ["GUARD_SECONDS", "Rendering", "mix_rate", "recall", "render", "render_or_recall", "slot_ends"]

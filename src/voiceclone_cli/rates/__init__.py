"""How long things take on this machine: measured in every run, kept, and used to look ahead."""

from voiceclone_cli.rates.estimating import Estimate, estimate
from voiceclone_cli.rates.history import History, load
from voiceclone_cli.rates.kinds import Kind
from voiceclone_cli.rates.recording import record

__all__ = ["Estimate", "History", "Kind", "estimate", "load", "record"]

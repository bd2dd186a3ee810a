"""How fast it is, against fish-speech's own program: one run, one machine, one table."""

from voiceclone_cli.bench.benchmark import Benchmark, Plan, run_benchmark
from voiceclone_cli.bench.modes import read_modes

__all__ = ["Benchmark", "Plan", "read_modes", "run_benchmark"]

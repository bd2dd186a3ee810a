"""One list for both environments: what keeps libraries from reporting their use."""

from voiceclone_worker.telemetry import OFFLINE, SILENCE, refuse_telemetry

__all__ = ["OFFLINE", "SILENCE", "refuse_telemetry"]

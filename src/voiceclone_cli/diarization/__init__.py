"""Who speaks when: diarization through pyannote.audio's own pipeline class, and RTTM in and out."""

from voiceclone_cli.diarization.choice import Stack, choose
from voiceclone_cli.diarization.given import given_turns
from voiceclone_cli.diarization.pipeline import diarize
from voiceclone_cli.diarization.rttm import read_rttm, write_rttm
from voiceclone_cli.diarization.speaker_count import SpeakerCount

__all__ = ["SpeakerCount", "Stack", "choose", "diarize", "given_turns", "read_rttm", "write_rttm"]

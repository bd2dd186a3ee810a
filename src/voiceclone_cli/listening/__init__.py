"""What the ear makes of a recording: who speaks when, and which words. With the models it takes."""

from voiceclone_cli.listening.choosing import identity, recogniser_folder
from voiceclone_cli.listening.ears import OWN_EARS, Ears, OwnEars, StoppableEars
from voiceclone_cli.listening.hearing import hear_turns, hear_words, heard_before
from voiceclone_cli.listening.process import ListeningProcess

__all__ = [
    "OWN_EARS",
    "Ears",
    "ListeningProcess",
    "OwnEars",
    "StoppableEars",
    "hear_turns",
    "hear_words",
    "heard_before",
    "identity",
    "recogniser_folder",
]

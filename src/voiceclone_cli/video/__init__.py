"""Video out: the pictures of the input with the new sound under them."""

from voiceclone_cli.video.copying import output_suffix
from voiceclone_cli.video.memory import make_video_or_recall
from voiceclone_cli.video.writing import Video, write_video

__all__ = ["Video", "make_video_or_recall", "output_suffix", "write_video"]

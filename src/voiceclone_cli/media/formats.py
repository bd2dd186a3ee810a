"""What FFmpeg's libraries may make of a stranger's file: a recording, and nothing that leads elsewhere."""

from __future__ import annotations

from functools import cache

CONTAINERS = (
    "mov,matroska,avi,asf,flv,live_flv,mpeg,mpegts,mxf,gxf,wtv,dv,rm,nut,"
    "wav,w64,aiff,caf,au,flac,mp3,aac,loas,ogg,ac3,eac3,dts,dtshd,"
    "truehd,mlp,ape,tak,tta,wv,mpc,mpc8,dsf,iff,oma,nistsphere,voc,sox,"
    "ircam,avr,pvf,amr,amrnb,amrwb,qcp,gsm,g722,alaw,mulaw,sln,sbc"
)
"""FFmpeg's names of the formats that recordings come in ("mov" is mp4 and m4a as well).

It knows some three hundred more: playlists and descriptions, which open other files and addresses
(hls, concat, dash, sdp), pictures, subtitles, and the formats of old games.
"""

_PLAYLISTS = {
    b"#EXTM3U": "an M3U playlist",
    b"[playlist]": "a PLS playlist",
    b"ffconcat": "a list of files (ffconcat)",
    b"v=0": "the description of a broadcast (SDP)",
    b"<?xml": "an XML file, perhaps a playlist",
    b"http://": "an address in a file",
    b"https://": "an address in a file",
    b"rtsp://": "an address in a file",
}

_HEADS = {
    b"RIFF": "a wav or avi file",
    b"RF64": "a wav file",
    b"FORM": "an AIFF file",
    b".snd": "an AU file",
    b"caff": "a CAF file",
    b"fLaC": "a FLAC file",
    b"OggS": "an Ogg file",
    b"\x1a\x45\xdf\xa3": "a Matroska or WebM file",
}


def open_options() -> dict[str, str]:
    """FFmpeg's options for opening a file.

    No network, none but the containers above, and no decoder but those of audio: whoever looks into a
    video would otherwise have its first pictures decoded, however large they say they are.
    """
    return {
        "protocol_whitelist": "file",
        "format_whitelist": CONTAINERS,
        "codec_whitelist": _audio_decoders(),
    }


def looks_like(head: bytes) -> str | None:
    """The media file that these first bytes begin ("a FLAC file"), whether or not the rest can be read."""
    return "an MP4 file" if head[4:8] == b"ftyp" else _HEADS.get(head[:4])


def playlist_kind(head: bytes) -> str | None:
    """What these first bytes begin when it only tells where a recording is."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return next((kind for mark, kind in _PLAYLISTS.items() if text.startswith(mark)), None)


@cache
def _audio_decoders() -> str:
    import av

    names = set()
    for name in av.codecs_available:
        try:
            codec = av.Codec(name, "r")
        except av.codec.codec.UnknownCodecError:
            # An encoder that has no decoder.
            continue
        if codec.type == "audio":
            names.add(codec.name)
    return ",".join(sorted(names))

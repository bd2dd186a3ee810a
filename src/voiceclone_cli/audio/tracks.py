"""The audio tracks of a file: their languages, the one that is read, and which of its channels."""

from __future__ import annotations

import typing
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from voiceclone_cli.errors import InputError

if typing.TYPE_CHECKING:
    from av import AudioStream as AvAudioStream
    from av.container import InputContainer

_MAX_LISTED = 8
_MAX_TITLE = 40


@dataclass(frozen=True, slots=True)
class AudioTrack:
    """The audio track of a file that is read."""

    number: int
    """Among the audio tracks, from 1."""
    stream: AvAudioStream
    notes: tuple[str, ...]
    """A sentence for the user where the file has several tracks."""


def choose_track(container: InputContainer, path: Path, wanted: str | None) -> AudioTrack:
    """Return the track with this number (from 1) or language; None: the one that players choose.

    Players take the first that is marked as the default, else the first. Among several of a language it is the same.
    Raises InputError (``media_no_audio``, ``audio_track``).
    """
    streams = container.streams.audio
    if not streams:
        raise InputError(f"{path} has no audio: give a recording of speech.", code="media_no_audio")
    candidates = list(range(len(streams)))
    if wanted is not None and wanted.isdigit():
        candidates = [index for index in candidates if index + 1 == int(wanted)]
    elif wanted is not None:
        code = language_code(wanted)
        is_code = code != UNKNOWN_LANGUAGE or wanted == UNKNOWN_LANGUAGE
        candidates = [index for index in candidates if is_code and _language(streams[index]) == code]
    if not candidates:
        raise InputError(
            f"{path} has no audio track {wanted!r}; its audio tracks are {_listed(streams)}: "
            "give one of these numbers or languages with --audio-track.",
            code="audio_track",
        )
    index = next((index for index in candidates if _is_default(streams[index])), candidates[0])
    notes: tuple[str, ...] = ()
    if len(streams) > 1:
        notes = (f"{len(streams)} audio tracks: {_listed(streams, index)}; --audio-track chooses another",)
    return AudioTrack(index + 1, streams[index], notes)


def _listed(streams: Sequence[AvAudioStream], taken: int | None = None) -> str:
    """Return "1 eng commentary, 2 eng (default) taken"; of many tracks the first, and the one that is taken."""
    shown = [index for index in range(len(streams)) if index < _MAX_LISTED or index == taken]
    words = [
        f"{index + 1} {_described(streams[index])}{' taken' if index == taken else ''}" for index in shown
    ]
    more = len(streams) - len(shown)
    return ", ".join([*words, *([f"and {more} more"] if more else [])])


def _described(stream: AvAudioStream) -> str:
    from av.stream import Disposition

    title = "".join(c if c.isprintable() else " " for c in stream.metadata.get("title", ""))
    words = [_language(stream), title.strip()[:_MAX_TITLE]]
    roles = {"commentary": Disposition.comment, "audio description": Disposition.visual_impaired}
    words += [role for role, flag in roles.items() if stream.disposition & flag and role not in title.lower()]
    words += ["(default)"] if _is_default(stream) else []
    return " ".join(filter(None, words))


def _is_default(stream: AvAudioStream) -> bool:
    from av.stream import Disposition

    return bool(stream.disposition & Disposition.default)


def _language(stream: AvAudioStream) -> str:
    return language_code(stream.metadata.get("language"))


UNKNOWN_LANGUAGE = "und"

_ISO_639 = """
aa aar ab abk ae ave af afr ak aka am amh an arg ar ara as asm av ava ay aym az aze ba bak be bel bg bul bh bih
bi bis bm bam bn ben bo bod br bre bs bos ca cat ce che ch cha co cos cr cre cs ces cu chu cv chv cy cym da dan
de deu dv div dz dzo ee ewe el ell en eng eo epo es spa et est eu eus fa fas ff ful fi fin fj fij fo fao fr fra
fy fry ga gle gd gla gl glg gn grn gu guj gv glv ha hau he heb hi hin ho hmo hr hrv ht hat hu hun hy hye hz her
ia ina id ind ie ile ig ibo ii iii ik ipk io ido is isl it ita iu iku ja jpn jv jav jw jav ka kat kg kon ki kik
kj kua kk kaz kl kal km khm kn kan ko kor kr kau ks kas ku kur kv kom kw cor ky kir la lat lb ltz lg lug li lim
ln lin lo lao lt lit lu lub lv lav mg mlg mh mah mi mri mk mkd ml mal mn mon mr mar ms msa mt mlt my mya na nau
nb nob nd nde ne nep ng ndo nl nld nn nno no nor nr nbl nv nav ny nya oc oci oj oji om orm or ori os oss pa pan
pi pli pl pol ps pus pt por qu que rm roh rn run ro ron ru rus rw kin sa san sc srd sd snd se sme sg sag si sin
sk slk sl slv sm smo sn sna so som sq sqi sr srp ss ssw st sot su sun sv swe sw swa ta tam te tel tg tgk th tha
ti tir tk tuk tl tgl tn tsn to ton tr tur ts tso tt tat tw twi ty tah ug uig uk ukr ur urd uz uzb ve ven vi vie
vo vol wa wln wo wol xh xho yi yid yo yor za zha zh zho zu zul
"""
"""ISO 639-1 and the terminological code of ISO 639-2; "jw" is Whisper's code of Javanese."""

_BIBLIOGRAPHIC = """
bod tib ces cze cym wel deu ger ell gre eus baq fas per fra fre hye arm isl ice kat geo mkd mac mri mao msa may
mya bur nld dut ron rum slk slo sqi alb zho chi
"""


def _pairs(table: str) -> dict[str, str]:
    codes = table.split()
    return dict(zip(codes[::2], codes[1::2], strict=True))


_TERMINOLOGICAL = _pairs(_ISO_639)
_IN_MATROSKA = _pairs(_BIBLIOGRAPHIC)
_FROM_MATROSKA = {short: long for long, short in _IN_MATROSKA.items()}


def language_code(language: str | None) -> str:
    """Return the terminological code of ISO 639-2 for ``fr``, ``fre``, ``fra`` or ``fr-CA``, here ``fra``.

    "und" for what is no code of a language.
    """
    main = (language or "").partition("-")[0].lower()
    is_code = len(main) == 3 and main.isascii() and main.isalpha()
    return _FROM_MATROSKA.get(main) or _TERMINOLOGICAL.get(main, main if is_code else UNKNOWN_LANGUAGE)


def language_tag(language: str | None, suffix: str) -> str:
    """Return the three-letter code of ``es`` or ``es-419`` in a container, here ``spa``; "und" for unknown languages.

    MP4 takes the terminological code of ISO 639-2, Matroska the bibliographic one (French: fra, fre).
    """
    code = language_code(language)
    return _IN_MATROSKA.get(code, code) if suffix == ".mkv" else code

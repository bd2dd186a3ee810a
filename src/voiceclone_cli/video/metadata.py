"""What a video says of itself: the source's words, and with them that these voices are synthetic.

MP4 has two boxes for it. That of iTunes (``ilst``) is shown by all players and has a fixed set of names; that of
QuickTime (``mdta``) takes any name, such as those that telephones write, but players look for Apple's names in it.
FFmpeg writes one or the other.
"""

from __future__ import annotations

from collections.abc import Mapping

_OF_A_TRACK_IN_MP4 = frozenset({"handler_name", "vendor_id"})

_OF_THE_FILE = frozenset({"major_brand", "minor_version", "compatible_brands", "encoder", "duration"})
"""Said of the old file; the new one has its own."""

_IN_ITUNES = frozenset((
    "title", "artist", "album_artist", "composer", "album", "date", "comment", "genre", "copyright", "grouping",
    "lyrics", "description", "synopsis", "show", "episode_id", "network", "keywords",
))  # fmt: skip
_ELSEWHERE_IN_MP4 = frozenset({"creation_time", "timecode"})
"""The movie's header and a track of its own hold these."""

_APPLE = "com.apple.quicktime."
_APPLE_NAMES = frozenset({"title", "comment", "description", "software", "keywords", "copyright"})


def track_metadata(source: Mapping[str, str], suffix: str) -> dict[str, str]:
    """A copied track's own words, without those that only MP4 has a place for."""
    left = _OF_A_TRACK_IN_MP4 if suffix == ".mkv" else frozenset[str]()
    return {key: value for key, value in source.items() if key.lower() not in left}


def container_metadata(
    source: Mapping[str, str], tags: Mapping[str, str], suffix: str, *, cover: bool
) -> tuple[dict[str, str], dict[str, str]]:
    """The metadata to write, and FFmpeg's options that have the container take it.

    ``cover``: whether there is one; FFmpeg writes it into the box of iTunes only, so the other is not chosen then.
    """
    kept = {key: value for key, value in source.items() if key.lower() not in _OF_THE_FILE}
    if suffix == ".mkv":
        return _joined(kept, tags), {}
    # Times of tracks' starts are written in units of the movie's time scale, by default in thousandths.
    options = {"movflags": "+faststart", "movie_timescale": "90000", "strict": "unofficial"}
    if cover or {key.lower() for key in kept} <= _IN_ITUNES | _ELSEWHERE_IN_MP4:
        return _joined(kept, _for_itunes(tags)), options
    options["movflags"] += "+use_metadata_tags"
    return _joined(kept, {**_with_apples_names(tags), **tags}), options


def _joined(kept: Mapping[str, str], tags: Mapping[str, str]) -> dict[str, str]:
    """Both; where both have a word of one name, ours stands before the source's."""
    words = dict(kept)
    names = {key.lower(): key for key in kept}
    for key, text in tags.items():
        theirs = words.pop(names.get(key.lower(), ""), None)
        words[key] = f"{text} | {theirs}" if theirs and text not in theirs else theirs or text
    return words


def _for_itunes(tags: Mapping[str, str]) -> dict[str, str]:
    """What has no name there becomes keywords."""
    named = {key: text for key, text in tags.items() if key in _IN_ITUNES}
    others = [f"{key}: {text}" for key, text in tags.items() if key not in _IN_ITUNES]
    keywords = "; ".join([*([named["keywords"]] if "keywords" in named else []), *others])
    return {**named, "keywords": keywords} if keywords else named


def _with_apples_names(tags: Mapping[str, str]) -> dict[str, str]:
    return {f"{_APPLE}{key}": text for key, text in tags.items() if key in _APPLE_NAMES}

"""What a file says about itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from media_samples import tone
from voiceclone_cli import __version__
from voiceclone_cli.media.opening import open_audio
from voiceclone_cli.media.wav import open_wav, to_pcm16
from voiceclone_cli.provenance.tags import container_tags, own_tags, wav_info


def tagged_wav(path: Path, engine: str) -> Path:
    with open_wav(path, 16_000, 16_000, info=wav_info(engine)) as file:
        file.write(to_pcm16(tone(1.0)))
    return path


@pytest.mark.parametrize("engine", ["kokoro", "fish"])
def test_a_wav_says_that_its_voices_are_synthetic_and_what_made_them(tmp_path: Path, engine: str) -> None:
    with open_audio(tagged_wav(tmp_path / "a.wav", engine)) as stream:
        tags = own_tags(stream.tags)
    assert tags["comment"] == f"Synthetic voices, made with voiceclone {__version__} ({engine})"
    assert tags["encoder"] == f"voiceclone {__version__}"


def test_tags_leave_the_samples_alone_for_other_readers(tmp_path: Path) -> None:
    import wave

    import soundfile

    path = tagged_wav(tmp_path / "a.wav", "kokoro")
    with wave.open(str(path)) as file:
        assert file.readframes(file.getnframes()) == to_pcm16(tone(1.0)).tobytes()
    with soundfile.SoundFile(path) as file:
        assert file.copy_metadata()["comment"].startswith("Synthetic voices")
        assert np.array_equal(file.read(dtype="int16"), to_pcm16(tone(1.0)))


def test_tones_are_nobody_s_voice() -> None:
    assert wav_info("echo") == {} == container_tags("echo")


def test_tags_of_others_are_not_told() -> None:
    assert own_tags({"title": "A talk", "encoder": "Lavf61.7.100"}) == {}
    assert own_tags(container_tags("fish")).keys() == container_tags("fish").keys()


def test_a_hostile_tag_cannot_command_a_terminal() -> None:
    (shown,) = own_tags({"comment": "made with voiceclone \x1b[2J" + "x" * 10_000}).values()
    assert shown.isprintable() and len(shown) <= 200

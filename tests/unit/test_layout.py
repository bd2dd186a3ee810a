from __future__ import annotations

import pytest

from voiceclone_cli.media.layout import MONO, Layout

SURROUND = Layout(("FL", "FR", "FC", "LFE", "BL", "BR"))


def test_a_known_layout_has_its_mask() -> None:
    assert SURROUND.mask == 0x3F
    assert Layout(("FL", "FR")).mask == 0x3
    assert MONO.mask == 0x4


@pytest.mark.parametrize("names", [("FL", "FR", "NONE"), ("FR", "FL"), ("FL", "FL")])
def test_channels_that_a_mask_cannot_tell_have_none(names: tuple[str, ...]) -> None:
    assert Layout(names).mask == 0


def test_nobody_speaks_in_a_bass_channel() -> None:
    assert SURROUND.voiced == (0, 1, 2, 4, 5)


def test_left_and_right_go_together_and_others_alone() -> None:
    assert SURROUND.groups == ((0, 1), (4, 5), (2,))
    assert Layout(("NONE",) * 3).groups == ((0,), (1,), (2,))


def test_two_channels_of_which_nothing_is_said_are_stereo() -> None:
    assert Layout.of(("NONE", "NONE")).names == ("FL", "FR")
    assert Layout.of(("NONE",)) == MONO
    assert Layout.of(("NONE",) * 4).names == ("NONE",) * 4
    assert Layout.of(("FL", "LFE")).names == ("FL", "LFE")

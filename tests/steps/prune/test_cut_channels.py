"""Channels cut by hand: those that were named, and no others."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import WorkbenchError
from workbench.steps import CutChannels
from workbench.steps.prune.cut_channels import channel_numbers, channel_text
from workbench.steps.recipe import Recipe, run


@given(st.sets(st.integers(0, 300)))
def test_numbers_come_back_from_their_text(numbers):
    assert channel_numbers(channel_text(numbers)) == tuple(sorted(numbers))


def test_text_is_short_and_read_in_any_order():
    assert channel_text([5, 3, 10, 9, 8, 11]) == "3, 5, 8-11"
    assert channel_numbers("8 - 10, 3,3,") == (3, 8, 9, 10)


def test_the_named_channels_go_with_what_reads_them(images):
    state = run(images, Recipe((CutChannels(layers="hidden", channels="1, 4-6"),)))
    keep = [unit for unit in range(24) if unit not in (1, 4, 5, 6)]
    assert torch.equal(state.model.hidden.weight, images.model.hidden.weight[keep])
    assert torch.equal(state.model.fc.weight, images.model.fc.weight[:, keep])
    nothing = run(images, Recipe((CutChannels(layers="hidden", channels=""),)))
    assert nothing.model is images.model


@pytest.mark.parametrize("text", ["a", "3-", "-1", "5-3", "1.5", "1;2"])
def test_other_texts_are_refused(text):
    with pytest.raises(WorkbenchError, match=r"Cut channels by hand: channels must be numbers and ranges"):
        CutChannels(channels=text)


@pytest.mark.parametrize(
    ("layers", "channels", "told"),
    [
        ("hidden", "24", "hidden has channels 0 to 23, and no channel 24"),
        ("hidden", "0-23", "one of the 24 channels of hidden must stay"),
        ("fc", "0", "nothing in fc can be cut"),
    ],
)
def test_what_cannot_go_is_said(images, layers, channels, told):
    with pytest.raises(WorkbenchError, match=told):
        run(images, Recipe((CutChannels(layers=layers, channels=channels),)))

"""Structured pruning: how many channels stay, which, and what cannot go."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tests.test_checkpoint import subject_of
from workbench.errors import WorkbenchError
from workbench.importance.ranking import least_important
from workbench.measure.compute import count_macs
from workbench.recipe import Recipe, run
from workbench.steps import Prune, PruneChannels, Quantize
from workbench.subject import Subject
from workbench.task import Task


@given(
    st.dictionaries(
        st.sampled_from("abc"), st.lists(st.floats(0, 10), min_size=1, max_size=30).map(torch.tensor), min_size=1
    ),
    st.floats(0, 0.95),
    st.booleans(),
    st.integers(1, 8),
)
def test_what_stays_is_a_multiple_and_never_nothing(scores, amount, together, round_to):
    removed = least_important(scores, amount, together, round_to)
    for name, score in scores.items():
        gone = removed.get(name, [])
        stay = len(score) - len(gone)
        assert stay >= 1
        assert stay == len(score) or stay % round_to == 0
        assert gone == sorted(set(gone))
        kept = [unit for unit in range(len(score)) if unit not in gone]
        assert not gone or score[gone].max() <= score[kept].min()
        if not together and round_to == 1:
            assert len(gone) == min(int(amount * len(score)), len(score) - 1)


@pytest.mark.parametrize(("round_to", "stay"), [(1, 8), (3, 9), (4, 8), (5, 10), (16, 16)])
def test_the_asked_part_goes_rounded_to_a_multiple(images, round_to, stay):
    state = run(images, Recipe((PruneChannels(layers="conv2", amount=0.5, round_to=round_to),)))
    assert state.model.conv2.out_channels == stay
    assert state.model.conv3.in_channels == stay
    assert state.model.hidden.in_features == stay


def test_the_weakest_channels_go(images):
    scores = images.model.hidden.weight.detach().abs().mean(1)
    state = run(images, Recipe((PruneChannels(layers="hidden", amount=0.25),)))
    keep = sorted(scores.argsort(descending=True)[:18].tolist())
    assert torch.equal(state.model.hidden.weight, images.model.hidden.weight[keep])
    assert torch.equal(state.model.fc.weight, images.model.fc.weight[:, keep])


def test_global_ranks_groups_together_and_removes_the_asked_number(images):
    state = run(images, Recipe((PruneChannels(amount=0.4, ranking="global"),)))
    widths = [state.model.conv1.out_channels, state.model.conv2.out_channels, state.model.hidden.out_features]
    assert sum(widths) == 48 - int(0.4 * 48)
    shares = [width / full for width, full in zip(widths, (8, 16, 24), strict=True)]
    assert max(shares) - min(shares) > 0.02


def test_the_model_is_really_smaller(images):
    state = run(images, Recipe((PruneChannels(amount=0.5),)))
    example = images.task.example(2)
    assert state.model(*example).shape == (2, 4)
    assert count_macs(state.model, example) < 0.4 * count_macs(images.model, example)


def test_what_cannot_go_is_told(images):
    state = run(images, Recipe((PruneChannels(amount=0.5),)))
    assert any(note.startswith("fc: not cut, reaches the model's output") for note in state.notes)
    with pytest.raises(WorkbenchError, match=r"nothing in fc can be cut\. fc: reaches the model's output"):
        run(images, Recipe((PruneChannels(layers="fc"),)))


def test_nothing_to_remove_leaves_the_model(images):
    state = run(images, Recipe((PruneChannels(amount=0.0),)))
    assert state.model is images.model


def test_grids_and_masks_follow_the_channels():
    subject = subject_of("plain")
    state = run(subject, Recipe((Prune(amount=0.5), Quantize(bits=4, symmetric=False), PruneChannels(amount=0.5))))
    assert state.model.conv1.out_channels == 4
    for name, coding in state.codings.items():
        weight = state.model.get_parameter(name)
        assert coding.holds(weight)
        assert len(coding.scale) == weight.shape[0]
    assert "conv1.weight" in state.pruned


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(4, 8), nn.Linear(8, 2)

    def forward(self, x):
        return self.two(self.one(x)) if float(x.sum()) > 0 else self.two(torch.relu(self.one(x)))


def test_a_model_that_cannot_be_traced_says_so():
    subject = Subject("branching", Branching(), Task(validation=(torch.randn(8, 4), torch.zeros(8, dtype=torch.long))))
    with pytest.raises(WorkbenchError, match=r"step 1 \(prune_channels\): the model cannot be traced"):
        run(subject, Recipe((PruneChannels(),)))

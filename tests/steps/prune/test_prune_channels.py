"""Structured pruning: how many channels stay, which, and what cannot go."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tests.checkpoint.test_checkpoint import subject_of
from workbench.errors import WorkbenchError
from workbench.measure.compute import count_macs
from workbench.model.subject import Subject
from workbench.steps import Context, Prune, PruneChannels, Quantize, State
from workbench.steps.prune.budget import units_to_go
from workbench.steps.prune.importance.ranking import least_important
from workbench.steps.recipe import Recipe, run
from workbench.task.task import Task


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


def spent(subject, state, budget):
    """Return how much of a budget is left."""
    if budget == "params":
        return sum(value.numel() for value in state.model.parameters())
    return count_macs(state.model, subject.task.example(2))


@pytest.mark.parametrize("round_to", [1, 4])
@pytest.mark.parametrize("ranking", ["local", "global", "worth"])
@pytest.mark.parametrize("budget", ["params", "macs"])
@pytest.mark.parametrize("amount", [0.15, 0.5, 0.8])
def test_a_budget_is_met_to_within_one_block(images, budget, ranking, round_to, amount):
    step = PruneChannels(amount=amount, budget=budget, ranking=ranking, round_to=round_to)
    state = run(images, Recipe((step,)))
    target = (1 - amount) * spent(images, State(images.model), budget)
    assert spent(images, state, budget) <= target
    widths = {"conv1": 8, "conv2": 16, "hidden": 24}
    gone = {name: full - len(state.model.get_submodule(name).weight) for name, full in widths.items()}
    # One of the groups gave the last block, and with it there the budget would not be met.
    over = []
    for name in [name for name, count in gone.items() if count]:
        back = {**gone, name: gone[name] - round_to}
        told = ", ".join(f"{layer}={count}" for layer, count in back.items())
        more = run(images, Recipe((PruneChannels(amount=0.0, by_layer=told, round_to=round_to),)))
        over.append(spent(images, more, budget) > target)
    assert any(over)


def test_a_budget_that_cannot_be_met_says_how_much_can_go(images):
    with pytest.raises(WorkbenchError, match=r"at most 11\.7% of the parameters can go .*, not 50\.0%"):
        run(images, Recipe((PruneChannels(layers="hidden", budget="params", amount=0.5),)))


def test_dear_channels_go_first_where_all_matter_alike(images):
    """With the same score for every channel, what saves most goes: macs of early layers, parameters of late ones."""
    groups = [group for group in Context(images).groups(images.model) if group.protected is None]
    scores = {group.name: torch.ones(len(group.units)) for group in groups}

    def gone(budget):
        return units_to_go(images.model, groups, scores, images.task.example(2), 0.3, budget=budget, ranking="worth")

    assert gone("macs").keys() == {"conv2"}  # read by conv3 and the sum, on 36 places
    assert gone("params").keys() == {"conv2"}
    assert len(gone("macs")["conv2"]) < len(scores["conv2"])


def test_layers_have_amounts_of_their_own(images):
    state = run(images, Recipe((PruneChannels(amount=0.5, by_layer="conv*=0.25, hidden=3"),)))
    assert [len(state.model.get_submodule(name).weight) for name in ("conv1", "conv2", "hidden")] == [6, 12, 21]
    state = run(images, Recipe((PruneChannels(amount=0.5, by_layer="hidden=3"),)))
    assert [len(state.model.get_submodule(name).weight) for name in ("conv1", "conv2", "hidden")] == [4, 8, 21]
    state = run(images, Recipe((PruneChannels(amount=0.5, budget="macs", by_layer="conv1=0"),)))
    assert state.model.conv1.out_channels == 8
    assert spent(images, state, "macs") <= 0.5 * spent(images, State(images.model), "macs")


@pytest.mark.parametrize("told", ["conv1", "=0.5", "conv1=", "conv1=0.99", "conv1=-1", "conv1=0.5.1", "conv1=nan"])
def test_other_forms_of_amounts_are_refused(told):
    with pytest.raises(WorkbenchError, match=r"Prune channels: by_layer must be layers with .*0\.5, layer3"):
        PruneChannels(by_layer=told)


def test_amounts_of_layers_that_are_not_there_are_refused(images):
    with pytest.raises(WorkbenchError, match=r"nothing that can go matches 'conv9'; there are conv1"):
        run(images, Recipe((PruneChannels(by_layer="conv9=0.5"),)))


class Looked(nn.Module):
    """A table whose columns meet nothing but a convolution."""

    def __init__(self):
        super().__init__()
        self.embed, self.conv, self.fc = nn.Embedding(9, 6), nn.Conv1d(6, 8, 3), nn.Linear(8, 3)

    def forward(self, letters):
        return self.fc(self.conv(self.embed(letters).transpose(1, 2)).amax(2))


def test_a_layer_in_no_group_is_named():
    letters = torch.arange(9).repeat(4).reshape(4, 9)
    subject = Subject("letters", Looked().eval(), Task(validation=(letters, torch.tensor([0, 1, 2, 0]))))
    notes = run(subject, Recipe((PruneChannels(amount=0.5),))).notes
    assert "embed: not cut, its channels are in no group" in notes
    assert not any(note.startswith("conv") for note in notes)
    assert not any("embed" in note for note in run(subject, Recipe((PruneChannels(layers="conv"),))).notes)

"""Reconstruction: the optimum of least squares, zeros that stay, and layers that make up for one another."""

import copy

import pytest
import torch
from torch import nn

from workbench.errors import WorkbenchError
from workbench.model.subject import Subject
from workbench.steps import Context, FoldNorms, Prune, PruneBlocks, PruneChannels, Quantize, Reconstruct, State
from workbench.steps.calibration import patches
from workbench.steps.recipe import Recipe, run
from workbench.steps.repair.reconstruct import Sums, called_once, output_rows, until
from workbench.task.task import Task


def gap(subject, state):
    """How far outputs are from the uncompressed model's on train data, in the mean square."""
    inputs, _ = subject.task.split("train").batch(range(120))
    with torch.no_grad():
        return float((state.model(*inputs) - subject.model(*inputs)).square().mean())


@pytest.mark.parametrize(
    "step", [Prune(amount=0.7, ranking="global"), PruneChannels(amount=0.25)], ids=lambda step: step.kind
)
@pytest.mark.parametrize("name", ["images", "vectors", "transformer"])
def test_outputs_come_nearer_and_zeros_stay(request, name, step):
    subject = request.getfixturevalue(name)
    rough = run(subject, Recipe((step,)))
    state = run(subject, Recipe((step, Reconstruct())))
    assert gap(subject, state) < 0.7 * gap(subject, rough)
    assert state.pruned == rough.pruned
    for parameter in rough.pruned:
        zeros = rough.model.get_parameter(parameter) == 0
        assert not state.model.get_parameter(parameter)[zeros].any()


def test_nothing_changes_where_nothing_was_compressed(images):
    state = run(images, Recipe((Reconstruct(),)))
    for name, value in state.model.named_parameters():
        torch.testing.assert_close(value, images.model.get_parameter(name), rtol=0, atol=1e-5)


@pytest.mark.parametrize("masked", [False, True])
def test_a_layer_gets_the_weights_of_least_squares(masked):
    drawn = torch.Generator().manual_seed(0)
    rows, wanted = torch.randn(1, 300, 6, generator=drawn), torch.randn(1, 300, 4, generator=drawn)
    rows[..., 5] = 1.0
    weight = torch.randn(4, 6, generator=drawn)
    keep = torch.rand(4, 6, generator=drawn) > 0.5 if masked else torch.ones(4, 6, dtype=torch.bool)
    weight = weight * keep
    sums = Sums()
    for start in (0, 100, 200):
        part = rows[:, start : start + 100]
        sums.add(part, wanted[:, start : start + 100] - part @ weight.T)
    found = sums.fitted(weight, keep, 0.0)
    for output in range(4):
        columns = keep[output].nonzero()[:, 0]
        best = torch.linalg.lstsq(rows[0][:, columns].double(), wanted[0, :, output].double()).solution
        torch.testing.assert_close(found[output, columns], best, rtol=1e-4, atol=1e-5)
        assert not found[output][~keep[output]].any()


@pytest.mark.parametrize(
    "layer", [nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2, bias=False), nn.Conv1d(4, 6, 3), nn.Linear(4, 6)]
)
def test_rows_of_outputs_are_those_of_inputs(layer):
    inputs = torch.randn({nn.Conv2d: (3, 4, 7, 7), nn.Conv1d: (3, 4, 7), nn.Linear: (3, 5, 4)}[type(layer)])
    outputs = layer(inputs)
    groups = getattr(layer, "groups", 1)
    weight = layer.weight.flatten(1).unflatten(0, (groups, -1))
    made = patches(layer, inputs) @ weight.mT
    made = made if layer.bias is None else made + layer.bias.view(groups, 1, -1)
    torch.testing.assert_close(made, output_rows(layer, outputs))


def test_a_pass_ends_at_the_layer_that_is_asked_for(images):
    calls = []
    handle = images.model.fc.register_forward_hook(lambda *_: calls.append("fc"))
    inputs = images.task.example(2)
    given, got = until(images.model, "conv2")(inputs)
    handle.remove()
    assert calls == []
    with torch.no_grad():
        torch.testing.assert_close(images.model.conv2(given), got)


def test_layers_that_are_called_again_or_share_weights_stay():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.once, self.twice, self.one, self.other = (nn.Linear(4, 4) for _ in range(4))
            self.other.weight = self.one.weight

        def forward(self, x):
            return self.other(self.one(self.twice(self.twice(self.once(x)).relu()).relu()))

    torch.manual_seed(0)
    data = [(torch.randn(4), number % 4) for number in range(80)]
    subject = Subject("twice", Twice(), Task(train=data, validation=data))
    assert called_once(subject.model, ["twice", "other", "once"], subject.task.example(2)) == ["once", "other"]
    recipe = Recipe((Prune(amount=0.5, layers="once"), Reconstruct()))
    rough, state = run(subject, Recipe(recipe.steps[:1])), run(subject, recipe)
    changed = {
        name for name, value in state.model.named_parameters() if not torch.allclose(
            value, rough.model.get_parameter(name), atol=1e-6)
    }  # fmt: skip
    assert changed == {"once.weight", "once.bias"}


def test_what_a_removed_branch_gave_is_made_up_for(transformer):
    steps = (PruneBlocks(),)
    rough, state = run(transformer, Recipe(steps)), run(transformer, Recipe((*steps, Reconstruct())))
    assert gap(transformer, state) < gap(transformer, rough)


@pytest.mark.parametrize(
    ("before", "words"),
    [
        (Quantize(bits=4, layers="conv1"), "conv1 are on grids"),
        (Quantize(activations=8, layers="conv1"), "are on grids"),
        (FoldNorms(), "bn1 is folded into a layer"),
    ],
)
def test_what_would_not_fit_any_more_is_refused(images, before, words):
    with pytest.raises(WorkbenchError, match=words):
        run(images, Recipe((before, Reconstruct())))


def test_without_a_layer_to_fit_there_is_an_error(images):
    with pytest.raises(WorkbenchError, match=r"none of conv1 .* as many outputs as in the uncompressed"):
        run(images, Recipe((PruneChannels(layers="conv1"), Reconstruct(layers="conv1"))))


def test_a_layer_that_stands_for_another_is_fitted_to_that_one(images):
    model = copy.deepcopy(images.model)
    model.fc = nn.Sequential(nn.Linear(24, 24, bias=False), nn.Linear(24, 4))
    with torch.no_grad():
        model.fc[0].weight.copy_(torch.eye(24))
    lost = State.of(images).with_model(model.eval())
    with pytest.raises(WorkbenchError, match=r"none of fc\.1"):
        Reconstruct(layers="fc.1").build(lost, Context(images))
    found = State.of(images).with_model(model, origins={"fc.1": "fc"})
    assert found.origin("fc.1") == "fc"
    fitted = Reconstruct(layers="fc.1", damping=1e-8).build(found, Context(images))
    inputs = images.task.example(64)
    with torch.no_grad():
        torch.testing.assert_close(fitted.model(*inputs), images.model(*inputs), rtol=1e-2, atol=1e-2)

"""Equalization: the same outputs, equal ranges, and less lost where many channels share a grid."""

import copy

import pytest
import torch

from tests.checkpoint.test_checkpoint import subject_of
from tests.nets import NETS, build
from tests.sampling import sampled
from workbench.errors import WorkbenchError
from workbench.graph import chains
from workbench.model.layers import layers
from workbench.model.subject import Subject
from workbench.steps import Equalize, Quantize
from workbench.steps.recipe import Recipe, run
from workbench.steps.repair.equalize import factors, peaks, read_along


def test_factors_make_both_ranges_their_geometric_mean():
    first, second = torch.tensor([8.0, 1.0, 0.0, 3.0]), torch.tensor([2.0, 4.0, 5.0, 0.0])
    found = factors(first, second)
    torch.testing.assert_close(first / found, torch.tensor([4.0, 2.0, 0.0, 3.0]))
    torch.testing.assert_close(second * found, torch.tensor([4.0, 2.0, 5.0, 0.0]))


@pytest.mark.parametrize("name", sampled(sorted(NETS.keys() - {"two_outputs"}), 6))
def test_every_net_computes_the_same(name):
    subject, (_, example) = subject_of(name), build(name)
    state = run(subject, Recipe((Equalize(),)))
    with torch.no_grad():
        torch.testing.assert_close(state.model(*example), subject.model(*example), rtol=1e-3, atol=1e-4)


def test_channels_between_two_layers_have_equal_ranges(images):
    state = run(images, Recipe((Equalize(),)))
    example = images.task.example(2)
    known = {layer.name: layer for layer in layers(state.model, example)}
    pairs = chains(state.model, example)
    assert pairs == [("conv1", "conv2"), ("hidden", "fc")]
    for one, other in pairs:
        first, second = (state.model.get_submodule(name).weight for name in (one, other))
        torch.testing.assert_close(peaks(first, 0), peaks(second, read_along(known[other])), rtol=0.02, atol=0)


def uneven(images):
    """Return the same model with channels of very different ranges."""
    model = copy.deepcopy(images.model)
    parts = 10 ** torch.linspace(-2, 2, 24)
    with torch.no_grad():
        model.hidden.weight *= parts[:, None]
        model.hidden.bias *= parts
        model.fc.weight /= parts
    return Subject("uneven", model, images.task)


def test_one_scale_for_a_tensor_loses_less(images):
    subject = uneven(images)
    inputs = images.task.split("validation").batch(range(200))[0]

    def error(*steps):
        state = run(subject, Recipe(steps))
        with torch.no_grad():
            return float((state.model(*inputs) - subject.model(*inputs)).square().mean())

    rough = Quantize(bits=6, granularity="tensor", layers="hidden, fc")
    assert error(Equalize(layers="hidden, fc"), rough) < 0.1 * error(rough)


def test_what_it_cannot_do_is_said(images):
    state = run(images, Recipe((Equalize(layers="conv3"),)))
    assert "no two of the chosen layers follow each other" in state.notes[0]
    state = run(images, Recipe((Quantize(bits=4), Equalize(layers="hidden, fc"))))
    assert [note.partition(":")[0] for note in state.notes] == ["hidden.weight", "fc.weight"]
    assert set(state.codings) == {f"conv{number}.weight" for number in (1, 2, 3)}
    with pytest.raises(WorkbenchError, match="equalize first"):
        run(images, Recipe((Quantize(activations=8), Equalize())))

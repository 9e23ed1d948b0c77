"""Bias correction: means of outputs as they were, wherever the bias is."""

import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.model.quantizer import INPUT, quantizers
from workbench.model.subject import Subject
from workbench.steps import CorrectBias, KeepSigns, Prune, PruneChannels, Quantize
from workbench.steps.recipe import Recipe, run
from workbench.steps.repair.correct_bias import Place, means, places
from workbench.task.task import Task

LAYERS = ["conv1", "conv2", "conv3", "hidden", "fc"]
NORMS = ["bn1", "bn2", "bn3", "hidden", "fc"]


def calibration(subject):
    data = subject.task.split("calibration")
    return data.batch(range(len(data)))[0]


def gaps(subject, state, names=NORMS):
    inputs = calibration(subject)
    before, after = means(subject.model, names, inputs), means(state.model, names, inputs)
    return {name: float((before[name] - after[name]).abs().max()) for name in names}


@pytest.mark.parametrize("step", [Quantize(bits=3), KeepSigns(), Prune(amount=0.6)], ids=lambda step: step.kind)
def test_every_mean_is_as_it_was(images, step):
    rough = run(images, Recipe((step,)))
    state = run(images, Recipe((step, CorrectBias())))
    assert min(gaps(images, rough).values()) > 0.001
    assert max(gaps(images, state).values()) < 1e-5
    assert state.codings.keys() == rough.codings.keys()
    changed = {name for name, value in state.model.named_parameters() if not torch.equal(
        value, rough.model.get_parameter(name))}  # fmt: skip
    assert changed == {f"{name}.bias" for name in NORMS}


def test_nothing_changes_where_nothing_was_compressed(images):
    state = run(images, Recipe((CorrectBias(),)))
    for name, value in state.model.named_parameters():
        torch.testing.assert_close(value, images.model.get_parameter(name), rtol=0, atol=1e-6)


def test_folded_norms_are_made_up_for_in_the_layer_and_on_its_grid(images):
    rough = Quantize(bits=3, activations=8)
    state = run(images, Recipe((rough, CorrectBias())))
    assert places(state.model, images.model, LAYERS, images.task.example(2)) == [
        *(Place(f"bn{number}", f"conv{number}") for number in (1, 2, 3)),
        *(Place(name, name) for name in ("hidden", "fc")),
    ]
    linear = ["hidden", "fc"]  # the others are rounded after they were compared
    before, after = gaps(images, run(images, Recipe((rough,))), linear), gaps(images, state, linear)
    for name in LAYERS:
        scale = state.codings[f"{name}.weight"].scale.double()
        entry = quantizers(state.model)[f"{name}.{INPUT}"].scale
        if name in linear:
            assert after[name] <= float(scale.max()) * entry / 2 + 1e-5 < before[name]
        steps = state.model.get_submodule(name).bias.double() / (scale * entry)
        torch.testing.assert_close(steps, steps.round(), rtol=0, atol=1e-2)


def test_layers_without_their_old_outputs_are_left(images):
    state = run(images, Recipe((PruneChannels(layers="hidden", amount=0.5), Quantize(bits=3))))
    assert Place("hidden", "hidden") not in places(state.model, images.model, LAYERS, images.task.example(2))
    run(images, Recipe((PruneChannels(layers="hidden", amount=0.5), Quantize(bits=3), CorrectBias())))
    with pytest.raises(WorkbenchError, match="none of hidden has a bias or a batch norm behind it"):
        run(images, Recipe((PruneChannels(layers="hidden", amount=0.5), CorrectBias(layers="hidden"))))


def test_it_needs_data(images):
    bare = Subject("bare", images.model, Task(validation=images.task.split("validation")))
    with pytest.raises(WorkbenchError, match="needs train or calibration data"):
        run(bare, Recipe((CorrectBias(),)))

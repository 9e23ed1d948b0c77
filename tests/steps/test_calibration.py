"""What enters layers: the rows are those that the weight is multiplied with, and their moments are exact."""

import pytest
import torch
from torch import nn

from tests import nets
from workbench.errors import Cancelled, WorkbenchError
from workbench.jobs.progress import Progress
from workbench.steps import calibration
from workbench.steps.calibration import (
    damped,
    input_moments,
    input_norms,
    inverse,
    inverse_factor,
    patches,
    visit_inputs,
)
from workbench.task.task import Task

LAYERS = {
    "linear": (nn.Linear(5, 3), (4, 5)),
    "linear on tokens": (nn.Linear(5, 3), (4, 6, 5)),
    "conv1d": (nn.Conv1d(4, 6, 3, stride=2, padding=1), (2, 4, 9)),
    "conv2d": (nn.Conv2d(4, 6, (3, 2), stride=(1, 2), padding=(1, 0)), (2, 4, 7, 8)),
    "conv3d": (nn.Conv3d(2, 3, 2, stride=2), (2, 2, 4, 6, 4)),
    "grouped": (nn.Conv2d(4, 6, 3, groups=2, dilation=2), (2, 4, 9, 8)),
    "depthwise": (nn.Conv2d(4, 8, 3, groups=4, padding="same"), (2, 4, 6, 6)),
    "reflected": (nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"), (2, 2, 5, 5)),
    "without batch": (nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"), (2, 5, 5)),
}


def samples(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def task_of(inputs):
    labels = torch.zeros(len(inputs), dtype=torch.long)
    return Task(validation=(inputs[:2], labels[:2]), calibration=(inputs, labels))


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_is_its_weight_times_its_patches(name):
    module, shape = LAYERS[name]
    inputs = samples(*shape)
    with torch.no_grad():
        rows, found = patches(module, inputs), module(inputs)
        weight = module.weight.flatten(1).unflatten(0, (len(rows), -1))
        out = torch.einsum("gnd,god->ngo", rows, weight).flatten(1) + module.bias
    if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        found = (found if found.ndim == module.weight.ndim else found[None]).movedim(1, -1)
    expected = found.reshape(-1, found.shape[-1])
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)


def test_moments_are_those_of_all_patches_however_they_are_taken(monkeypatch):
    model, _ = nets.build("mobile")
    inputs = samples(70, 3, 8, 8)
    names = [name for name, module in model.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    rows = {name: [] for name in names}
    visit_inputs(model, task_of(inputs), names, lambda name, part: rows[name].append(part.double()))
    whole = dict(input_moments(model, task_of(inputs), names))
    monkeypatch.setattr(calibration, "PATCH_NUMBERS", 3000)
    monkeypatch.setattr(calibration, "MOMENT_BYTES", 30000)
    parts = dict(input_moments(model, task_of(inputs), names))
    norms = input_norms(model, task_of(inputs), names)
    assert list(whole) == list(parts) == names
    for name in names:
        every = torch.cat(rows[name], 1)
        assert whole[name].count == parts[name].count == every.shape[1]
        for found in (whole[name], parts[name]):
            torch.testing.assert_close(found.second, every.mT @ every / every.shape[1], rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(found.mean, every.mean(1), rtol=1e-4, atol=1e-6)
            torch.testing.assert_close(found.norms, every.norm(dim=1), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(norms[name], every.norm(dim=1), rtol=1e-4, atol=1e-4)


def test_the_model_is_left_alone_and_a_second_look_is_the_same(images):
    model = images.model.train()
    try:
        first, second = (dict(input_moments(model, images.task, ["conv2"])) for _ in range(2))
        assert model.training
        assert not model.conv2._forward_pre_hooks
    finally:
        model.eval()
    assert torch.equal(first["conv2"].second, second["conv2"].second)
    assert first["conv2"].count == 256 * 36


def test_a_module_called_three_times_is_visited_three_times():
    model, _ = nets.build("shared")
    seen = []
    visit_inputs(model, task_of(samples(5, 3, 8, 8)), ["loop.0"], lambda _, rows: seen.append(rows.shape))
    assert seen == [(1, 5 * 64, 72)] * 3


def test_a_layer_that_is_not_called_is_left_out():
    model = nn.Sequential(nn.Linear(4, 3))
    model.register_module("spare", nn.Identity())
    model.spare.unused = nn.Linear(4, 3)
    assert list(dict(input_moments(model, task_of(samples(6, 4)), ["0", "spare.unused"]))) == ["0"]


def test_what_cannot_be_looked_at_is_refused(images):
    model, _ = nets.build("unet")
    (name,) = [name for name, module in model.named_modules() if isinstance(module, nn.ConvTranspose2d)]
    with pytest.raises(WorkbenchError, match=rf"{name} is a ConvTranspose2d; only inputs of convolutions "):
        input_norms(model, task_of(samples(2, 3, 8, 8)), [name])
    with pytest.raises(WorkbenchError, match=r"conv9 is not in the model"):
        input_norms(images.model, images.task, ["conv9"])
    with pytest.raises(WorkbenchError, match=r"no calibration data"):
        input_norms(images.model, Task(validation=images.task.split("validation")), ["conv1"])
    with pytest.raises(Cancelled):
        input_norms(images.model, images.task, ["conv1"], Progress(None, lambda: True))


def test_inverses_undo_what_they_invert():
    rows = samples(2, 40, 6).double()
    second = rows.mT @ rows / 40
    eye = torch.eye(6, dtype=torch.float64).expand(2, -1, -1)
    torch.testing.assert_close(inverse(second, 0.0) @ second, eye)
    wide = damped(second, 0.1)
    torch.testing.assert_close(inverse(second, 0.1) @ wide, eye)
    factor = inverse_factor(second, 0.1)
    assert torch.equal(factor, factor.triu())
    torch.testing.assert_close(factor.mT @ factor, inverse(second, 0.1))
    # Its rows are those of the inverses for the inputs from there on, which is what a column-wise update needs.
    for j in range(6):
        tail = torch.linalg.inv(wide[:, j:, j:])[:, 0]
        torch.testing.assert_close(factor[:, j, j:], tail / tail[:, :1].sqrt())


def test_an_input_that_is_always_zero_can_be_inverted():
    second = torch.diag(torch.tensor([2.0, 0.0]))[None]
    assert inverse(torch.zeros(1, 2, 2)).diagonal(dim1=1, dim2=2).tolist() == [[1.0, 1.0]]
    assert damped(second, 0.0).diagonal(dim1=1, dim2=2).tolist() == [[2.0, 1.0]]
    with pytest.raises(WorkbenchError, match=r"cannot be inverted with a damping of 0;"):
        inverse(torch.ones(1, 2, 2), 0.0)

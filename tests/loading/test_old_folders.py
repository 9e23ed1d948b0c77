"""Folders as earlier releases wrote them still load, and their models give what they gave."""

import copy
import json
import pickle
from pathlib import Path

import pytest
import torch

import workbench as wb
from workbench.graph.program import from_text, to_text

FOLDERS = Path(__file__).parent / "folders"
NAMES = sorted(path.name for path in FOLDERS.iterdir() if path.is_dir())


def loaded(name):
    known = json.loads((FOLDERS / f"{name}.json").read_text())
    return wb.load_model(FOLDERS / name), torch.tensor(known["inputs"]), torch.tensor(known["outputs"]), known["names"]


def bits(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("name", NAMES)
def test_an_old_folder_gives_the_same_outputs_under_the_same_names(name):
    model, inputs, outputs, names = loaded(name)
    before = bits(model)
    with torch.no_grad():
        torch.testing.assert_close(model(inputs), outputs)
        assert model(torch.cat([inputs] * 3)).shape[0] == 9
    assert set(names) <= set(model.state_dict())
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


@pytest.mark.parametrize("name", NAMES)
def test_what_was_loaded_is_copied_pickled_trained_and_written_again(name):
    model, inputs, *_ = loaded(name)
    with torch.no_grad():
        wanted = model(inputs)
        for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):  # noqa: S301  # made a line above
            assert torch.equal(again(inputs), wanted)
            assert again.state_dict().keys() == model.state_dict().keys()
        written = from_text(to_text(model, (inputs,)), dict(model.state_dict()))
        torch.testing.assert_close(written(inputs), wanted)
    model.train()
    model(inputs).sum().backward()
    assert any(value.grad is not None for value in model.parameters())


def test_layers_are_modules_under_their_names():
    model, *_ = loaded("residual")
    kinds = {name: type(module).__mro__ for name, module in model.named_modules()}
    assert torch.nn.Conv2d in kinds["conv"]
    assert torch.nn.BatchNorm2d in kinds["norm"]
    assert torch.nn.Linear in kinds["fc"]


def test_a_model_takes_the_inputs_that_it_was_written_with():
    model, inputs, *_ = loaded("conv")
    for given in ((inputs, inputs), (None,)):
        with pytest.raises(TypeError, match="takes 1 inputs"):
            model(*given)

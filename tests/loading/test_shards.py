"""Checkpoints in several files are read as one, and an index that lies is refused in a line."""

import json

import pytest
import torch
from safetensors.torch import save_file

from tests import nets
from workbench.errors import WorkbenchError
from workbench.loading.weights import load_weights

INDEX = "model.safetensors.index.json"


def shards(folder, model):
    """Write a model's tensors into two files, and return the index's object."""
    named = {}
    for number in range(2):
        part = dict(list(model.state_dict().items())[number::2])
        save_file(part, folder / f"model-{number}.safetensors")
        named |= dict.fromkeys(part, f"model-{number}.safetensors")
    return {"metadata": {"total_size": 1}, "weight_map": named}


def test_two_files_are_one_checkpoint(tmp_path):
    model = nets.mlp().to(torch.bfloat16)
    (tmp_path / INDEX).write_text(json.dumps(shards(tmp_path, model)))
    again = nets.mlp().to(torch.bfloat16)
    assert load_weights(again, tmp_path / INDEX) == ""
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in again.state_dict().items())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda index: index.pop("weight_map"), "has no weight_map"),
        (lambda index: index["weight_map"].clear(), "names 0 files"),
        (lambda index: index["weight_map"].update(extra="model-1.safetensors"), "does not hold extra"),
        (lambda index: index["weight_map"].update(extra="../model-1.safetensors"), "no .safetensors file beside it"),
        (lambda index: index["weight_map"].update(extra="model-1.pt"), "no .safetensors file beside it"),
        (lambda index: index["weight_map"].update(extra=3), "for extra no file, but 3"),
        (lambda index: index["weight_map"].update(extra="model-9.safetensors"), "model-9"),
    ],
)
def test_an_index_that_lies_is_refused(change, said, tmp_path):
    index = shards(tmp_path, nets.mlp())
    change(index)
    (tmp_path / INDEX).write_text(json.dumps(index))
    with pytest.raises(WorkbenchError, match=said) as refused:
        load_weights(nets.mlp(), tmp_path / INDEX)
    assert len(str(refused.value).splitlines()) == 1

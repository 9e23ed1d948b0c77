"""Entropy coding: the same weights in fewer bytes, in the file as in the ledger."""

import pytest
import torch

from workbench.checkpoint.checkpoint import read, write
from workbench.measure import measure_size
from workbench.steps import EntropyCode, Prune, Quantize, ShareWeights
from workbench.steps.recipe import Recipe, run


@pytest.mark.parametrize(
    "steps",
    [(Quantize(bits=4),), (Prune(amount=0.7), ShareWeights(bits=4)), (Quantize(bits=8, activations=8),)],
    ids=lambda steps: steps[-1].kind,
)
def test_the_file_is_smaller_and_holds_the_same(images, steps, tmp_path):
    plain, state = run(images, Recipe(steps)), run(images, Recipe((*steps, EntropyCode())))
    for name, value in plain.model.state_dict().items():
        assert torch.equal(state.model.state_dict()[name], value)
    before, after = (measure_size(each.model, each.codings, images) for each in (plain, state))
    write(tmp_path / "model", state.model, state.codings)
    assert (tmp_path / "model").stat().st_size == after.total
    assert sum(made for _, made in after.ledger) == after.total
    assert dict(after.ledger)["entropy coding"] < 0 == dict(before.ledger)["entropy coding"]
    values, codings = read(tmp_path / "model")
    assert all(torch.equal(values[name], value) for name, value in state.model.state_dict().items())
    assert {name for name, coding in codings.items() if coding.entropy} == state.codings.keys()


def test_plain_layers_are_named(images):
    state = run(images, Recipe((Quantize(layers="conv*"), EntropyCode())))
    assert state.notes == tuple(
        f"{name}: not entropy-coded, it is stored as plain numbers; quantize it first" for name in ("hidden", "fc")
    )

"""Which layers follow each other directly."""

import pytest

from tests.nets import NETS, build
from tests.sampling import sampled
from workbench.graph import chains, fold_batchnorm

FOUND = {
    "mlp": [("0", "3")],
    "tied": [],
}


@pytest.mark.parametrize("name", sampled(NETS, 5, *FOUND))
def test_a_pair_is_two_layers_that_are_called_once(name):
    model, example = build(name)
    found = chains(fold_batchnorm(model, example), example)
    assert len({first for first, _ in found}) == len(found) == len({second for _, second in found})
    if name in FOUND:
        assert found == FOUND[name]

"""Costs that follow from shapes are those of the model that is really cut."""

from __future__ import annotations

import pytest

from tests.graph.analysed import groups_of
from tests.nets import NETS, build
from tests.sampling import sampled
from workbench.graph import cut
from workbench.graph.costs import Costs, macs_of_parameters
from workbench.measure.compute import count_macs


@pytest.mark.parametrize("name", sampled(NETS, 8))
def test_what_is_left_is_what_the_cut_model_has(name: str) -> None:
    model, example = build(name)
    groups = [group for group in groups_of(name).values() if group.protected is None]
    orders = {group.name: list(range(len(group.units)))[::-1] for group in groups}
    params = Costs(model, groups, orders, dict.fromkeys((n for n, _ in model.named_parameters()), 1.0))
    counted, rest = macs_of_parameters(model, example)
    prices = {name: macs / model.get_parameter(name).numel() for name, macs in counted.items()}
    macs = Costs(model, groups, orders, prices, rest=rest)
    for part in (0.0, 0.3, 0.6):
        gone = {group.name: int(part * len(group.units)) for group in groups}
        remove = {name: orders[name][:count] for name, count in gone.items()}
        smaller = cut(model, groups, remove)
        assert params.after(gone) == sum(value.numel() for value in smaller.parameters())
        assert macs.after(gone) == pytest.approx(count_macs(smaller, example), abs=1e-6)

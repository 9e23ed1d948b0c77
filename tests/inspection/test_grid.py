"""The values that a weight can take."""

from __future__ import annotations

import pytest
import torch

from workbench.checkpoint.coding import PowersOfTwo, fitted, grid
from workbench.inspection import grid_values

WEIGHT = torch.randn(6, 8, 3, 3, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("options", [{"axis": None}, {"axis": 0}, {"axis": 1}, {"axis": 0, "group": 3}])
def test_every_rounded_weight_of_the_widest_grid_is_one_of_its_values(options):
    coding = grid(WEIGHT, 3, options["axis"], True, group=options.get("group", 0))
    values, grids = grid_values(coding)
    assert grids == coding.scale.numel()
    assert len(values) == 7
    rounded = coding.round(WEIGHT)
    assert values[-1] == pytest.approx(float(rounded.abs().max()))
    assert sum(float((rounded == value).sum()) for value in values) >= 8


def test_levels_need_not_be_even():
    values, _ = grid_values(fitted(PowersOfTwo, WEIGHT, 3, None, "min-max"))
    assert values[-1] / values[-2] == pytest.approx(2.0)

"""Bounds: where steps cut and clip, and that dragging them there gives the same step again."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.model.layers import Layer
from workbench.steps import FineTune, Prune, Quantize
from workbench.steps.bounds import amount_below, magnitude_at, percentile_within

LAYER = Layer("conv", "conv2d", "conv.weight", (8, 4, 3, 3), 288, 1152, 0)


@pytest.fixture
def weight() -> torch.Tensor:
    return torch.randn(8, 4, 3, 3, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("amount", [0.0, 0.25, 0.5, 1.0])
def test_a_threshold_parts_as_many_weights_as_its_amount_says(weight, amount):
    assert amount_below(weight, magnitude_at(weight, amount)) == pytest.approx(amount, abs=1 / weight.numel())


def test_the_percentile_of_one_range_is_that_of_its_values():
    rows = torch.arange(101.0).unsqueeze(0)
    assert percentile_within(rows, 40.0) == pytest.approx(40.0)
    assert percentile_within(torch.cat([rows, rows * 2]), 40.0) == pytest.approx(20.0)
    assert percentile_within(rows, -1.0) == 0.0


@pytest.mark.parametrize(
    "step",
    [
        Prune(amount=0.3),
        Prune(amount=0.0),
        Quantize(),
        Quantize(granularity="tensor", ranges="percentile", percentile=95.0),
        Quantize(granularity="tensor", ranges="percentile", percentile=80.0, symmetric=False),
        Quantize(ranges="percentile", percentile=90.0, bits=4),
    ],
    ids=repr,
)
def test_bounds_that_were_not_moved_give_the_same_step(weight, step):
    found = step.bounds(weight, LAYER)
    again = step.with_bounds(weight, LAYER, found.low, found.high)
    moved = again.bounds(weight, LAYER)
    assert (moved.low, moved.high) == pytest.approx((found.low, found.high), rel=0.06)
    assert (
        getattr(again, found.option) == pytest.approx(getattr(step, found.option), abs=3) or again.ranges == "min-max"
    )


def test_a_narrower_range_clips_more(weight):
    step = Quantize(granularity="tensor")
    wide = step.bounds(weight, LAYER)
    narrow = step.with_bounds(weight, LAYER, wide.low / 2, wide.high / 2)
    assert narrow.ranges == "percentile"
    assert narrow.bounds(weight, LAYER).high == pytest.approx(wide.high / 2, rel=0.05)
    assert narrow.with_bounds(weight, LAYER, wide.low, wide.high).ranges == "min-max"


def test_what_has_no_bounds_says_so(weight):
    assert replace(Prune(), importance="taylor").bounds(weight, LAYER) is None
    assert Prune(ranking="global").bounds(weight, LAYER) is None
    assert Quantize(granularity="group").bounds(weight, LAYER) is None
    assert FineTune().bounds(weight, LAYER) is None
    with pytest.raises(WorkbenchError, match="no bounds"):
        FineTune().with_bounds(weight, LAYER, -1.0, 1.0)

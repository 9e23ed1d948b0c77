import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.inspection import channel_spread, histogram


def test_every_value_is_counted_once():
    values = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    found = histogram(values, bins=20)
    assert sum(found.counts) == 1000
    assert found.outside == 0
    assert len(found.edges) == 21
    assert found.edges[0] == pytest.approx(float(values.min()))


def test_values_outside_of_a_given_span_are_told():
    found = histogram(torch.tensor([-2.0, 0.0, 0.5, 3.0]), bins=4, span=(-1.0, 1.0))
    assert sum(found.counts) == 2
    assert found.outside == 2


def test_a_constant_has_bins_of_some_width():
    found = histogram(torch.zeros(5), bins=3)
    assert sum(found.counts) == 5
    assert found.edges[0] < 0 < found.edges[-1]


@pytest.mark.parametrize("values", [torch.tensor([]), torch.tensor([1.0, float("nan")]), torch.tensor([float("inf")])])
def test_what_cannot_be_drawn_is_refused(values):
    with pytest.raises(WorkbenchError, match=r"cannot be drawn|no values"):
        histogram(values)


def test_no_bins_are_refused():
    with pytest.raises(WorkbenchError, match="at least one bin"):
        histogram(torch.ones(3), bins=0)


def test_spread_has_five_values_a_channel():
    found = channel_spread(torch.tensor([[0.0, 1.0, 2.0, 3.0, 4.0], [5.0, 5.0, 5.0, 5.0, 5.0]]))
    assert found.low == (0.0, 5.0)
    assert found.quarter == (1.0, 5.0)
    assert found.median == (2.0, 5.0)
    assert found.three_quarters == (3.0, 5.0)
    assert found.high == (4.0, 5.0)


def test_spread_follows_the_dimension_of_the_outputs():
    assert len(channel_spread(torch.randn(3, 7, 2, 2), outputs=1).low) == 7


def test_a_vector_has_no_channels():
    with pytest.raises(WorkbenchError, match="no output channels"):
        channel_spread(torch.ones(3))

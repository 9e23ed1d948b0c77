"""What the tiles say of a number beside the baseline's."""

import pytest

from widgets.views.tiles import _against
from workbench import formatting


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (1000.0, 500.0, ("2.00 × smaller", "good")),
        (1000.0, 2000.0, ("2.00 × more", "bad")),
        (1_110_000.0, 1_110_012.0, ("12 B more", "bad")),
        (1_110_012.0, 1_110_000.0, ("12 B smaller", "good")),
        (1000.0, 1000.0, ("as the baseline", "")),
        (1000.0, 0.0, ("nothing left", "")),
    ],
)
def test_a_change_is_never_told_as_a_ratio_of_one(old: float, new: float, said: tuple[str, str]) -> None:
    assert _against(old, new, "smaller", formatting.size) == said

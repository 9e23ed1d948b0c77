"""A few small nets through the operations of `make coverage`: nothing raw, nothing wrong."""

from __future__ import annotations

import pytest

from tests.coverage.families.own import OWN, SMALL
from tests.coverage.operations import OPERATIONS, tried
from tests.sampling import sampled

# Files are exported for other nets elsewhere, and it takes longer than all else together.
QUICK = frozenset(OPERATIONS) - {"export"}
NETS = {net.name: net for net in OWN}


@pytest.mark.parametrize("name", sampled(SMALL, 2))
def test_every_operation_is_right(name: str) -> None:
    rows = dict(tried(NETS[name], QUICK))
    assert rows.keys() == QUICK
    assert {op: row for op, row in rows.items() if row["class"] not in ("OK", "none")} == {}

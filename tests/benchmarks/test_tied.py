"""One block in the place of three: what tied blocks cost on the digits' transformer, for half of its bytes.

`pytest tests/benchmarks/test_tied.py -s --override-ini=addopts=` prints the table, a row a seed. Each use of the block
has a difference of rank five, and all is distilled from the uncompressed net. Nothing is asserted but the bytes.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

import workbench as wb
from workbench import formatting

Rows = Callable[[str, list[dict[str, object]]], None]
SEEDS = (0, 1, 2)
STEPS = (wb.TieLayers(rank=5), wb.Distill(epochs=30))


@pytest.mark.parametrize("seed", SEEDS)
def test_tied_blocks(publish: Rows, seed: int) -> None:
    session = wb.Session(wb.load("digits-transformer"), wb.Settings(seed=seed), threaded=False, autosave=None)
    session.measure()
    before = session.measurements[0].bytes.total
    found = session.apply(wb.Recipe(STEPS, seed))
    test = session.test_score()
    assert test is not None
    assert found.bytes.total < before / 2
    publish(
        f"tied blocks, seed {seed}",
        [
            {
                "seed": seed,
                "validation": formatting.score(found.score),
                "change": formatting.change(found.score),
                "test": formatting.score(test),
                "change on test": formatting.change(test),
                "file": f"{found.bytes.total:,} bytes, {before / found.bytes.total:.2f} × smaller",
            }
        ],
    )
    session.close()

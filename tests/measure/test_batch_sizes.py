"""Latency at several batch sizes: each against the baseline at the same size."""

from __future__ import annotations

import pytest

from workbench.errors import WorkbenchError
from workbench.measure.batch_sizes import time_batches
from workbench.measure.runtimes import RUNTIMES
from workbench.steps import PruneChannels, State
from workbench.steps.recipe import Recipe, run


@pytest.mark.parametrize("runtime", ["eager", "onnxruntime"])
def test_each_size_is_timed_against_the_same_size(images, runtime):
    before, after = State.of(images), run(images, Recipe((PruneChannels(amount=0.5),)))
    rows = time_batches(runtime, before, after, images.task, (1, 5), seconds=0.01)
    assert [row.batch for row in rows] == [1, 5]
    assert {row.runtime for row in rows} == {runtime}
    assert all(row.median > 0 and row.baseline_median > 0 for row in rows)
    own = time_batches(runtime, before, before, images.task, (3,), seconds=0.01)
    assert [row.verdict for row in own] == ["baseline"]


def test_what_cannot_be_timed_is_said(images, monkeypatch):
    state = State.of(images)
    with pytest.raises(WorkbenchError, match="one sample or more, not of 0, 1"):
        time_batches("eager", state, state, images.task, (0, 1))

    def one_only(inputs):
        if len(inputs[0]) > 1:
            raise RuntimeError("it takes one at a time\nand more")

    monkeypatch.setattr(RUNTIMES["eager"], "prepare", lambda *_: one_only)
    with pytest.raises(WorkbenchError, match="eager does not run with 2 samples: it takes one at a time"):
        time_batches("eager", state, state, images.task, (1, 2), seconds=0.01)

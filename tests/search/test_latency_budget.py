"""A latency budget: the search, with a clock that counts multiply-accumulates instead of seconds."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import WorkbenchError
from workbench.measure.compute import count_macs
from workbench.measure.latency import summarize
from workbench.measure.runtimes import RUNTIMES
from workbench.search import latency_budget as pace
from workbench.search.latency_budget import least_enough
from workbench.search.sensitivity import Point, Table
from workbench.session import Settings
from workbench.steps import Context, FineTune, PruneChannels, Quantize, State
from workbench.steps.recipe import Recipe, run


@given(st.integers(0, 200), st.integers(0, 220))
def test_the_least_that_is_enough_is_found_in_few_looks(most, border):
    asked = []

    def enough(number):
        asked.append(number)
        return number >= border

    assert least_enough(most, enough) == (border if border <= most else None)
    assert len(asked) == len(set(asked)) <= (most + 1).bit_length()
    assert all(0 <= number <= most for number in asked)


@pytest.fixture
def counted(images, monkeypatch):
    """Time is what a model multiplies, and the baseline takes what the untouched one does."""
    example = images.task.example(2)
    whole = count_macs(images.model, example)
    monkeypatch.setattr(RUNTIMES["onnxruntime"], "prepare", lambda state, _: count_macs(state.model, example))

    def compared(runtime, baseline, candidate, inputs, **_):
        return summarize(runtime, [whole] * 20, [candidate] * 20, len(inputs[0]))

    monkeypatch.setattr(pace, "compare", compared)
    return lambda state: count_macs(state.model, example) / whole


@pytest.mark.parametrize("budget", ["channels", "macs"])
def test_the_step_that_is_found_is_fast_enough_and_the_next_weaker_one_is_not(images, open_session, counted, budget):
    session = open_session(images)
    step, latency, _ = session.pace(PruneChannels(budget=budget), 0.5)
    assert latency.ratio >= 2
    assert step.budget == budget
    left = [counted(run(images, Recipe((one,)))) for one in (step, replace(step, amount=round(step.amount - 0.01, 9)))]
    assert left[0] <= 0.5 < left[1]
    assert not session.recipe.steps


def test_a_step_without_degrees_goes_to_the_parts_that_lose_least(images, open_session, monkeypatch):
    """Time is the part of the layers that is not on integers."""
    layers = 5
    monkeypatch.setattr(RUNTIMES["onnxruntime"], "prepare", lambda state, _: layers - len(state.codings))
    compared = lambda runtime, baseline, candidate, inputs, **_: summarize(  # noqa: E731  # as short as it can be
        runtime, [layers] * 20, [candidate] * 20, len(inputs[0])
    )
    monkeypatch.setattr(pace, "compare", compared)
    session = open_session(images)
    step, latency, score = session.pace(Quantize(bits=2), 0.55)
    other = open_session(images, Settings(seconds=0.0, runtimes=("eager",)))
    assert score == other.extend((step,)).score, "what is told is what comes of it"
    assert latency.ratio == pytest.approx(layers / 2)
    assert step.bits == 2
    taken = step.layers.split(", ")
    assert len(taken) == 3
    drops = {point.target: -point.score.change for point in session.table.points}
    assert max(drops[name] for name in taken) <= min(drops[name] for name in drops if name not in taken)
    assert set(run(images, Recipe((step,))).codings) == {f"{name}.weight" for name in taken}


def test_a_step_that_no_part_takes_is_told(images):
    refused = Table(Quantize().facts(), None, ("conv1",), (8,), (Point("conv1", 8, None, reason="it is too small"),))
    with pytest.raises(WorkbenchError, match="Quantize can be done on no part alone: it is too small"):
        pace.by_parts(Quantize(), refused)


def test_a_strength_is_taken_only_where_the_whole_interval_is_fast_enough(images, monkeypatch):
    def timed(step, state, context, part, clock):
        return pace.mildest([step], state, context, part, clock)

    state, context, step = State(images.model), Context(images), PruneChannels(amount=0.5)
    found = summarize("onnxruntime", [2.0] * 20, [1.0, 1.02] * 10, 1)
    monkeypatch.setattr(pace.Clock, "compare", lambda *_: replace(found, ratio_low=1.5))
    clock = pace.Clock(lambda _: None, images.task.example(1))
    with pytest.raises(WorkbenchError, match="at most 33% surely went"):
        timed(step, state, context, 0.4, clock)
    assert timed(step, state, context, 0.3, clock)[0] == step
    busy = replace(found, verdict="unknown", reason="the machine is busy, 19 of 20 pairs were disturbed")
    monkeypatch.setattr(pace.Clock, "compare", lambda *_: busy)
    with pytest.raises(WorkbenchError, match="latency cannot be told now: the machine is busy, 19 of 20"):
        timed(step, state, context, 0.3, clock)


def test_what_cannot_be_reached_is_told(images, open_session, counted):
    session = open_session(images)
    with pytest.raises(WorkbenchError, match=r"Prune channels: 90% of the latency .* at most \d+% surely went \("):
        session.pace(PruneChannels(layers="hidden", budget="macs"), 0.9)
    with pytest.raises(WorkbenchError, match="Fine-tune has no strength"):
        session.pace(FineTune(), 0.5)
    with pytest.raises(WorkbenchError, match="between 0 and 1, not 1"):
        session.pace(PruneChannels(), 1)
    with pytest.raises(WorkbenchError, match="latency on tpu cannot be measured: the session measures on eager"):
        session.pace(PruneChannels(), 0.5, "tpu")

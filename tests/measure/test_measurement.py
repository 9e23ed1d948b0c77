"""The record: complete, of the right state, and the same after JSON."""

import json

import pytest
import torch

from tests.checkpoint.test_checkpoint import subject_of
from workbench.measure import HOW, Measurement, count, measure_size
from workbench.model.subject import Subject
from workbench.steps import Prune, PruneChannels, State
from workbench.steps.recipe import Recipe, run


def test_the_record_is_whole_and_comes_back_from_json(session):
    found = session.apply(PruneChannels(amount=0.5))
    assert Measurement.read(json.loads(json.dumps(found.facts()))) == found
    facts = found.facts()
    assert facts["how"] == HOW
    assert all(name in facts for name in HOW)
    assert [name for name, how in HOW.items() if how != "measured"] == ["energy"]
    base = session.baseline
    assert (base.score.change, base.latency["eager"].verdict) == (0.0, "baseline")
    assert found.macs < base.macs
    assert found.params < base.params
    assert found.peak_memory < base.peak_memory
    assert found.energy < base.energy
    assert found.bytes.total < base.bytes.total
    assert found.bytes.ledger[0] == ("baseline file", base.bytes.total)


def test_parameters_are_counted_once_and_zeros_are_left_out():
    subject = subject_of("tied")
    total = 20 * 8 + (8 * 12 + 12) + (12 * 8 + 8)
    assert count(State(subject.model)) == (total, total)
    state = run(subject, Recipe((Prune(amount=0.5, layers="embed"),)))
    assert count(state) == (total, total - 80)
    overlay = {"hidden.weight": torch.zeros(12, 8)}
    assert count(State(subject.model), overlay) == (total, total - 96)


def test_a_tolerance_leaves_an_interval(images, open_session):
    from workbench.session.settings import Settings

    loose = open_session(images, Settings(tolerance=0.05, seconds=0.0, runtimes=("eager",)))
    found = loose.apply(Prune(amount=0.3))
    assert not found.score.exact
    assert 0 < found.score.half_width <= 0.05


def test_latency_is_for_the_asked_batch(images, open_session):
    from workbench.session.settings import Settings

    found = open_session(images, Settings(batch=8, seconds=0.0)).baseline
    assert {one.batch for one in found.latency.values()} == {8}
    single = open_session(images, Settings(batch=1, seconds=0.0, runtimes=("eager",))).baseline
    assert found.peak_memory > single.peak_memory


def test_a_runtime_that_refuses_leaves_the_other_numbers(images, open_session, monkeypatch):
    from workbench.measure.runtimes import RUNTIMES

    def refuse(state, example):
        if state.model is images.model:
            return RUNTIMES["eager"].prepare(state, example)
        raise RuntimeError("unsupported operator\nwith details")

    monkeypatch.setattr(RUNTIMES["onnxruntime"], "prepare", refuse)
    found = open_session(images).apply(Prune())
    assert found.unavailable == {"onnxruntime": "unsupported operator"}
    assert found.latency.keys() == {"eager"}


@pytest.mark.parametrize("amount", [0.0, 0.4, 0.9])
def test_the_ledger_adds_up(images, amount):
    state = run(images, Recipe((Prune(amount=amount), PruneChannels(amount=0.3))))
    size = measure_size(state.model, state.codings, images)
    assert sum(bytes_ for _, bytes_ in size.ledger) == size.total


def test_counts_and_sizes_follow_a_parameter_that_was_written_to():
    """They are kept for each model, because most tensors of a preview are those of the one before."""
    subject = subject_of("plain")
    state = State(subject.model)
    total, before = count(state)[0], measure_size(subject.model, {}, subject).total
    weight = next(value for value in subject.model.parameters() if value.numel() > 64)
    with torch.no_grad():
        weight.zero_()
    assert count(state) == (total, total - weight.numel())
    assert measure_size(subject.model, {}, subject).total < before


def test_a_layer_without_any_weight_left_is_named_and_one_that_never_had_any_is_not(vectors, open_session):
    session = open_session(vectors)
    found = session.apply(Prune(layers="3", amount=1.0))
    assert "3: no weight is left, so that nothing of what enters gets through" in found.notes
    session.undo()
    assert not any("no weight is left" in note for note in session.apply(Prune(amount=0.9)).notes)
    model = torch.nn.Sequential(torch.nn.Linear(vectors.task.example()[0].shape[1], 8), torch.nn.Linear(8, 5))
    torch.nn.init.zeros_(model[0].weight)
    found = open_session(Subject("empty", model.eval(), vectors.task)).apply(Prune(layers="1", amount=0.5))
    assert not any("no weight is left" in note for note in found.notes)

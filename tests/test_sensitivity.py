"""Scans: every part at every strength, resumed after a kill, and what must stay never has a score."""

import json

import pytest

from workbench.errors import Cancelled, WorkbenchError
from workbench.measure import refer, score
from workbench.progress import Progress
from workbench.recipe import Recipe, run
from workbench.runtimes import eager
from workbench.sensitivity import Table, scan, targets
from workbench.steps import Context, FineTune, Prune, PruneChannels, Quantize, State
from workbench.subject import Subject


def reference_of(subject: Subject):
    return refer(eager.prepare(State(subject.model), ()), subject.task.split("validation"), subject.task.metric)


@pytest.fixture(scope="module")
def reference(images):
    return reference_of(images)


def test_every_layer_is_tried_alone_at_every_strength(images, reference):
    table = scan(State(images.model), Prune(), Context(images), reference, (0.5, 0.95), tolerance=0.0)
    assert table.targets == ("conv1", "conv2", "conv3", "hidden", "fc")
    assert table.strengths == (0.5, 0.95)
    assert table.done
    for target in table.targets:
        for strength in table.strengths:
            alone = run(images, Recipe((Prune(layers=target, amount=strength),)))
            exact = score(eager.prepare(alone, ()), reference)
            assert table.at(target, strength).score == exact
    assert table.baseline == reference.score
    assert min(point.score.change for point in table.points) < -0.1


def test_a_loose_tolerance_needs_fewer_samples_and_still_covers(images, reference):
    exact = scan(State(images.model), Quantize(), Context(images), reference, (4, 2), tolerance=0.0)
    loose = scan(State(images.model), Quantize(), Context(images), reference, (4, 2), tolerance=0.05)
    assert sum(point.score.n for point in loose.points) < 0.8 * sum(point.score.n for point in exact.points)
    for one, other in zip(loose.points, exact.points, strict=True):
        assert one.score.half_width <= max(0.05, 0.1 * abs(one.score.change))
        assert one.score.low - 0.02 <= other.score.value <= one.score.high + 0.02


def test_groups_that_must_stay_have_a_reason_and_never_a_score(images, reference):
    table = scan(State(images.model), PruneChannels(), Context(images), reference, (0.5,))
    groups = Context(images).groups(images.model)
    protected = {group.name: group.protected for group in groups if group.protected}
    assert protected
    for point in table.points:
        assert (point.score is None) == (point.target in protected)
        assert point.reason == protected.get(point.target, "")
    assert {point.target for point in table.points} == {group.name for group in groups}


def test_what_fails_at_one_strength_is_a_reason_and_not_the_end(images, reference):
    table = scan(State(images.model), Quantize(activations=8, exclude="fc"), Context(images), reference, (8,))
    assert all(point.score for point in table.points)
    bare = Subject("bare", images.model, type(images.task)(validation=images.task.split("validation")))
    table = scan(State(bare.model), Quantize(activations=8), Context(bare), reference, (8,))
    assert all(point.score is None and "need train or calibration data" in point.reason for point in table.points)


def test_only_what_the_step_names_is_scanned(images):
    assert list(targets(State(images.model), Prune(layers="conv*", exclude="conv2"), Context(images))) == [
        "conv1",
        "conv3",
    ]
    assert list(targets(State(images.model), PruneChannels(layers="hidden"), Context(images))) == ["hidden"]


@pytest.mark.parametrize(
    ("step", "amounts", "said"),
    [
        (FineTune(), (), "no strength to vary"),
        (Prune(), (1.5,), "strength 1.5: Prune weights: amount must be at most 1"),
        (Prune(layers="conv9"), (), "no layer matches"),
    ],
)
def test_a_scan_that_makes_no_sense_is_refused(images, reference, step, amounts, said):
    with pytest.raises(WorkbenchError, match=said):
        scan(State(images.model), step, Context(images), reference, amounts)


def test_a_killed_scan_goes_on_and_gives_the_same_table(images, reference, tmp_path):
    def work(cache, stop_after=None):
        ticks = []
        progress = Progress(ticks.append, lambda: stop_after is not None and len(ticks) > stop_after)
        calls = []
        context = Context(images, 0, progress)
        state, how = State(images.model), {"tolerance": 0.02, "cache": cache, "found": calls.append}
        table = scan(state, Prune(), context, reference, (0.5, 0.9), **how)
        assert [len(one.points) for one in calls] == list(range(1, 11))
        return table

    whole = work(None)
    with pytest.raises(Cancelled):
        work(tmp_path, stop_after=4)
    kept = sorted(tmp_path.rglob("*.json"))
    assert len(kept) == 4
    # A kill in the middle of a write leaves half a file; another leaves an older format's.
    kept[0].write_text(kept[0].read_text()[:20])
    kept[1].write_text('{"target": "conv1"}')
    stamps = {path: path.stat().st_mtime_ns for path in kept[2:]}
    assert work(tmp_path) == whole
    assert len(sorted(tmp_path.rglob("*.json"))) == 10
    assert all(json.loads(path.read_text()) for path in kept)
    assert stamps.keys() <= set(kept)


def test_what_is_kept_is_read_and_not_scored_again(images, reference, tmp_path):
    arguments = (State(images.model), Prune(), Context(images), reference, (0.5,))
    scan(*arguments, cache=tmp_path)
    (path, *_) = sorted(tmp_path.rglob("*.json"))
    facts = json.loads(path.read_text())
    path.write_text(json.dumps({**facts, "nonzero": 1}))
    table = scan(*arguments, cache=tmp_path)
    assert table.at(facts["target"], 0.5).nonzero == 1


def test_another_state_seed_or_tolerance_is_another_scan(images, reference, tmp_path):
    arguments = (Prune(layers="fc"), Context(images), reference, (0.5,))
    pruned = run(images, Recipe((Prune(amount=0.3),)))
    scan(State(images.model), *arguments, cache=tmp_path)
    scan(pruned, *arguments, cache=tmp_path)
    scan(State(images.model), *arguments, cache=tmp_path, tolerance=0.5)
    scan(State(images.model), Prune(layers="fc"), Context(images, 1), reference, (0.5,), cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 4


def test_a_table_comes_back_from_json(images, reference):
    table = scan(State(images.model), PruneChannels(), Context(images), reference, (0.5,))
    again = Table.read(json.loads(json.dumps(table.facts())))
    assert again == table

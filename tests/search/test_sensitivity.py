"""Scans: every part at every strength, resumed after a kill, and what must stay never has a score."""

import copy
import itertools
import json
import math
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import pytest

from tests.sampling import whole
from workbench.errors import Cancelled, WorkbenchError
from workbench.jobs.progress import Progress
from workbench.loading.load import load
from workbench.measure import refer
from workbench.measure.evaluator import Evaluator
from workbench.measure.sequential import score
from workbench.model.subject import Subject
from workbench.search.sensitivity import Table, scan, targets
from workbench.search.trials import Outcome, Tolerance, TrialContext
from workbench.search.trials.trial import unclear
from workbench.steps import Context, FineTune, Prune, PruneChannels, Quantize, State
from workbench.steps.recipe import Recipe, run
from workbench.task.metric import Metric
from workbench.task.task import Task


def trial_context_of(
    subject: Subject, state: State | None = None, seed: int = 0, progress: Progress | None = None
) -> TrialContext:
    """Return what a scan of a subject is made on; parts of the model are run on their own even where it is tiny."""
    evaluator = Evaluator(subject.task.split("validation"), least=0.0)
    reference = refer(evaluator, State(subject.model), subject.task.metric)
    return TrialContext(
        state or State(subject.model), Context(subject, seed, progress or Progress()), reference, evaluator
    )


@pytest.fixture(scope="module")
def trial_context(images):
    return trial_context_of(images)


def test_every_layer_is_tried_alone_at_every_strength(images, trial_context):
    table = scan(trial_context, Prune(), (0.5, 0.95), tolerance=Tolerance(0.0))
    assert table.targets == ("conv1", "conv2", "conv3", "hidden", "fc")
    assert table.strengths == (0.5, 0.95)
    assert table.done
    for target in table.targets:
        for strength in table.strengths:
            alone = run(images, Recipe((Prune(layers=target, amount=strength),)))
            exact = score(trial_context.evaluator.prepare(alone), trial_context.reference)
            assert table.at(target, strength).score == exact
    assert table.baseline == trial_context.reference.score
    assert min(point.score.change for point in table.points) < -0.1


def test_a_loose_tolerance_needs_fewer_samples_and_still_covers(images, trial_context):
    exact = scan(trial_context, Quantize(), (4, 2), tolerance=Tolerance(0.0))
    loose = scan(trial_context, Quantize(), (4, 2), tolerance=Tolerance(0.05))
    assert sum(point.score.n for point in loose.points) < 0.8 * sum(point.score.n for point in exact.points)
    for one, other in zip(loose.points, exact.points, strict=True):
        assert one.score.half_width <= max(0.05, 0.1 * abs(one.score.change))
        assert one.score.low - 0.02 <= other.score.value <= one.score.high + 0.02


def test_groups_that_must_stay_have_a_reason_and_never_a_score(images, trial_context):
    table = scan(trial_context, PruneChannels(), (0.5,))
    groups = Context(images).groups(images.model)
    protected = {group.name: group.protected for group in groups if group.protected}
    assert protected
    for point in table.points:
        assert (point.score is None) == (point.target in protected)
        assert point.reason == protected.get(point.target, "")
    assert {point.target for point in table.points} == {group.name for group in groups}


def test_what_fails_at_one_strength_is_a_reason_and_not_the_end(images, trial_context):
    table = scan(trial_context, Quantize(activations=8, exclude="fc"), (8,))
    assert all(point.score for point in table.points)
    bare = Subject("bare", images.model, type(images.task)(validation=images.task.split("validation")))
    table = scan(trial_context_of(bare), Quantize(activations=8), (8,))
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
def test_a_scan_that_makes_no_sense_is_refused(images, trial_context, step, amounts, said):
    with pytest.raises(WorkbenchError, match=said):
        scan(trial_context, step, amounts)


def test_a_killed_scan_goes_on_and_gives_the_same_table(images, tmp_path):
    def work(folder, stop_after=None):
        ticks, calls = [], []
        progress = Progress(ticks.append, lambda: stop_after is not None and len(ticks) >= stop_after)
        trial_context = trial_context_of(images, progress=progress)
        table = scan(trial_context, Prune(), (0.5, 0.9), tolerance=Tolerance(0.02), folder=folder, report=calls.append)
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
    assert work(tmp_path) == whole
    assert len(sorted(tmp_path.rglob("*.json"))) == 10
    assert all(json.loads(path.read_text()) for path in kept)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".json"]


def test_what_is_kept_is_read_and_not_scored_again(trial_context, tmp_path):
    scan(trial_context, Prune(), (0.5,), folder=tmp_path)
    (path, *_) = sorted(tmp_path.rglob("*.json"))
    facts = json.loads(path.read_text())
    path.write_text(json.dumps({**facts, "nonzero": 1}))
    table = scan(trial_context, Prune(), (0.5,), folder=tmp_path)
    assert [point.nonzero for point in table.points].count(1) == 1


def test_another_state_or_seed_is_another_scan_and_another_precision_is_not(images, trial_context, tmp_path):
    step = Prune(layers="conv1")
    pruned = run(images, Recipe((Prune(amount=0.3),)))
    loose = scan(trial_context, step, (0.95,), folder=tmp_path, tolerance=Tolerance(0.2))
    exact = scan(trial_context, step, (0.95,), folder=tmp_path, tolerance=Tolerance(0.0))
    assert loose.points[0].score.n < exact.points[0].score.n == 600
    assert exact == scan(trial_context, step, (0.95,), tolerance=Tolerance(0.0))
    assert len(list(tmp_path.iterdir())) == 1
    scan(trial_context_of(images, pruned), step, (0.95,), folder=tmp_path)
    scan(trial_context_of(images, seed=1), step, (0.95,), folder=tmp_path)
    assert len(list(tmp_path.iterdir())) == 3


def test_time_goes_to_what_is_least_certain(trial_context, monkeypatch):
    """With no time at all every point has a first estimate; each later look is at the widest interval."""
    first = scan(trial_context, Prune(), (0.3, 0.95), seconds=0.0)
    assert first.done
    assert {point.score.n for point in first.points} == {48}
    clock = itertools.count()
    monkeypatch.setattr("workbench.search.trials.run.time", SimpleNamespace(monotonic=lambda: next(clock)))
    tables, tolerance = [], Tolerance(0.01, 0.0)
    scan(trial_context, Prune(), (0.3, 0.95), tolerance=tolerance, seconds=6.5, report=tables.append)
    looks = tables[len(first.points) - 1 :]
    assert len(looks) == 1 + 6
    for before, after in itertools.pairwise(looks):
        (moved,) = [n for n, (one, other) in enumerate(zip(before.points, after.points, strict=True)) if one != other]
        excess = [tolerance.excess(point.score) for point in before.points]
        assert excess[moved] == max(excess) > 1
        assert after.points[moved].score.n > before.points[moved].score.n


def test_enough_time_makes_every_point_clear_and_no_more(trial_context):
    table = scan(trial_context, Prune(), (0.5, 0.9), seconds=600.0)
    assert all(Tolerance().excess(point.score) <= 1 for point in table.points)
    assert not all(point.score.exact for point in table.points)


@pytest.mark.parametrize("seconds", [None, 0.0])
def test_an_executor_gives_the_same_table(trial_context, seconds):
    steps = {"amounts": (0.5, 0.9), "step": Prune()}
    alone = scan(trial_context, steps["step"], steps["amounts"], seconds=seconds)
    with ThreadPoolExecutor(2) as pool:
        together = scan(trial_context, steps["step"], steps["amounts"], seconds=seconds, executor=pool)
    assert together == alone


@whole
@pytest.mark.slow
def test_a_dask_cluster_of_processes_gives_the_same_table(images, tmp_path):
    """The net comes from a file that workers cannot import, the metric is a function of this test."""
    distributed = pytest.importorskip("distributed")
    path = tmp_path / "nets.py"
    path.write_text(
        "import torch\n\nclass Net(torch.nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n        self.fc = torch.nn.Linear(144, 4)\n"
        "    def forward(self, x):\n        return self.fc(x.flatten(1))\n\n\n"
        "def net():\n    torch.manual_seed(0)\n    return Net()\n"
    )
    model = load(f"{path}:net", validation=images.task.split("validation")).model
    named = Metric.of(lambda outputs, targets: (outputs.argmax(1) == targets).double())
    splits = {name: images.task.split(name) for name in ("validation", "train")}
    trial_context = trial_context_of(Subject("net", model, Task(metric=named, **splits)))
    alone = scan(trial_context, Prune(), (0.5, 0.9))
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        assert scan(trial_context, Prune(), (0.5, 0.9), executor=client.get_executor()) == alone


def test_what_cannot_be_sent_is_refused(images):
    model = copy.deepcopy(images.model)
    model.lock = threading.Lock()
    subject = copy.copy(images)
    trial_context = replace(trial_context_of(images), state=State(model), context=Context(subject))
    with ThreadPoolExecutor(1) as pool, pytest.raises(WorkbenchError, match="cannot be"):
        scan(trial_context, Prune(), (0.5,), executor=pool)


def test_a_scan_elsewhere_stops_when_told(images):
    ticks = []
    trial_context = trial_context_of(images, progress=Progress(ticks.append, lambda: len(ticks) >= 2))
    with ThreadPoolExecutor(1) as pool, pytest.raises(Cancelled):
        scan(trial_context, Prune(), (0.5, 0.9), executor=pool)


def test_a_table_comes_back_from_json(images, trial_context):
    table = scan(trial_context, PruneChannels(), (0.5,))
    again = Table.read(json.loads(json.dumps(table.facts())))
    assert again == table


def test_a_metric_without_bounds_is_scored_on_all_samples(regression):
    trial_context = trial_context_of(regression)
    table = scan(trial_context, Prune(), (0.3, 0.9))
    assert all(point.score.exact for point in table.points)
    hurried = scan(trial_context, Prune(), (0.3, 0.9), seconds=0.0)
    assert not any(point.score.known or point.score.exact for point in hurried.points)
    assert all(math.isfinite(hurried.drop(point)) for point in hurried.points)
    outcomes = {n: Outcome(replace(hurried.points[0].score, n=count)) for n, count in enumerate((300, 100, 200))}
    assert unclear(outcomes, Tolerance()) == [1, 2, 0]


def test_a_preview_and_a_contest_of_a_regression_end_exactly(regression, open_session):
    session = open_session(regression)
    session.preview(Prune(amount=0.5))
    assert session.staged.score.exact
    found = session.contest(units="weights", amounts=(0.3, 0.6))
    assert all(stop.score.exact for entry in found.entries for stop in entry.curve)

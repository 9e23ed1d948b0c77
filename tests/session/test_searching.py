"""A goal in a session: what is shown was measured together, can be taken over, and is not forgotten."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch
from torch import nn

import workbench as wb
from tests.sampling import whole
from workbench.errors import Cancelled, WorkbenchError
from workbench.jobs.progress import Progress
from workbench.search.planner import Candidate, judge, parts, run
from workbench.search.planner.findings import cost_of
from workbench.search.planner.last import _Last
from workbench.session import Settings

UNTRAINED = ("distill", "train_quantized", "prune_channels")
GOAL = wb.Goal(lose=2.0, seconds=0.6)


class Counted:
    """A clock that goes on by being asked, so that a search does the same on any machine."""

    def __init__(self, step: float) -> None:
        self.now, self.step = 0.0, step

    def ask(self) -> float:
        self.now += self.step
        return self.now

    monotonic = perf_counter = ask


def count_time(patch: pytest.MonkeyPatch, step: float = 0.002) -> None:
    clock = Counted(step)
    for module in (run, judge, parts):
        patch.setattr(module, "time", clock)


@pytest.fixture(autouse=True, scope="module")
def counted():
    with pytest.MonkeyPatch.context() as patch:
        count_time(patch)
        yield


@pytest.fixture(scope="module")
def found(counted, images, tmp_path_factory):
    """A search without training, and the session that it was made in."""
    session = wb.Session(images, Settings(seconds=0.02), threaded=False, autosave=tmp_path_factory.mktemp("search"))
    seen = []
    session.observe(lambda change: seen.append(change["new"]), "findings")
    findings = session.search(GOAL, forbid=UNTRAINED)
    yield session, findings, seen
    session.close()


def test_the_winner_meets_the_goal_and_is_smaller(found):
    session, findings, _ = found
    winner = findings.at(findings.winner)
    assert winner.verdict == "meets"
    assert winner.final.exact
    assert winner.final.loss <= 0.02 + 1e-9
    assert winner.costs["bytes"] < session.baseline.bytes.total / 3.5
    assert findings.test.split == "test"
    assert findings.test.exact
    assert session.history.at == 0, "nothing is applied"


def test_a_part_of_validation_is_held_out(found):
    _, findings, _ = found
    assert findings.seen + findings.held == findings.baseline.total == 600
    winner = findings.at(findings.winner)
    assert winner.score.total == findings.seen
    assert winner.held_out.total == findings.held
    assert winner.final.total == 600
    whole = winner.held_out.change * findings.held
    if winner.score.exact:
        whole += winner.score.change * findings.seen
        assert winner.final.change == pytest.approx(whole / 600)
    assert "were held out until then" in findings.words
    assert f"{len(findings.candidates)} candidates" in findings.words


def test_the_front_is_beaten_by_nothing_that_was_compared(found):
    _, findings, _ = found
    shown = findings.shown
    assert [one.costs["bytes"] for one in shown] == sorted(one.costs["bytes"] for one in shown)
    losses = [one.final.loss for one in shown]
    assert losses == sorted(losses, reverse=True)
    assert findings.winner == findings.front[0]


def test_findings_grow_and_each_candidate_has_its_place(found):
    _, findings, seen = found
    grown = [len(one.candidates) for one in seen if one is not None]
    assert grown == sorted(grown)
    assert grown[-1] == len(findings.candidates) > 5
    assert [one.number for one in findings.candidates] == list(range(1, len(findings.candidates) + 1))
    assert {one.origin for one in findings.candidates} >= {"known", "knapsack"}


def test_what_was_found_comes_back_from_json(found):
    _, findings, _ = found
    facts = json.loads(json.dumps(findings.facts()))
    assert [Candidate.read(one) for one in facts["candidates"]] == list(findings.candidates)
    with pytest.raises(WorkbenchError, match="no candidate"):
        Candidate.read({"verdict": "meets"})
    with pytest.raises(WorkbenchError, match="no candidate 0"):
        findings.at(0)


def test_a_winner_is_taken_over_with_the_numbers_that_were_shown(found):
    session, findings, _ = found
    winner = findings.at(findings.winner)
    measured = session.apply(findings.recipe(winner.number))
    assert measured.bytes.total == winner.costs["bytes"]
    assert measured.score.value == pytest.approx(winner.final.value)
    assert session.recipe == findings.recipe(winner.number)
    session.reset()


def test_the_next_search_starts_from_what_is_known(found, images):
    session, findings, _ = found
    again = session.search(wb.Goal(lose=2.0, seconds=0.0), forbid=UNTRAINED)
    scored = {one.steps for one in findings.candidates if one.score}
    assert again.known > 0
    assert {one.steps for one in again.candidates} <= scored
    assert again.at(again.winner).costs["bytes"] <= min(
        one.costs["bytes"] for one in findings.candidates if one.final and one.verdict == "meets"
    )


def test_a_search_that_is_stopped_keeps_what_it_found(images, open_session):
    session = open_session(images)
    session.reference()

    def enough() -> bool:
        return session.findings is not None and len(session.findings.candidates) >= 4

    with pytest.raises(Cancelled):
        session.search(wb.Goal(seconds=60), forbid=UNTRAINED, progress=Progress(None, enough))
    assert len(session.findings.candidates) >= 4
    assert not session.findings.done
    assert session.history.at == 0


@whole
def test_training_recovers_what_was_cut(images, open_session):
    findings = open_session(images).search(wb.Goal(lose=15.0, least="macs", seconds=0.24), forbid=("train_quantized",))
    kinds = {step.kind for one in findings.candidates for step in one.steps}
    assert {"prune_channels", "distill"} <= kinds
    assert all("macs" in one.costs for one in findings.candidates if one.verdict in ("meets", "fails"))
    winner = findings.at(findings.winner)
    assert winner.costs["macs"] < findings.before["macs"]
    assert any(step.kind == "distill" for step in winner.steps)


def test_limits_hold_beside_the_score(images, open_session):
    session = open_session(images)
    least = wb.Goal(lose=5.0, seconds=0.45, most={"bytes": 5500, "worst class": 10.0})
    findings = session.search(least, forbid=UNTRAINED)
    assert findings.candidates
    for one in findings.candidates:
        if one.verdict == "meets":
            assert one.costs["bytes"] <= 5500
        if one.costs.get("bytes", 0) > 5500:
            assert one.verdict in ("fails", "dominated")
            assert "bytes is" in one.reason or one.verdict == "dominated"


@whole
def test_a_search_keeps_to_the_layers_that_it_may_change(images, open_session):
    session = open_session(images, autosave=None)
    session.apply(wb.Quantize(layers="fc", bits=8))
    findings = session.search(wb.Goal(lose=5.0, seconds=0.3), forbid=UNTRAINED, layers="conv2, conv3", exclude="conv2")
    assert findings.winner is not None
    assert {step.layers for one in findings.candidates for step in one.steps} == {"conv3", "conv2, conv3"}
    assert findings.recipe(findings.winner).steps[0] == wb.Quantize(layers="fc", bits=8), "it goes on from there"
    assert all(step.exclude == "conv2" for one in findings.candidates for step in one.steps if "," in step.layers)


@whole
def test_several_workers_look_at_candidates(images, open_session):
    session = open_session(images, autosave=None)
    with ThreadPoolExecutor(2) as pool:
        findings = session.search(GOAL, forbid=UNTRAINED, executor=pool)
    assert findings.winner is not None
    assert not [one for one in findings.candidates if one.verdict == "lost"]


@whole
@pytest.mark.slow
def test_a_dask_cluster_of_processes_trains_candidates_too(images, open_session):
    distributed = pytest.importorskip("distributed")
    session = open_session(images, autosave=None)
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        goal = wb.Goal(lose=15.0, least="macs", seconds=0.24)
        findings = session.search(goal, forbid=("train_quantized",), executor=client.get_executor())
    assert any(step.kind == "distill" for one in findings.candidates for step in one.steps)
    assert not [one for one in findings.candidates if one.verdict == "lost"]
    assert findings.winner is not None


@whole
def test_a_goal_that_cannot_be_met_says_so(images, open_session):
    findings = open_session(images, autosave=None).search(
        wb.Goal(lose=0.0, seconds=0.6, most={"bytes": 1}), forbid=UNTRAINED
    )
    assert findings.winner is None
    assert findings.front == ()
    assert findings.test is None
    assert findings.best is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"methods": ("levitate",)}, "cannot take levitate"),
        ({"methods": ("fold_norms",)}, "cannot take fold_norms"),
        ({"forbid": ("*",)}, "nothing is left"),
        ({"forbid": ("prune_chanels",)}, "no method matches prune_chanels"),
        ({"layers": "conv9"}, "no layer matches 'conv9'"),
        ({"sampler": "guess"}, "there is no sampler 'guess'"),
    ],
)
def test_what_cannot_be_searched_is_refused_at_once(session, options, said):
    with pytest.raises(WorkbenchError, match=said):
        session.search(GOAL, **options)


def test_a_time_that_nobody_measures_is_refused(images, open_session):
    session = open_session(images, Settings(seconds=0.02, runtimes=("eager",)))
    with pytest.raises(WorkbenchError, match="latency on onnxruntime cannot be measured"):
        session.search(wb.Goal(least="latency:onnxruntime", seconds=1))


def test_a_metric_without_bounds_is_searched_whole(regression, open_session):
    findings = open_session(regression, autosave=None).search(
        wb.Goal(lose=0.5, seconds=0.6), forbid=("distill", "train_quantized", "prune_channels")
    )
    assert findings.winner is not None
    assert findings.at(findings.winner).final.loss <= 0.5


def test_classes_that_there_are_none_of_are_missed_before_the_search(regression, open_session):
    session = open_session(regression, autosave=None)
    with pytest.raises(WorkbenchError, match="samples have no classes here"):
        session.search(wb.Goal(most={"worst class": 2.0}, seconds=60), forbid=UNTRAINED)
    assert session.findings is None


def test_of_several_quantities_each_may_add_to_the_front(found):
    _, findings, _ = found
    winner = findings.at(findings.winner)
    lose = 0.02

    def adds(least, **costs):
        goal, other = wb.Goal(least=least), replace(winner, number=999, costs={**winner.costs, **costs})
        known = [replace(winner, costs={"bytes": 5e3, "macs": 1e5}), other]
        last = _Last(replace(findings, goal=goal, candidates=tuple(known)), None, lose)
        last.meeting, last.states = 1, {winner.number: None}
        return last.adds(replace(other, score=winner.final))

    assert adds(("bytes", "macs"), bytes=6e3, macs=5e4)
    assert not adds(("bytes", "macs"), bytes=6e3, macs=1e5)
    assert not adds("bytes", bytes=6e3)


def test_what_is_shown_was_timed_again_with_its_interval(images, open_session):
    settings = Settings(seconds=0.02, runtimes=("eager",))
    findings = open_session(images, settings, autosave=None).search(
        wb.Goal(lose=15.0, least="latency:eager", seconds=0.2), forbid=("train_quantized",)
    )
    timed = [one for one in findings.candidates if one.latency]
    assert timed
    for one in timed:  # on a busy machine a time may be unknown, which meets nothing
        (latency,) = one.latency.values()
        known = latency.verdict != "unknown"
        assert known == ("latency:eager" in one.costs)
        assert known or (one.verdict == "fails" and "is not known: " in one.reason)
        assert (cost_of(one, "latency:eager").endswith("]")) if known else True


def test_a_recipe_that_is_to_be_improved_is_looked_at_whatever_it_is_made_of(images, open_session):
    improve = (wb.FoldNorms(), wb.Quantize(bits=8))
    findings = open_session(images, autosave=None).search(
        wb.Goal(lose=5.0, seconds=0.1), forbid=UNTRAINED, improve=improve
    )
    assert improve in [one.steps for one in findings.candidates]


def test_a_plan_is_for_the_state_that_the_search_began_at(found):
    session, findings, _ = found
    session.findings = findings  # another test may have searched on in the same session
    session.plan_candidate(findings.winner)
    assert session.plan == findings.at(findings.winner).steps
    session.apply(wb.FoldNorms())
    with pytest.raises(WorkbenchError, match="the state that the search began at"):
        session.plan_candidate(findings.winner)
    session.undo()
    session.plan = ()


class Deciding(nn.Module):
    """No graph can be made of it, so that nothing can be cut."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(8, 24), nn.Linear(24, 3)

    def forward(self, x):
        return self.last(self.first(x).relu() * (2 if float(x.sum()) > 0 else 1))


@whole
def test_what_cannot_be_cut_is_given_up_soon(open_session):
    torch.manual_seed(0)
    model, x = Deciding().eval(), torch.randn(60, 8)
    labels = torch.cat([model(part).argmax(1) for part in x.split(1)])
    subject = wb.Subject("deciding", model, wb.Task(train=(x, labels), validation=(x, labels)))
    settings = Settings(seconds=0.02, runtimes=("eager",))
    findings = open_session(subject, settings, autosave=None).search(wb.Goal(lose=20.0, seconds=0.5, least="bytes"))
    impossible = [one for one in findings.candidates if one.verdict == "impossible" and one.origin == "trained"]
    assert len(impossible) <= run.GIVE_UP
    assert findings.candidates

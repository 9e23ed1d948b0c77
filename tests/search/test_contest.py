"""The contest: everybody ranks the same units, and each ranking is followed and measured."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from scipy.stats import spearmanr

from workbench.errors import Cancelled, WorkbenchError
from workbench.graph import cut
from workbench.jobs.progress import Progress
from workbench.measure import refer
from workbench.measure.evaluator import Evaluator
from workbench.measure.sequential import score
from workbench.search.contest import Contest, hold_contest, rank_correlation
from workbench.search.trials import TrialContext
from workbench.steps import Context, Prune, State
from workbench.steps.prune.importance import CRITERIA, WEIGHT_CRITERIA
from workbench.steps.prune.importance.ranking import least_important
from workbench.steps.recipe import Recipe, run

QUICK = ("magnitude", "l2", "taylor", "activation", "deep_lift", "batchnorm", "random")


def trial_context_of(subject, progress=None):
    evaluator, state = Evaluator(subject.task.split("validation")), State(subject.model)
    reference = refer(evaluator, state, subject.task.metric)
    return TrialContext(state, Context(subject, 0, progress or Progress()), reference, evaluator)


@pytest.fixture(scope="module")
def trial_context(images):
    return trial_context_of(images)


@pytest.fixture(scope="module")
def held(trial_context):
    grown = []
    made = hold_contest(trial_context, layers="conv*", criteria=QUICK, amounts=(0.5, 0.25, 0.75), report=grown.append)
    return made, grown


def test_every_criterion_ranks_the_same_units_and_is_followed(held, images, trial_context):
    contest, grown = held
    assert contest.parts == (("conv1", 8), ("conv2", 16))
    assert contest.amounts == (0.25, 0.5, 0.75)
    assert [entry.criterion for entry in contest.entries] == [kind for kind in CRITERIA if kind in QUICK]
    assert [len(entry.curve) for entry in contest.entries] == [0 if entry.reason else 3 for entry in contest.entries]
    assert grown[-1] == contest
    assert len(grown) == 1 + 3 * sum(not entry.reason for entry in contest.entries)
    groups = [group for group in Context(images).groups(images.model) if group.name in ("conv1", "conv2")]
    ranked = CRITERIA["taylor"].units(images.model, groups, Context(images))
    smaller = cut(images.model, groups, least_important(ranked, 0.5, False, 1))
    exact = score(trial_context.evaluator.prepare(State(smaller)), trial_context.reference)
    (taylor,) = [entry for entry in contest.entries if entry.criterion == "taylor"]
    assert taylor.curve[1].score.low <= exact.value <= taylor.curve[1].score.high


def test_who_cannot_rank_takes_no_part_and_says_why(held, images, trial_context):
    contest, _ = held
    (lift,) = [entry for entry in contest.entries if entry.criterion == "deep_lift"]
    assert lift.reason.startswith("DeepLift is not defined on this model")
    assert lift not in contest.order
    other = hold_contest(trial_context, criteria=("batchnorm",), amounts=(0.5,))
    assert other.entries[0].reason == "hidden: no BatchNorm scales its channels"


def test_correlations_are_spearmans(held, images):
    contest, _ = held
    kinds = [entry.criterion for entry in contest.entries]
    table = contest.correlations
    assert all(table[i][j] == table[j][i] for i in range(len(kinds)) for j in range(len(kinds)))
    groups = [group for group in Context(images).groups(images.model) if group.name in ("conv1", "conv2")]
    one, other = (CRITERIA[kind].units(images.model, groups, Context(images)) for kind in ("magnitude", "taylor"))
    expected = sum(len(one[name]) * spearmanr(one[name].detach(), other[name]).statistic for name in one) / 24
    assert table[kinds.index("magnitude")][kinds.index("taylor")] == pytest.approx(expected)
    assert table[kinds.index("magnitude")][kinds.index("l2")] > 0.8
    assert table[kinds.index("deep_lift")][0] is None


def test_rankings_are_alike_opposite_or_not_to_be_compared():
    rising, flat = {"a": torch.arange(5.0), "b": torch.arange(3.0)}, {"a": torch.ones(5), "b": torch.arange(3.0)}
    falling = {name: -value for name, value in rising.items()}
    assert rank_correlation(rising, {name: value**3 for name, value in rising.items()}) == pytest.approx(1.0)
    assert rank_correlation(rising, falling) == pytest.approx(-1.0)
    assert rank_correlation(rising, flat) == pytest.approx(1.0)
    assert rank_correlation({"a": rising["a"]}, {"a": flat["a"]}) is None


def test_a_contest_comes_back_from_json(held):
    contest, grown = held
    assert Contest.read(json.loads(json.dumps(contest.facts()))) == contest
    assert Contest.read(json.loads(json.dumps(grown[0].facts()))) == grown[0]
    with pytest.raises(WorkbenchError, match=r"this is no importance contest"):
        Contest.read({"units": "channels"})


def test_weights_are_ranked_and_followed_as_prune_does(images, trial_context):
    contest = hold_contest(
        trial_context, units="weights", layers="conv2", criteria=("obs", "magnitude"),
        amounts=(0.6,), ranking="global", tolerance=0.0,
    )  # fmt: skip
    assert contest.parts == (("conv2.weight", 8 * 16 * 9),)
    for entry in contest.entries:
        step = Prune(layers="conv2", amount=0.6, ranking="global", importance=entry.criterion)
        built = run(images, Recipe((step,)))
        assert entry.curve[0].score == score(trial_context.evaluator.prepare(built), trial_context.reference)


def test_a_contest_goes_on_where_it_was_and_elsewhere(images, trial_context, tmp_path, monkeypatch):
    options = {"layers": "conv1", "criteria": ("magnitude", "taylor"), "amounts": (0.25, 0.5), "folder": tmp_path}
    here = hold_contest(trial_context, **options)
    curves = [entry.curve for entry in here.entries]
    with ThreadPoolExecutor(2) as workers:
        elsewhere = hold_contest(trial_context, **{**options, "folder": None}, executor=workers)
    assert [entry.curve for entry in elsewhere.entries] == curves
    monkeypatch.setattr("workbench.search.trials.run.advance", lambda *_: pytest.fail("what is known is scored again"))
    assert [entry.curve for entry in hold_contest(trial_context, **options).entries] == curves


def test_the_best_is_the_one_that_keeps_the_score(held):
    contest, _ = held
    means = [entry.mean for entry in contest.order]
    assert means == sorted(means, reverse=True)


def test_it_is_the_same_each_time_and_stops_when_told(images, trial_context):
    one, two = (
        hold_contest(trial_context, layers="conv1", criteria=("random", "apoz"), amounts=(0.5,)) for _ in range(2)
    )
    assert [entry.curve for entry in one.entries] == [entry.curve for entry in two.entries]
    ticks = []

    def stop():
        return len(ticks) >= 4

    with pytest.raises(Cancelled):
        hold_contest(trial_context_of(images, Progress(ticks.append, stop)), criteria=("taylor", "apoz"))
    assert [tick.done for tick in ticks] == sorted(tick.done for tick in ticks)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"units": "heads"}, r'units are "channels" or "weights", not \'heads\''),
        ({"ranking": "output"}, r'the ranking is "local" or "global", not \'output\''),
        ({"amounts": (0.5, 1.0)}, r"amounts are parts of the units, from 0 to less than 1, not \(0\.5, 1\.0\)"),
        ({"amounts": ()}, r"amounts are parts of the units"),
        ({"criteria": ("shapley",), "units": "weights"}, r"shapley does not rank weights; there are magnitude"),
        ({"layers": "conv9"}, r"no layer matches 'conv9'"),
        ({"layers": "fc"}, r"nothing in fc can be cut"),
    ],
)
def test_what_is_not_accepted_is_said(options, said, images, trial_context):
    with pytest.raises(WorkbenchError, match=said):
        hold_contest(trial_context, **options)


def test_all_rank_weights_of_a_plain_net(vectors):
    contest = hold_contest(trial_context_of(vectors), units="weights", amounts=(0.5,))
    assert [entry.reason for entry in contest.entries] == [""] * len(WEIGHT_CRITERIA)
    kept = {entry.criterion: entry.mean for entry in contest.entries}
    assert min(kept["magnitude"], kept["obs"], kept["wanda"]) > kept["random"]


def test_a_session_holds_it_on_its_current_state(session):
    session.apply(Prune(layers="conv1", amount=0.2))
    contest = session.contest(layers="conv1", criteria=("magnitude",), amounts=(0.5,))
    assert contest.baseline == session.reference().score
    assert contest.entries[0].curve[0].score.change <= 0.02

"""Who pays: classes and samples that lose, and intervals that hold for new samples."""

from statistics import NormalDist

import pytest
import torch
from scipy.stats import multinomial

from workbench.errors import WorkbenchError
from workbench.jobs.progress import Progress
from workbench.measure import Reference
from workbench.measure.impact import Predictions, compare, interval, predictions
from workbench.steps import Prune, PruneChannels
from workbench.task.metric import Metric
from workbench.task.samples import ArraySamples

ACCURACY = Metric.of("accuracy")


def said(labels, targets):
    return Predictions(labels, torch.ones(len(labels)), (labels == targets).double(), targets)


def reference(targets, metric=ACCURACY):
    samples = ArraySamples(torch.zeros(len(targets), 1), targets)
    return Reference("validation", samples, metric, torch.zeros(len(targets)).double(), ())


def test_changes_add_up_and_name_the_class_that_broke():
    targets = torch.arange(1000) % 10
    before, after = targets.clone(), targets.clone()
    before[:50] = (targets[:50] + 1) % 10  # wrong before
    after[:40] = (targets[:40] + 1) % 10  # ten of them are right now
    after[(targets == 3).nonzero().flatten()[-14:]] = 5
    impact = compare(said(before, targets), said(after, targets), reference(targets), tuple("abcdefghij"))
    assert impact.after - impact.before == pytest.approx(-0.004)
    assert sum(found.change * found.count for found in impact.classes) / 1000 == pytest.approx(-0.004)
    assert impact.holds
    assert [found.name for found in impact.broken] == ["d"]
    assert all(found.low <= found.change <= found.high for found in impact.classes)
    assert len(impact.samples) == 24
    assert [sample.after for sample in impact.samples[:14]] == [5] * 14, "the worst come first"
    assert {sample.result_after for sample in impact.samples[14:]} == {1.0}


def test_nothing_changed_is_no_alarm_and_no_false_certainty():
    targets = torch.arange(200) % 4
    same = said(targets, targets)
    impact = compare(same, same, reference(targets))
    assert impact.holds
    assert not impact.broken
    assert not impact.samples
    assert all(found.low < 0 < found.high for found in impact.classes)


def test_intervals_hold_together_for_new_samples():
    """Of models that change as many predictions for the better as for the worse, few seem to break any class."""
    generator = torch.Generator().manual_seed(0)
    targets, missed = torch.arange(1000) % 10, 0
    for _ in range(300):
        draw = torch.rand(1000, generator=generator)
        differences = (draw < 0.05).double() - (draw > 0.95).double()
        before = Predictions(targets, torch.ones(1000), (differences <= 0).double(), targets)
        after = Predictions(targets, torch.ones(1000), before.results + differences, targets)
        found = compare(before, after, reference(targets)).classes
        missed += any(not one.low <= 0 <= one.high for one in found)
    assert missed / 300 <= 0.06


def test_the_interval_is_that_of_all_data():
    differences = torch.tensor([1.0] * 3 + [-1.0] * 9 + [0.0] * 88).double()
    low, high = interval(differences, (0.0, 1.0), 1.96)
    pseudo = 1.96**2
    whole = 100 + pseudo
    middle, arm = -6 / whole, 1.96 * (12 + pseudo - 36 / whole) ** 0.5 / whole
    assert (low, high) == (pytest.approx(middle - arm), pytest.approx(middle + arm))


def coverage(count, lost, won, z):
    """Return the coverage for differences of -1, 0 and 1, summed over all that can come of so many samples.

    Args:
        count: Of samples.
        lost: Expected number of samples that change for the worse.
        won: Expected number that change for the better.
        z: Half-width in standard errors.
    """
    held, most = 0.0, 40  # more losses or gains than this are too unlikely to count
    for worse in range(min(most, count) + 1):
        for better in range(min(most, count - worse) + 1 if won else 1):
            chance = multinomial.pmf(
                [worse, better, count - worse - better], count, [lost / count, won / count, 1 - (lost + won) / count]
            )
            if chance > 1e-9:
                values = torch.tensor([-1.0] * worse + [1.0] * better + [0.0] * (count - worse - better))
                low, high = interval(values.double(), (0.0, 1.0), z)
                held += chance * (low <= (won - lost) / count <= high)
    return held


@pytest.mark.parametrize("classes", [1, 10])
@pytest.mark.parametrize(("lost", "won"), [(0.5, 0), (1, 0), (2, 0), (3, 0), (5, 0), (1, 1), (2, 1), (8, 2)])
@pytest.mark.parametrize("count", [60, 400])
def test_rare_flips_are_held(count, lost, won, classes):
    """Also at the level that one of ten classes has, so that all hold together."""
    missed = 0.05 / classes
    assert coverage(count, lost, won, NormalDist().inv_cdf(1 - missed / 2)) >= 1 - 1.3 * missed


def test_a_metric_of_the_whole_split_is_replaced_or_refused():
    whole = Metric("f1", lambda outputs, targets: outputs.mean(), decomposes=False)
    targets = torch.arange(8) % 2
    predict = lambda numbers: (torch.eye(2)[targets[numbers]], targets[numbers])  # noqa: E731
    found = predictions(predict, reference(targets, whole), Progress())
    assert found.results.tolist() == [1.0] * 8
    assert compare(found, found, reference(targets, whole)).metric == "top-1 accuracy"
    values = lambda numbers: (numbers[:, None].double(), numbers.double())  # noqa: E731
    alone = predictions(values, reference(targets, whole), Progress())
    assert alone.results.tolist() == list(range(8))
    assert compare(alone, alone, reference(targets, whole)).metric == "f1, each sample alone"
    spread = Metric("spread", lambda outputs, targets: outputs.sum() / (len(outputs) - 1), decomposes=False)
    with pytest.raises(WorkbenchError, match=r"spread, each sample alone is .* Samples have no class either"):
        predictions(values, reference(targets, spread), Progress())


def test_samples_of_which_a_ranking_says_nothing_are_left_out():
    targets = torch.tensor([[0.0, 1.0], [1.0, 1.0], [0.0, 1.0]])
    ranked = reference(targets, Metric.of("auc"))
    right, wrong = (
        predictions(lambda numbers, sign=sign: (sign * targets[numbers], targets[numbers]), ranked, Progress())
        for sign in (1.0, -1.0)
    )
    found = compare(right, wrong, ranked)
    assert (found.before, found.after) == (1.0, 0.0)
    assert [sample.number for sample in found.samples] == [0, 2]
    same = torch.ones(3, 2)
    with pytest.raises(WorkbenchError, match="has no value for any sample alone"):
        predictions(lambda numbers: (same[numbers], same[numbers]), reference(same, Metric.of("auc")), Progress())


def test_a_session_says_who_pays_for_its_state_and_for_a_step(session):
    untouched = session.impact()
    assert untouched.before == untouched.after == pytest.approx(session.baseline.score.value)
    assert untouched.samples == ()
    staged = session.impact(PruneChannels(amount=0.5))
    assert len(session.history.nodes) == 1
    assert session.apply(PruneChannels(amount=0.5)).score.value == pytest.approx(staged.after)
    assert session.impact() == staged
    assert session.impact(Prune(amount=0.9)).after != staged.after


def test_a_task_without_classes_names_the_samples_that_lost_most(regression, open_session):
    found = open_session(regression).impact(Prune(amount=0.8))
    assert found.classes == ()
    assert not found.higher_is_better
    losses = [sample.result_after - sample.result_before for sample in found.samples]
    assert losses == sorted(losses, reverse=True)
    assert found.samples[0].target == -1


def test_tokens_have_no_class_of_their_own():
    outputs = torch.zeros(6, 5, 3)
    found = predictions(
        lambda numbers: (outputs[numbers], torch.zeros(len(numbers), 5).long()), reference(torch.zeros(6)), Progress()
    )
    assert len(found.labels) == 0
    assert len(found.results) == 6

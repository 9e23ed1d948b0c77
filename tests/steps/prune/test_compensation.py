"""What stays makes up for what goes: never worse than doing nothing, and as well as can be."""

import pytest
import torch
from torch import nn

from tests.steps.prune.importance.test_criteria import subject_of
from workbench.errors import WorkbenchError
from workbench.model.subject import Subject
from workbench.steps import Prune
from workbench.steps.calibration import input_moments, inverse_factor
from workbench.steps.prune import compensation as module
from workbench.steps.prune.compensation import column_update, least_squares
from workbench.steps.prune.importance.obs import saliency
from workbench.steps.recipe import Recipe, run
from workbench.task.task import Task


@pytest.fixture(scope="module")
def problem():
    """Inputs [80, 7] that depend on each other, a weight [5, 7], and what a layer makes of them."""
    generator = torch.Generator().manual_seed(5)
    rows = (torch.randn(80, 7, generator=generator) @ torch.randn(7, 7, generator=generator)).double()
    weight = torch.randn(5, 7, generator=generator).double()
    return rows, weight, (rows.T @ rows / 80)[None]


def best(rows, weight, keep):
    """Return for every output the weights of least squares on the inputs that it keeps."""
    found = torch.zeros_like(weight)
    for row in range(len(weight)):
        stay = keep[row].nonzero().flatten()
        found[row, stay] = torch.linalg.lstsq(rows[:, stay], rows @ weight[row]).solution
    return found


def loss(rows, one, other):
    return float((rows @ (one - other).T).square().mean(0).sum())


@pytest.mark.parametrize("j", range(7))
def test_one_weight_less_is_the_closed_form_of_optimal_brain_surgeon(problem, j):
    rows, weight, second = problem
    keep = torch.ones_like(weight, dtype=torch.bool)
    keep[2, j] = False
    found, inverse = least_squares(weight, keep, second), torch.linalg.inv(second[0])
    expected = weight.clone()
    expected[2] -= weight[2, j] / inverse[j, j] * inverse[:, j]
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(found, best(rows, weight, keep))
    assert loss(rows, found, weight) == pytest.approx(float(saliency(weight, inverse[None])[2, j]))


def test_any_mask_is_solved_as_least_squares(problem):
    rows, weight, second = problem
    keep = torch.rand(weight.shape, generator=torch.Generator().manual_seed(1)) < 0.5
    keep[0], keep[1] = True, False
    found = least_squares(weight, keep, second)
    torch.testing.assert_close(found, best(rows, weight, keep))
    torch.testing.assert_close(found[0], weight[0])
    assert not bool(found[~keep].any())


def test_columns_in_turn_lie_between_nothing_and_the_best(problem, monkeypatch):
    rows, weight, second = problem
    keep = torch.rand(weight.shape, generator=torch.Generator().manual_seed(2)) < 0.5
    factor = inverse_factor(second, 0.0)
    found = column_update(weight, keep, factor)
    assert not bool(found[~keep].any())
    plain, least = loss(rows, weight * keep, weight), loss(rows, best(rows, weight, keep), weight)
    assert least - 1e-12 <= loss(rows, found, weight) < plain
    monkeypatch.setattr(module, "BLOCK", 3)
    torch.testing.assert_close(column_update(weight, keep, factor), found)


@pytest.mark.parametrize("j", [0, 3, 6])
def test_a_column_is_made_up_for_by_those_behind_it(problem, j):
    rows, weight, second = problem
    keep = torch.ones_like(weight, dtype=torch.bool)
    keep[:, j] = False
    found = column_update(weight, keep, inverse_factor(second, 0.0))
    expected = weight.clone()
    expected[:, j] = 0
    if j < 6:
        behind = rows[:, j + 1 :]
        expected[:, j + 1 :] += torch.linalg.lstsq(behind, rows[:, j, None] * weight[:, j]).solution.T
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", ["mobile", "padded"])
def test_grouped_convolutions_are_compensated_group_by_group(name):
    subject = subject_of(name, 40)
    names = [n for n, layer in subject.model.named_modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    recipes = [Prune(amount=0.4, compensation=how) for how in ("none", "columns", "exact")]
    plain, columns, exact = (run(subject, Recipe((step,))).model for step in recipes)
    for layer, moments in input_moments(subject.model, subject.task, names):
        before = subject.model.get_submodule(layer).weight.detach()
        lost = []
        for model in (plain, columns, exact):
            change = (model.get_submodule(layer).weight.detach() - before).double()
            grouped = change.reshape(len(moments.second), -1, before[0].numel())
            lost.append(float(torch.einsum("gri,gij,grj->", grouped, moments.second, grouped)))
        assert lost[2] <= lost[1] + 1e-6 * lost[0]
        assert lost[1] <= lost[0] * 1.0001
        assert torch.equal(plain.get_submodule(layer).weight == 0, exact.get_submodule(layer).weight == 0)


def test_what_was_zero_stays_zero_and_the_score_is_better(images):
    hard, soft = (run(images, Recipe((Prune(amount=0.75, compensation=how),))) for how in ("none", "exact"))
    score = {}
    inputs, targets = images.task.split("validation").batch(range(600))
    for name, state in (("hard", hard), ("soft", soft)):
        with torch.no_grad():
            score[name] = float((state.model(inputs[0]).argmax(1) == targets).double().mean())
    assert score["soft"] > score["hard"] + 0.03
    twice = run(images, Recipe((Prune(amount=0.5), Prune(amount=0.2, compensation="columns"))))
    once = run(images, Recipe((Prune(amount=0.5),)))
    for name in once.pruned:
        assert torch.equal(twice.model.get_parameter(name) == 0, once.model.get_parameter(name) == 0)


def test_what_cannot_be_compensated_is_refused():
    with pytest.raises(WorkbenchError, match=r"can be compensated; exclude embed, encoder\.self_attn"):
        run(subject_of("text"), Recipe((Prune(compensation="columns", layers="e*, head"),)))
    subject = subject_of("mlp")
    bare = Subject("bare", subject.model, Task(validation=subject.task.split("validation")))
    with pytest.raises(WorkbenchError, match=r"step 1 \(prune\): Prune weights: it needs train or calibration data"):
        run(bare, Recipe((Prune(compensation="exact"),)))

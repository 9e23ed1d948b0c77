"""Each criterion is what its paper says, on nets small enough to compute it another way."""

import copy
import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.steps.prune.importance.test_criteria import groups_of, subject_of
from workbench.graph import mask
from workbench.model.subject import Subject
from workbench.steps.calibration import patches
from workbench.steps.context import Context
from workbench.steps.prune.importance import CRITERIA, WEIGHT_CRITERIA
from workbench.steps.prune.importance.geometric_median import distances
from workbench.steps.prune.importance.obs import saliency, unit_saliency
from workbench.task.task import Task


@pytest.fixture(scope="module")
def small():
    """A net of one hidden layer with 5 units, and its data; all in double precision."""
    generator = torch.Generator().manual_seed(2)
    model = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3)).double()
    with torch.no_grad():
        for value in model.parameters():
            value.copy_(torch.randn(value.shape, generator=generator))
    inputs = torch.randn(48, 4, generator=generator, dtype=torch.float64)
    labels = model(inputs).argmax(1)
    labels[::6] = (labels[::6] + 1) % 3
    return Subject("small", model.eval(), Task(validation=(inputs, labels), calibration=(inputs, labels)))


def units(kind, subject, group=0):
    criterion, context = CRITERIA[kind], Context(subject)
    found = groups_of(criterion, context)
    return criterion.units(subject.model, found, context)[found[group].name]


def hidden(subject):
    inputs, targets = subject.task.split("calibration").batch(range(48))
    with torch.no_grad():
        return F.relu(subject.model[0](*inputs)), targets


def test_l2_is_the_root_of_the_mean_square(small):
    torch.testing.assert_close(units("l2", small), small.model[0].weight.detach().square().mean(1).sqrt())
    torch.testing.assert_close(units("magnitude", small), small.model[0].weight.detach().abs().mean(1))


def test_the_norms_scale_is_taken_where_there_is_one():
    subject = subject_of("mobile")
    model, found = subject.model, units("batchnorm", subject, 0)
    norms = torch.cat([model.stem[1].weight[:, None], model.multiplied[1].weight.view(-1, 2)], 1).abs()
    torch.testing.assert_close(found, norms.detach().double().mean(1))


def test_activations_are_counted_where_they_are_read(small):
    values, _ = hidden(small)
    torch.testing.assert_close(units("apoz", small), (values > 0).double().mean(0))
    torch.testing.assert_close(units("activation", small), values.mean(0))


def test_inputs_of_grouped_and_flattened_layers_belong_to_their_units():
    subject = subject_of("grouped")
    inputs, _ = subject.task.split("calibration").batch(range(20))
    seen = []
    handle = subject.model.grouped[0].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.no_grad():
        subject.model(*inputs)
    handle.remove()
    means = seen[0].abs().double().mean((0, 2, 3))
    torch.testing.assert_close(units("activation", subject, 0), (means[:4] + means[4:]) / 2)


def test_taylor_is_gradient_times_activation(small):
    values, targets = hidden(small)
    found = torch.zeros(5, dtype=torch.float64)
    for part, wanted in zip(values.split(16), targets.split(16), strict=True):
        gate = torch.ones(5, dtype=torch.float64, requires_grad=True)
        F.cross_entropy(small.model[2](part * gate), wanted).backward(inputs=[gate])
        found += gate.grad.abs() / 3
    torch.testing.assert_close(units("taylor", small), found)


def test_fisher_is_half_the_mean_square_of_single_gradients(small):
    values, targets = hidden(small)
    gates = torch.ones(48, 5, dtype=torch.float64, requires_grad=True)
    F.cross_entropy(small.model[2](values * gates), targets, reduction="sum").backward(inputs=[gates])
    torch.testing.assert_close(units("fisher", small), gates.grad.square().mean(0) / 2)
    weight = small.model[2].weight.detach()
    rise = torch.zeros_like(weight)
    for value, target in zip(values, targets, strict=True):
        own = weight.clone().requires_grad_(True)
        F.cross_entropy(F.linear(value, own, small.model[2].bias.detach()), target).backward()
        rise += own.grad.square() * weight.square() / 96
    found = WEIGHT_CRITERIA["fisher"].weights(small.model, ["2.weight"], Context(small))["2.weight"]
    torch.testing.assert_close(found, rise)


def test_wanda_is_weight_times_norm(small):
    values, _ = hidden(small)
    expected = small.model[2].weight.detach().abs() * values.norm(dim=0)
    found = WEIGHT_CRITERIA["wanda"].weights(small.model, ["2.weight"], Context(small))["2.weight"]
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(units("wanda", small), expected.mean(0))


def least_loss(rows, weight, gone):
    """Return the least mean squared error of outputs, summed over them, with the inputs `gone` left out."""
    stay = [j for j in range(rows.shape[1]) if j not in gone]
    wanted = rows @ weight.T
    best = torch.linalg.lstsq(rows[:, stay], wanted).solution
    return float((rows[:, stay] @ best - wanted).square().mean(0).sum())


def test_obs_is_the_least_loss_of_a_linear_layer():
    generator = torch.Generator().manual_seed(3)
    rows = torch.randn(60, 6, generator=generator).double() @ torch.randn(6, 6, generator=generator).double()
    weight = torch.randn(4, 6, generator=generator).double()
    inverses = torch.linalg.inv(rows.T @ rows / 60)[None]
    found = saliency(weight, inverses)
    for row, j in itertools.product(range(4), range(6)):
        assert float(found[row, j]) == pytest.approx(least_loss(rows, weight[row : row + 1], [j]))
    owner = torch.tensor([0, 1, 1, -1, 0, 2])
    lost = unit_saliency(weight, inverses, owner, 3)
    for unit, gone in enumerate(([0, 4], [1, 2], [5])):
        assert float(lost[unit]) == pytest.approx(least_loss(rows, weight, gone))


def test_obs_of_a_grouped_convolution_is_the_least_loss_too():
    subject = subject_of("grouped", 200)
    inputs, _ = subject.task.split("calibration").batch(range(200))
    seen, layer = [], subject.model.grouped[0]
    handle = layer.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.no_grad():
        subject.model(*inputs)
    handle.remove()
    rows = patches(layer, seen[0]).double()
    weight = layer.weight.detach().double().reshape(2, -1, rows.shape[2])
    area = layer.kernel_size[0] * layer.kernel_size[1]
    expected = [
        sum(least_loss(rows[g], weight[g], range(unit * area, (unit + 1) * area)) for g in range(2))
        for unit in range(4)
    ]
    # The criterion dampens the second moments by a hundredth, which makes it a little larger.
    found = units("obs", subject, 0)
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=0.15, atol=0.0)
    assert found.argsort().tolist() == torch.tensor(expected).argsort().tolist()


def test_the_geometric_median_is_the_least_important():
    filters = torch.tensor([[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    found = distances(filters)
    assert int(found.argmin()) == 0
    assert float(found[0]) == 1.0
    subject = subject_of("mobile")
    pairs = torch.cat([subject.model.stem[0].weight.flatten(1), subject.model.multiplied[0].weight.reshape(8, -1)], 1)
    torch.testing.assert_close(units("geometric_median", subject, 0), distances(pairs.detach()))


def test_a_net_without_bends_is_attributed_to_exactly(small):
    """Where the model is linear, every attribution is the slope times the activation."""
    linear = copy.deepcopy(nn.Sequential(small.model[0], small.model[2]))
    with torch.no_grad():
        linear[0].bias.zero_()
    subject = Subject("linear", linear, small.task)
    inputs, targets = small.task.split("calibration").batch(range(48))
    slopes = linear[1].weight - linear[1].weight.mean(0)
    with torch.no_grad():
        expected = (linear[0](*inputs) * slopes[targets]).abs().mean(0)
    for kind in ("gradient_activation", "deep_lift", "conductance"):
        torch.testing.assert_close(units(kind, subject), expected)


def test_attributions_to_a_layer_sum_to_the_difference_of_the_evidence(small):
    """All evidence flows through the hidden layer, so conductance and DeepLift hand all of it out."""
    from workbench.steps.prune.importance.attribution import Evidence

    inputs, targets = small.task.split("calibration").batch(range(48))
    evidence = Evidence.of(small.model, small.task)
    difference = (evidence(*inputs, targets) - evidence(torch.zeros_like(inputs[0]), targets)).detach()
    for kind, error in (("deep_lift", 1e-6), ("conductance", 0.1)):
        found = CRITERIA[kind].attribute(evidence, evidence.model[2], inputs, targets).detach()
        assert float((found.sum(1) - difference).abs().mean()) <= error * float(difference.abs().mean())


def test_another_seed_gives_other_chances_and_other_layers_do_not(small):
    criterion = CRITERIA["random"]
    one = criterion.weights(small.model, ["0.weight", "2.weight"], Context(small, 1))
    assert torch.equal(criterion.weights(small.model, ["2.weight"], Context(small, 1))["2.weight"], one["2.weight"])
    assert not torch.equal(criterion.weights(small.model, ["2.weight"], Context(small, 2))["2.weight"], one["2.weight"])


def test_a_unit_that_nothing_hangs_on_is_found_by_whoever_looks_behind_it(small):
    """One hidden unit is made loud, and its readers deaf: its own weights tell the opposite of what it is worth."""
    model = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3)).double()
    model.load_state_dict(small.model.state_dict())
    with torch.no_grad():
        model[0].weight[2] *= 10
        model[2].weight[:, 2] = 0
    subject = Subject("deaf", model, small.task)
    blind = {"magnitude", "l2", "apoz", "activation", "geometric_median", "random", "batchnorm"}
    for kind in CRITERIA.keys() - blind:
        assert float(units(kind, subject)[2]) == pytest.approx(0.0, abs=1e-12), kind
    assert int(units("magnitude", subject).argmax()) == 2
    group = groups_of(CRITERIA["magnitude"], Context(subject))
    smaller, inputs = mask(model, group, {"0": [2]}), subject.task.example(8)
    torch.testing.assert_close(smaller(*inputs), model(*inputs))

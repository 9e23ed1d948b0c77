"""The evaluator: the plain model's predictions in every case, cheaper where it can, within its bound of memory."""

import copy

import pytest
import torch

from tests.nets import build
from workbench.jobs.progress import Progress
from workbench.measure import anchor, anytime, refer
from workbench.measure import evaluator as module
from workbench.measure.evaluator import Evaluator
from workbench.measure.prefixes import Prefixes, free_share
from workbench.measure.sequential import score
from workbench.steps import Context, Prune, PruneChannels, Quantize, State
from workbench.steps.recipe import Recipe, run
from workbench.task.samples import ArraySamples

ALL = torch.arange(600)


def overlay_of(step, subject, state=None):
    changes = step.changes(state or State(subject.model), Context(subject))
    return {name: change.weight for name, change in changes.items()}


def surveyed(evaluator, model):
    """Return outputs and targets of all samples, in the order in which they were visited."""
    parts = []
    evaluator.survey(State(model), Progress(), "", lambda *part: parts.append(part))
    assert torch.cat([numbers for *_, numbers in parts]).equal(torch.arange(len(evaluator.samples)))
    return tuple(torch.cat([part[place] for part in parts]) for place in range(2))


def open_evaluator(subject, **options):
    made = Evaluator(subject.task.split("validation"), least=0.0, **options)
    surveyed(made, subject.model)
    return made


@pytest.fixture
def evaluator(images):
    made = open_evaluator(images)
    yield made
    made.close()


def agree(predict, plain, numbers=ALL):
    (got, labels), (wanted, same) = predict(numbers), plain(numbers)
    torch.testing.assert_close(got, wanted, rtol=1e-3, atol=1e-4)
    assert torch.equal(labels, same)


@pytest.fixture
def shuffled():
    return torch.randperm(600, generator=torch.Generator().manual_seed(0))


STEPS = [
    Prune(layers="conv2", amount=0.7),
    Prune(layers="fc", amount=0.9),
    Prune(amount=0.5),
    Prune(amount=0.0),
    Quantize(layers="conv3", bits=3),
]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: f"{step.kind} {step.layers}")
def test_an_edit_gives_the_plain_models_outputs_in_any_order(images, evaluator, shuffled, step):
    state, overlay = State(images.model), overlay_of(step, images)
    predict, plain = evaluator.prepare(state, overlay), evaluator.plain(state, overlay)
    for part in (shuffled[:7], shuffled[3:50], shuffled[40:41], shuffled, shuffled.flip(0)):
        agree(predict, plain, part)


@pytest.mark.parametrize("step", [PruneChannels(amount=0.5), Quantize(activations=8), Prune(amount=0.6)])
def test_a_built_state_gives_its_own_outputs(images, evaluator, shuffled, step):
    """Whether the anchor's graph does for it or not."""
    state = run(images, Recipe((step,)))
    agree(evaluator.prepare(state), evaluator.plain(state), shuffled)
    evaluator.anchor(state)
    agree(evaluator.prepare(state), evaluator.plain(state), shuffled)
    again = Prune(layers="fc", amount=0.5)
    overlay = overlay_of(again, images, state)
    agree(evaluator.prepare(state, overlay), evaluator.plain(state, overlay), shuffled)


def test_anchors_may_alternate(images, evaluator, shuffled):
    """As when a scan of one state and a preview of another take turns."""
    pruned = run(images, Recipe((Prune(amount=0.6),)))
    overlay = overlay_of(Prune(layers="conv3", amount=0.9), images)
    before = evaluator.prepare(State(images.model), overlay)
    evaluator.anchor(pruned)
    after = evaluator.prepare(pruned, overlay)
    for _ in range(2):
        agree(before, evaluator.plain(State(images.model), overlay), shuffled[:100])
        agree(after, evaluator.plain(pruned, overlay), shuffled[:100])


def test_what_enters_a_layer_is_computed_once_and_shared(images, evaluator, monkeypatch):
    ran = []
    segments = evaluator._anchor.segments
    run_part = segments.run

    def watched(start, end, values, constants):
        ran.append((start, len(values[0])))
        return run_part(start, end, values, constants)

    monkeypatch.setattr(segments, "run", watched)
    for amount in (0.3, 0.6, 0.9):
        evaluator.prepare(State(images.model), overlay_of(Prune(layers="conv3", amount=amount), images))(ALL)
    border = segments.border(["conv3.weight"])
    assert [start for start, _ in ran].count(segments.inputs) == 1
    assert [start for start, _ in ran].count(border) == 3
    ran.clear()
    # A later layer goes on from there instead of from the inputs.
    evaluator.prepare(State(images.model), overlay_of(Prune(layers="fc", amount=0.5), images))(ALL)
    assert segments.inputs not in [start for start, _ in ran]


def test_a_new_anchor_keeps_what_it_did_not_change(images, evaluator):
    evaluator.prepare(State(images.model), overlay_of(Prune(layers="conv2", amount=0.5), images))(ALL)
    evaluator.prepare(State(images.model), overlay_of(Prune(layers="fc", amount=0.5), images))(ALL)
    segments = evaluator._anchor.segments
    early, late = segments.border(["conv2.weight"]), segments.border(["fc.weight"])
    evaluator.anchor(run(images, Recipe((Prune(layers="conv3", amount=0.5),))))
    assert evaluator.prefixes.has(early, ALL).all()
    assert not evaluator.prefixes.has(late, ALL).any()


@pytest.mark.parametrize("memory", [0, 1000, 40_000, 200_000])
def test_too_little_memory_costs_time_and_nothing_else(images, shuffled, memory):
    bounded = open_evaluator(images, memory=memory)
    for step in STEPS:
        state, overlay = State(images.model), overlay_of(step, images)
        for part in torch.split(shuffled, 50):
            agree(bounded.prepare(state, overlay), bounded.plain(state, overlay), part)
            assert bounded.prefixes.bytes <= memory
    assert bounded.prefixes.peak <= memory
    assert bounded.prefixes.peak > memory / 4 or not memory


def test_closing_lets_go_of_everything(images):
    made = open_evaluator(images)
    made.prepare(State(images.model), overlay_of(Prune(layers="fc", amount=0.5), images))(ALL)
    assert made.prefixes.bytes
    made.close()
    assert not made.prefixes.bytes
    agree(made.prepare(State(images.model)), made.plain(State(images.model)), ALL[:5])


def test_a_model_that_cannot_be_traced_is_run_as_it_is(vectors):
    class Odd(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = copy.deepcopy(vectors.model)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.net(x) if float(x.sum()) > -1e9 else self.net(-x)

    samples, state = vectors.task.split("validation"), State(Odd())
    made = Evaluator(samples, least=0.0)
    reference = refer(made, state, vectors.task.metric)
    assert not made.worthwhile
    made.anchor(state)
    predict = made.prepare(state, {"net.0.weight": torch.zeros_like(state.model.net[0].weight)})
    assert not torch.equal(predict(ALL)[0], made.plain(state)(ALL)[0])
    assert score(made.prepare(state), reference).change == 0.0


def test_a_graph_with_other_outputs_is_not_used(images, monkeypatch):
    monkeypatch.setattr(module, "TOLERANCE", -1.0)
    made = open_evaluator(images)
    assert not made.worthwhile
    agree(made.prepare(State(images.model)), made.plain(State(images.model)))


def test_what_is_scored_in_a_moment_is_not_traced(images, monkeypatch):
    monkeypatch.setattr(anchor, "trace", lambda *_: pytest.fail("it was traced"))
    made = Evaluator(images.task.split("validation"), least=60.0)
    outputs, labels = surveyed(made, images.model)
    assert (len(outputs), len(labels)) == (600, 600)
    made.anchor(State(images.model))
    agree(made.prepare(State(images.model)), made.plain(State(images.model)))


@pytest.mark.parametrize("total", [1, 2, 3, 65, 200])
def test_a_split_of_any_size_is_surveyed(total):
    model, example = build("plain")
    generator = torch.Generator().manual_seed(0)
    data = ArraySamples(torch.randn(total, *example[0].shape[1:], generator=generator), torch.zeros(total).long())
    made = Evaluator(data, least=0.0)
    outputs, labels = surveyed(made, model)
    wanted, same = made.plain(State(model))(torch.arange(total))
    torch.testing.assert_close(outputs, wanted, rtol=1e-3, atol=1e-4)
    assert torch.equal(labels, same)


@pytest.mark.parametrize("name", ["dense", "unet", "vit", "two_inputs"])
def test_other_topologies_are_cut_and_kept_as_well(name):
    model, example = build(name)
    generator = torch.Generator().manual_seed(0)
    inputs = tuple(torch.randn(90, *value.shape[1:], generator=generator) for value in example)
    made = Evaluator(ArraySamples(inputs, torch.zeros(90).long()), least=0.0)
    surveyed(made, model)
    assert made.worthwhile
    numbers = torch.randperm(90, generator=generator)
    for key, value in model.named_parameters():
        if value.dim() > 1:
            overlay = {key: value.detach() * 0.7}
            agree(made.prepare(State(model), overlay), made.plain(State(model), overlay), numbers)


def test_the_same_estimates_as_the_plain_way(images, evaluator):
    reference = refer(evaluator, State(images.model), images.task.metric)
    overlay = overlay_of(Prune(layers="conv2", amount=0.9), images)
    fast = list(anytime(evaluator.prepare(State(images.model), overlay), reference))
    plain = list(anytime(evaluator.plain(State(images.model), overlay), reference))
    assert fast == plain


def test_rows_come_back_in_the_order_of_memory_they_had():
    kept = Prefixes(20, 10**6)
    values = torch.randn(8, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    numbers = torch.tensor([3, 19, 0, 7, 5, 6, 1, 2])
    kept.put(["a"], numbers, [values])
    (again,) = kept.get(["a"], numbers)
    assert torch.equal(again, values)
    assert again.is_contiguous(memory_format=torch.channels_last)
    (some,) = kept.get(["a"], torch.tensor([19, 2]))
    assert torch.equal(some, values[[1, 7]])
    assert kept.has(["a"], torch.tensor([3, 4])).tolist() == [True, False]
    assert not kept.has(["a", "b"], numbers).any()


def test_what_was_not_used_for_longest_is_forgotten_first():
    kept, rows = Prefixes(10, 1000), torch.zeros(10, 10)
    kept.put(["a"], torch.arange(10), [rows])
    kept.put(["b"], torch.arange(10), [rows])
    kept.get(["a"], torch.arange(2))
    kept.put(["c"], torch.arange(10), [rows])
    assert [kept.has([name], torch.arange(10)).all().item() for name in "abc"] == [True, False, True]
    assert kept.bytes == 800
    assert kept.peak <= 1000


def test_the_bound_is_a_quarter_of_what_is_free():
    assert Prefixes(10).bound == pytest.approx(free_share(), rel=0.2)


def test_settings_that_the_graph_has_written_into_it_are_seen(images, evaluator):
    """Two states may have the same modules and another number of bits for their activations."""
    eight, seven = (run(images, Recipe((Quantize(activations=bits),))) for bits in (8, 7))
    assert module.structure(eight.model) != module.structure(seven.model)
    evaluator.anchor(eight)
    for state in (eight, seven):
        agree(evaluator.prepare(state), evaluator.plain(state))


def test_a_model_with_other_sizes_becomes_the_anchor_only_if_the_graph_fits():
    class Viewed(torch.nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.first, self.last = torch.nn.Linear(6, width), torch.nn.Linear(width, 3)
            self.width = torch.tensor(width)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.last(self.first(x).relu().view(-1, self.first.out_features))

    data = ArraySamples(torch.randn(120, 6), torch.zeros(120).long())
    made, narrow = Evaluator(data, least=0.0), State(Viewed(4))
    surveyed(made, Viewed(8))
    assert made.worthwhile
    made.anchor(narrow)
    agree(made.prepare(narrow), made.plain(narrow), torch.arange(120))

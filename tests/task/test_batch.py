"""How models are called, and what of their outputs is judged."""

import pickle

import pytest
import torch
from torch import nn
from torch.utils.data import (
    DataLoader,
    Dataset,
    RandomSampler,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

import workbench as wb
from tests.sampling import sampled
from workbench.errors import WorkbenchError
from workbench.graph import trace
from workbench.task.batch import Batch, Call, Inputs, call, join, judged, leaves, like, outputs_of, take
from workbench.task.samples import Samples, free_dimensions
from workbench.task.sources import samples


class Two(nn.Module):
    """Takes two inputs, by name or by place, and an option that is no tensor."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 4)

    def forward(self, left, right, sign=1):
        return {"features": left, "logits": self.fc(left) + sign * self.fc(right)}


def rows(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, generator=generator), torch.randn(count, 3, generator=generator)


def test_inputs_are_handed_over_as_they_came():
    left, right = rows(5)
    inputs = Inputs.of((left,), {"right": right, "sign": -1})
    assert [tuple(value.shape) for value in inputs] == [(5, 3), (5, 3)]
    args, kwargs = inputs.arguments()
    assert args[0] is left
    assert kwargs["right"] is right
    assert kwargs["sign"] == -1
    model = Two().eval()
    wanted = model(left, right, -1)["logits"]
    assert torch.equal(outputs_of(model, inputs), wanted)
    again = pickle.loads(pickle.dumps(inputs))  # noqa: S301  # made the moment before
    assert torch.equal(outputs_of(model, again), wanted)
    assert torch.equal(outputs_of(model, like(inputs, [value * 1 for value in inputs])), wanted)


def test_names_follow_the_model_and_the_keys():
    left, right = rows(2)
    assert Inputs.of((left,), {"right": right}).names(Two()) == ("left", "right")
    nested = Inputs.of(({"a b": left, "c": {"d": right}},))
    assert nested.names(nn.Identity()) == ("input_a_b", "input_c_d")
    together = Inputs.of((), {"left": left, "right": right}, Call(together=True))
    assert together.names(Two()) == ("left", "right")


def test_what_is_judged_is_said_or_asked():
    left, right = rows(2)
    output = Two()(left, right)
    for wanted in ("logits", lambda found: found["logits"]):
        assert judged(output, Inputs((left,), Call(output=wanted))) is output["logits"]
    both = judged(output, Inputs((left,), Call(output=("logits", "features"))))
    assert list(both) == ["logits", "features"]
    assert judged((left, right), Inputs((left,), Call(output=1))) is right
    assert judged(output, (left,)) is output["logits"]  # the one name that says it
    with pytest.raises(WorkbenchError, match=r"gives 2 tensors, .* to wb.Task: 0 \(2, 3\), 1 \(2, 3\)"):
        judged((left, right), (left,))
    with pytest.raises(WorkbenchError, match=r"has no 'scores'; it has 'features', 'logits'"):
        judged(output, Inputs((left,), Call(output="scores")))


def test_a_model_that_writes_into_its_inputs_gets_copies():
    inputs = Inputs(rows(2)[:1], Call(changed=True))
    before = inputs[0].clone()
    call(lambda value: value.mul_(2), inputs)
    assert torch.equal(inputs[0], before)


def test_trees_are_taken_and_joined_by_samples():
    tree = {"a": torch.arange(6), "b": (torch.arange(12).view(6, 2),)}
    some = take(tree, torch.tensor([4, 1]))
    assert some["a"].tolist() == [4, 1]
    whole = join([take(tree, torch.arange(4)), take(tree, torch.arange(4, 6))])
    assert all(torch.equal(one, other) for one, other in zip(leaves(whole), leaves(tree), strict=True))
    assert take(["x", "y", "z"], torch.tensor([False, True, True])) == ["y", "z"]
    assert join([["x"], ["y", "z"]]) == ["x", "y", "z"]


@pytest.mark.parametrize("how", sampled(["names", "dict", "nested", "option"], 2))
def test_a_session_runs_with_structured_inputs_and_exports(how, tmp_path, open_session):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Linear(3, 8), nn.Linear(8, 4)

        def forward(self, batch=None, left=None, right=None, scale=1.0):
            if how == "dict":
                left, right = batch["left"], batch["right"]
            if how == "nested":
                left, right = batch
            return {"features": left, "out": self.two(torch.relu(self.one(left) + scale * self.one(right)))}

    torch.manual_seed(0)
    left, right = rows(200)
    inputs = {"left": left, "right": right}
    if how == "nested":
        inputs = ((left, right),)
    model = Net().eval()
    given = {"dict": ({"left": left, "right": right},), "nested": ((left, right),)}.get(how, ())
    named = {"left": left, "right": right} if how in ("names", "option") else {}
    labels = model(*given, **named)["out"].argmax(1)

    class Items(Dataset):
        def __len__(self):
            return 200

        def __getitem__(self, place):
            return {"left": left[place], "right": right[place], "label": labels[place]}

    data = Items() if how == "option" else (({"left": left, "right": right} if how != "nested" else inputs), labels)
    if how == "nested":

        class Nested(Dataset):
            def __len__(self):
                return 200

            def __getitem__(self, place):
                return Batch(((left[place], right[place]),), {}, labels[place])

        def collate(items):
            return Batch(
                (tuple(torch.stack([item.args[0][side] for item in items]) for side in range(2)),), {},
                torch.stack([item.targets for item in items]),
            )  # fmt: skip

        data = DataLoader(Nested(), 8, collate_fn=collate)
    subject = wb.Subject("net", model, wb.Task(validation=data, train=data, output="out"))
    session = open_session(subject)
    assert session.baseline.score.value == 1.0
    session.apply(wb.Prune(amount=0.3))
    session.apply(wb.FineTune(epochs=1))
    session.apply(wb.Quantize(bits=8, activations=8))
    formats = ("safetensors", "onnx") if how in ("nested", "option") else ("safetensors",)
    folder = session.export(tmp_path / "out", formats)
    again = wb.load(folder, task=subject.task)
    state = session.state.model
    wanted = outputs_of(state, subject.task.example(5))
    assert torch.allclose(outputs_of(again.model, again.task.example(5)), wanted, atol=1e-5)
    program = trace(state, subject.task.example(2))
    assert len(program.graph_signature.user_outputs) == 1


def test_a_loader_is_more_than_its_dataset():
    x, y = torch.arange(20.0).view(20, 1), torch.arange(20)
    data = TensorDataset(x, y)
    chosen = samples(DataLoader(data, 4, sampler=SubsetRandomSampler([3, 9, 5])))
    assert chosen.batch([0, 1, 2])[1].tolist() == [3, 5, 9]
    assert len(samples(DataLoader(data, 4, shuffle=True))) == 20
    ordered = samples(DataLoader(data, 4, sampler=[7, 2]))
    assert ordered.batch([0, 1])[1].tolist() == [7, 2]

    def doubled(items):
        inputs, targets = zip(*items, strict=True)
        return 2 * torch.stack(inputs), torch.stack(targets)

    assert samples(DataLoader(data, 4, collate_fn=doubled)).batch([3])[0][0].item() == 6
    draws = (WeightedRandomSampler([1.0] * 20, 20), RandomSampler(data, replacement=True))
    for sampler in draws:
        with pytest.raises(WorkbenchError, match="draws other samples each time"):
            samples(DataLoader(data, 4, sampler=sampler))
    with pytest.raises(WorkbenchError, match="makes its batches by a sampler of its own"):
        samples(DataLoader(data, batch_sampler=[[1, 2], [3]]))


def test_lengths_that_differ_are_seen():
    def pad(items):
        texts, labels = zip(*items, strict=True)
        return nn.utils.rnn.pad_sequence(texts, batch_first=True), torch.tensor(labels)

    class Texts(Dataset):
        def __len__(self):
            return 30

        def __getitem__(self, place):
            return torch.ones(3 + place % 5), place % 2

    loader = DataLoader(Texts(), 4, collate_fn=pad)
    assert free_dimensions(samples(loader)) == {(0, 1)}
    assert free_dimensions(samples((torch.zeros(5, 3), torch.zeros(5)))) == set()


def test_a_dict_says_which_is_the_target_or_is_asked():
    items = [{"x": torch.zeros(2), "y": torch.ones(2), "kind": torch.tensor(1)}] * 3
    assert Samples(items).batch([0])[1].tolist() == [[1.0, 1.0]]
    inputs, targets = Samples(items, target="kind").batch([0, 1])
    assert targets.tolist() == [1, 1]
    assert list(inputs.arguments()[1]) == ["x", "y"]
    with pytest.raises(WorkbenchError, match=r"a dict of x, z, and nothing says which is the target"):
        Samples([{"x": torch.zeros(2), "z": torch.zeros(2)}]).batch([0])

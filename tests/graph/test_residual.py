"""Residual branches: found where a sum allows to leave one out, and gone with all that only they need."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.nets import build
from tests.sampling import sampled
from workbench.graph import Bypass, branches, coupled_groups, without_branches

FOUND = {
    "padded": ["layer1.0"],
    "projected": ["stages.0.body", "stages.2.body"],
    "mobile": ["blocks.1"],
    "convnext": ["blocks.0", "blocks.1"],
    "vit": [f"blocks.{n}.{names}" for n in (0, 1) for names in ("norm1 to blocks.{n}.proj", "norm2 to blocks.{n}.fc2")],
    "bert": ["attention", "inner to outer"],
    "dense": [],
    "unet": [],
    "two_outputs": [],
}
FOUND["vit"] = [name.replace("{n}", name.split(".")[1]) for name in FOUND["vit"]]


@pytest.mark.parametrize("name", FOUND)
def test_sums_that_leave_the_shape_as_it_is_are_found(name: str) -> None:
    model, example = build(name)
    made, found = branches(model, example)
    assert [branch.name for branch in found] == FOUND[name]
    with torch.no_grad():
        torch.testing.assert_close(made(*example), model(*example))


@pytest.mark.parametrize("name", sampled(["padded", "projected", "mobile", "convnext", "vit", "bert", "window"], 4))
def test_without_a_branch_the_shortcut_is_left_and_its_parameters_are_gone(name: str) -> None:
    model, example = build(name)
    made, found = branches(model, example)
    for gone in ([found[-1]], list(found)):
        smaller = without_branches(made, gone)
        with torch.no_grad():
            torch.testing.assert_close(smaller(*example), Bypass(made, gone).run(*example))
        lost = set(dict(made.named_parameters())) - set(dict(smaller.named_parameters()))
        assert {parameter.rpartition(".")[0] for parameter in lost} == {layer for b in gone for layer in b.layers}
        assert coupled_groups(smaller, example)
    assert dict(made.named_parameters()).keys() == dict(model.named_parameters()).keys()


def test_a_branch_that_adds_nothing_can_go_unseen() -> None:
    model, example = build("vit")
    for name in ("blocks.1.fc2.weight", "blocks.1.fc2.bias"):
        nn.init.zeros_(model.get_parameter(name))
    made, found = branches(model, example)
    with torch.no_grad():
        torch.testing.assert_close(without_branches(made, found[-1:])(*example), model(*example))


class Entangled(nn.Module):
    """One branch is read twice, one lies within another, and what follows a sum is written in place."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.outer, self.inner = (nn.Linear(4, 4) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        read = self.one(x)
        x = (x + read) * read
        y = self.outer(x)
        y = y + F.relu(self.inner(y))
        return F.relu_(x + y)


def test_only_the_innermost_branches_that_nobody_else_reads_can_go() -> None:
    model, example = Entangled(), (torch.randn(3, 4),)
    made, found = branches(model, example)
    assert [branch.layers for branch in found] == [("inner",)]
    before = example[0].clone()
    assert bool((without_branches(made, found)(*example) >= 0).all())
    assert torch.equal(before, example[0])


def test_what_is_written_in_place_after_a_flatten_is_seen_by_nobody_else() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.inner, self.head = nn.Conv2d(3, 4, 3), nn.Linear(144, 144), nn.Linear(144, 5)

        def forward(self, x: Tensor) -> Tensor:
            x = torch.relu_(self.conv(x).flatten(1))
            return self.head(x + torch.relu_(self.inner(x)))

    model, example = Net().eval(), (torch.randn(2, 3, 8, 8),)
    traced, (branch,) = branches(model, example)
    assert branch.layers == ("inner",)
    torch.testing.assert_close(traced(*example), model(*example))

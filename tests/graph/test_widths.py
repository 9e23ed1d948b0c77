"""Widths that a model's code wrote down: they follow from the tensors where that lets channels be cut."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.graph.test_heads import output
from workbench.graph import Group, channel_groups, coupled_groups, cut, head_groups, mask


class Written(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 8, 4, 4), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.stem(x).reshape(x.shape[0], 8, 4).permute(0, 2, 1).mean(1))


class Merged(Written):
    """Samples and channels in one dimension, whose size is a product, as MobileViT has them while it unfolds."""

    def forward(self, x: Tensor) -> Tensor:
        lines = self.stem(x).reshape(x.shape[0] * 8, 2, -1).transpose(1, 2)
        return self.head(lines.reshape(x.shape[0], 8, 4).mean(2))


class Zeros(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell, self.head = nn.GRUCell(8, 6), nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.cell(x.flatten(1)[:, :8], x.new_zeros(x.shape[0], 6)))


class Twice(nn.Module):
    """A block that is called twice, so that its operators are no modules in the graph that a width opens."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 4, 4), nn.LayerNorm(8)
        self.depthwise, self.head = nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for _ in range(2):
            x = x + self.depthwise(self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))
        return self.head(x.reshape(x.shape[0], 8, -1).mean(2))


class Unequal(nn.Module):
    """One layer makes parts of unequal width, which go their own ways."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.one, self.two = nn.Linear(12, 10), nn.Linear(6, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        one, two = self.enter(x.flatten(1)[:, :12]).split([6, 4], dim=-1)
        return self.one(torch.relu(one)) + self.two(torch.tanh(two))


class Repeated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.enter, self.head = nn.Linear(12, 6), nn.Linear(12, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.enter(x.flatten(1)[:, :12])).repeat_interleave(2, dim=1))


class MultiQuery(nn.Module):
    """Four heads of queries share one of keys and values, and one layer makes all three."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(12, 16 + 4 + 4), nn.Linear(16, 12)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).split([16, 4, 4], dim=-1)
        q = q.view(x.shape[0], x.shape[1], 4, 4).transpose(1, 2)
        return self.out(
            F.scaled_dot_product_attention(q, k[:, None], v[:, None]).transpose(1, 2).reshape(*x.shape[:2], 16)
        )


NETS = {"merged": Merged, "twice": Twice, "written": Written, "zeros": Zeros, "unequal": Unequal, "repeated": Repeated}


def example() -> tuple[Tensor, ...]:
    return (torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)),)


def made(kind: type[nn.Module]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return kind().eval()


def check(
    model: nn.Module, groups: tuple[Group, ...], remove: dict[str, list[int]], inputs: tuple[Tensor, ...]
) -> None:
    smaller = cut(model, groups, remove)
    assert sum(p.numel() for p in smaller.parameters()) < sum(p.numel() for p in model.parameters())
    silent = mask(model, groups, remove)
    torch.testing.assert_close(
        output(copy.deepcopy(smaller), inputs), output(copy.deepcopy(silent), inputs), rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("name", NETS)
def test_channels_of_a_written_width_are_cut(name: str) -> None:
    model = made(NETS[name])
    opened, groups = channel_groups(model, example())
    assert [group.protected for group in groups if group.protected] == ["reaches the model's output"]
    assert dict(opened.named_parameters()).keys() == dict(model.named_parameters()).keys()
    free = [group for group in groups if group.protected is None]
    remove = {group.name: list(range(len(group.units) // 2)) for group in free}
    if all(group.exact for group in free):
        check(opened, groups, remove, example())
    else:
        assert cut(opened, groups, remove)(*example()).shape == (2, 4)


def test_what_is_cut_can_be_cut_again_and_for_any_batch() -> None:
    opened, groups = channel_groups(made(Written), example())
    smaller = cut(opened, groups, {"stem": [0, 3]})
    again, left = channel_groups(smaller, example())
    assert again is smaller
    assert len(left[0].units) == 6
    assert cut(again, left, {"stem": [1]})(torch.randn(5, 3, 8, 8)).shape == (5, 4)


def test_a_model_without_written_widths_stays_itself() -> None:
    model = made(Repeated)
    assert channel_groups(model, example())[0] is model


class Expanded(MultiQuery):
    """Keys and values are written out for every head of queries."""

    def forward(self, x: Tensor) -> Tensor:
        B, N, _ = x.shape
        q, k, v = self.qkv(x).split([16, 4, 4], dim=-1)
        q = q.view(B, N, 4, 4).transpose(1, 2)
        k, v = (
            y.view(B, N, 1, 4).transpose(1, 2)[:, :, None].expand(B, 1, 4, N, 4).reshape(B, 4, N, 4) for y in (k, v)
        )
        return self.out((torch.softmax(q @ k.mT, -1) @ v).transpose(1, 2).reshape(B, N, -1))


@pytest.mark.parametrize("kind", [MultiQuery, Expanded])
def test_heads_of_queries_go_where_all_share_keys(kind: type[nn.Module]) -> None:
    inputs = (torch.randn(2, 5, 12, generator=torch.Generator().manual_seed(0)),)
    model = made(kind)
    assert coupled_groups(model, inputs)
    opened, groups = head_groups(model, inputs)
    (group,) = (group for group in groups if group.protected is None)
    assert len(group.units) == 4
    check(opened, groups, {group.name: [1, 2]}, inputs)

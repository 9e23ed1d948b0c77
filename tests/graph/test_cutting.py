"""Cutting: the smaller model is whole, and says what the masked one says."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from tests.graph.analysed import groups_of
from tests.nets import NETS, build
from tests.sampling import sampled
from workbench.errors import WorkbenchError
from workbench.graph import Group, Slot, coupled_groups, cut, kept_indices, mask, verify

Analysed = tuple[nn.Module, tuple[Tensor, ...], tuple[Group, ...]]


def analyse(name: str) -> Analysed:
    """Return a fresh net, its example and its groups, which are the same for every build."""
    return *build(name), tuple(groups_of(name).values())


def outputs(model: nn.Module, example: tuple[Tensor, ...]) -> list[Tensor]:
    with torch.no_grad():
        result = model.double()(*(x.double() if x.is_floating_point() else x for x in example))
    return list(result) if isinstance(result, tuple) else [result]


def removals(groups: tuple[Group, ...]) -> list[dict[str, list[int]]]:
    """Return one unit of every group alone, half of every group alone, and half of all together."""
    free = [group for group in groups if group.protected is None]
    ones = [{group.name: [len(group.units) - 1]} for group in free]
    halves = [{group.name: list(range(0, len(group.units), 2))} for group in free]
    return [*ones, *halves, {name: units for half in halves for name, units in half.items()}]


@pytest.mark.parametrize("name", sampled([*NETS, "recurrent", "gpt2", "llama", "states"], 12))
def test_cut_equals_masked(name: str) -> None:
    model, example, groups = analyse(name)
    inexact = {group.name for group in groups if not group.exact}
    full = outputs(copy.deepcopy(model), example)
    size = sum(parameter.numel() for parameter in model.parameters())
    for remove in removals(groups):
        smaller = cut(model, groups, remove)
        assert sum(parameter.numel() for parameter in smaller.parameters()) < size
        found, masked = outputs(smaller, example), outputs(mask(model, groups, remove), example)
        assert [x.shape for x in found] == [x.shape for x in full]
        assert all(x.isfinite().all() for x in found)
        if not inexact.intersection(remove):
            for one, other in zip(found, masked, strict=True):
                torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["mobile", "unet", "grouped", "groupnorm", "tied", "text", "flattened"])
def test_modules_say_the_sizes_of_their_weights(name: str) -> None:
    model, _, groups = analyse(name)
    smaller = cut(model, groups, removals(groups)[-1])
    for module in smaller.modules():
        if isinstance(module, nn.ConvTranspose2d):
            expected = (module.in_channels, module.out_channels // module.groups)
        elif isinstance(module, nn.Conv2d):
            expected = (module.out_channels, module.in_channels // module.groups)
        elif isinstance(module, nn.Linear):
            expected = (module.out_features, module.in_features)
        elif isinstance(module, nn.Embedding):
            expected = (module.num_embeddings, module.embedding_dim)
        elif isinstance(module, nn.LayerNorm):
            expected = tuple(module.normalized_shape)
        elif isinstance(module, (nn.BatchNorm2d, nn.InstanceNorm2d)):
            expected = (module.num_features,)
        elif isinstance(module, nn.GroupNorm):
            expected = (module.num_channels,)
        else:
            continue
        assert tuple(module.weight.shape[: len(expected)]) == expected


def test_a_depthwise_convolution_loses_groups_and_keeps_its_multiplier() -> None:
    model, _, groups = analyse("mobile")
    smaller = cut(model, groups, {"stem.0": [0, 1, 2], "blocks.1.expand.0": [5]})
    conv = smaller.get_submodule("multiplied.0")
    assert isinstance(conv, nn.Conv2d)
    assert (conv.in_channels, conv.out_channels, conv.groups) == (5, 10, 5)
    depthwise = smaller.get_submodule("blocks.1.depthwise.0")
    assert isinstance(depthwise, nn.Conv2d)
    assert (depthwise.in_channels, depthwise.groups) == (11, 11)


def test_the_model_stays_as_it_was() -> None:
    model, example = build("projected")
    model.train()
    model.get_submodule("fc").eval()
    model.get_submodule("stem")._forward_hooks[0] = lambda *_: None
    model.get_parameter("fc.weight").requires_grad_(False)
    modes = [module.training for module in model.modules()]
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    groups = coupled_groups(model, example)
    cut(model, groups, removals(groups)[-1])
    assert [module.training for module in model.modules()] == modes
    assert list(model.get_submodule("stem")._forward_hooks) == [0]
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not model.get_parameter("fc.weight").requires_grad
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, state[name]), name


def test_a_cut_parameter_keeps_its_ties_and_its_trainability() -> None:
    model, _, groups = analyse("tied")
    model.get_parameter("hidden.weight").requires_grad_(False)
    smaller = cut(model, groups, {"back": [0, 3]})
    assert smaller.get_parameter("embed.weight") is smaller.get_parameter("decoder.weight")
    assert smaller.get_parameter("embed.weight").shape == (20, 6)
    assert not smaller.get_parameter("hidden.weight").requires_grad


def test_kept_indices_select_the_cut_tensors_out_of_the_old_ones() -> None:
    model, _, groups = analyse("tied")
    remove = {"back": [0, 3], "hidden": [1]}
    tensors, smaller = model.state_dict(), cut(model, groups, remove).state_dict()
    for (name, dim), indices in kept_indices(model, groups, remove).items():
        tensors[name] = tensors[name].index_select(dim, torch.tensor(indices))
    assert tensors.keys() == smaller.keys()
    assert all(torch.equal(tensors[name], smaller[name]) for name in tensors)


def test_a_cut_model_can_be_cut_again() -> None:
    model, example, groups = analyse("padded")
    smaller = cut(model, groups, {"conv1": [1], "layer2.0.conv1": [0, 1]})
    again = coupled_groups(smaller, example)
    assert len(next(group for group in again if group.name == "conv1").units) == 3
    verify(smaller, again, {"conv1": [0]}, example)


def test_what_cannot_be_removed_is_refused() -> None:
    model, _, groups = analyse("padded")
    with pytest.raises(WorkbenchError, match="padded with a constant number"):
        cut(model, groups, {"layer2.0.conv2": [0]})
    with pytest.raises(WorkbenchError, match="no channel group 'conv9'"):
        cut(model, groups, {"conv9": [0]})
    with pytest.raises(WorkbenchError, match="no unit 4"):
        cut(model, groups, {"conv1": [4]})
    with pytest.raises(WorkbenchError, match="at least one must stay"):
        cut(model, groups, {"layer1.0.conv1": range(4)})


def test_verify_tells_a_wrong_coupling() -> None:
    model, example, groups = analyse("plain")
    group = next(group for group in groups if group.name == "conv1")
    halved = replace(group, units=tuple(tuple(s for s in unit if s.dim == 0) for unit in group.units))
    with pytest.raises(WorkbenchError, match="does not run"):
        verify(model, [halved], {"conv1": [0]}, example)

    def shifted(slot: Slot) -> Slot:
        return replace(slot, indices=((slot.indices[0] + 1) % 8,)) if slot.parameter == "bn1.bias" else slot

    wrong = replace(group, units=tuple(tuple(map(shifted, unit)) for unit in group.units))
    verify(model, [group], {"conv1": [0]}, example)
    with pytest.raises(WorkbenchError, match="differ"):
        verify(model, [wrong], {"conv1": [0]}, example)

"""The sizes that modules remember beside their weights."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd


def is_depthwise(module: nn.Module) -> bool:
    """Whether a convolution gives every input channel its own group."""
    return isinstance(module, _ConvNd) and 1 < module.groups == module.in_channels


def refit(module: nn.Module, depthwise: bool) -> None:
    """Set the module's attributes to what its tensors say.

    Args:
        module: A module some of whose tensors were replaced by smaller ones.
        depthwise: Whether it was a depthwise convolution before; a grouped one can come to look like it.
    """
    if isinstance(module, _ConvNd):
        _refit_convolution(module, depthwise)
    elif isinstance(module, nn.Linear):
        module.out_features, module.in_features = module.weight.shape
    elif isinstance(module, _NormBase):
        vector = module.weight if module.weight is not None else module.running_mean
        module.num_features = len(_present(vector))
    elif isinstance(module, (nn.LayerNorm, nn.RMSNorm)):
        module.normalized_shape = tuple(_present(module.weight).shape)
    elif isinstance(module, nn.GroupNorm):
        module.num_channels = len(module.weight)
    elif isinstance(module, nn.Embedding):
        module.num_embeddings, module.embedding_dim = module.weight.shape
    elif isinstance(module, nn.RNNBase):
        _refit_recurrent(module)
    elif isinstance(module, nn.RNNCellBase):
        module.hidden_size, module.input_size = module.weight_hh.shape[1], module.weight_ih.shape[1]
    elif isinstance(module, nn.Bilinear):
        module.out_features, module.in1_features, module.in2_features = module.weight.shape
    elif type(module).__name__ == "Conv1D" and hasattr(module, "nf"):  # the linear layer of GPT-2
        for name, size in zip(("nx", "nf"), module.get_parameter("weight").shape, strict=True):
            setattr(module, name, size)
    elif isinstance(module, nn.PReLU):
        module.num_parameters = len(module.weight)


def _refit_convolution(module: _ConvNd, depthwise: bool) -> None:
    first, second = module.weight.shape[:2]
    if depthwise and module.transposed:
        module.groups = first
    elif depthwise:
        module.groups = first * module.groups // module.out_channels
    if module.transposed:
        module.in_channels, module.out_channels = first, second * module.groups
    else:
        module.out_channels, module.in_channels = first, second * module.groups


def _refit_recurrent(module: nn.RNNBase) -> None:
    gates = {"LSTM": 4, "GRU": 3}.get(module.mode, 1)
    inside, again = module.get_parameter("weight_ih_l0"), module.get_parameter("weight_hh_l0")
    module.input_size, module.hidden_size = inside.shape[1], len(again) // gates
    if module.proj_size:
        module.proj_size = again.shape[1]
    module._flat_weights = [getattr(module, name, None) for name in module._flat_weights_names]


def _present(tensor: Tensor | None) -> Tensor:
    assert tensor is not None  # noqa: S101 - only modules with a replaced tensor come here
    return tensor

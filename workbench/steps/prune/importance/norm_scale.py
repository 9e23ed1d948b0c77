"""BatchNorm scale: a channel matters as much as the factor its BatchNorm multiplies it with.

Liu et al.: "Learning Efficient Convolutional Networks through Network Slimming", 2017. The paper trains with an L1
penalty on the factors; without it they say less.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from workbench.graph import Group, canonical_names
from workbench.registry import register
from workbench.steps.context import Context
from workbench.steps.prune.importance.criterion import Criterion
from workbench.steps.prune.importance.slots import Place, mean, owners


@register
class NormScale(Criterion):
    kind = "batchnorm"
    position = 3
    title = "BatchNorm scale"

    def unfit(self, model: nn.Module, group: Group) -> str:
        return "" if owners(model, group, _places(model)) else "no BatchNorm scales its channels"

    def units(self, model: nn.Module, groups: Sequence[Group], context: Context) -> dict[str, Tensor]:
        scales = {place.parameter: model.get_parameter(place.parameter).detach().abs() for place in _places(model)}
        return {g.name: mean(scales, owners(model, g, _places(model)), len(g.units)) for g in groups}


def _places(model: nn.Module) -> list[Place]:
    """Return where the scales of all BatchNorms are."""
    norms = [name for name, module in model.named_modules() if isinstance(module, _NormBase) and module.affine]
    names = canonical_names(model)
    return [Place(names[f"{name}.weight" if name else "weight"], 0) for name in norms]

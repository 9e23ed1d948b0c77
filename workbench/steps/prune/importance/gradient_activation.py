"""Gradient times activation: the slope of the evidence for the right answer, times what a channel gives.

Shrikumar et al.: "Not Just a Black Box: Learning Important Features Through Propagating Activation Differences", 2016;
computed by captum's `LayerGradientXActivation`.
"""

from __future__ import annotations

from torch import Tensor, nn

from workbench.registry import register
from workbench.steps.prune.importance.attribution import Attribution


@register
class GradientActivation(Attribution):
    kind = "gradient_activation"
    position = 11
    title = "Gradient × activation (captum)"

    def attribute(self, evidence: nn.Module, layer: nn.Module, inputs: tuple[Tensor, ...], targets: Tensor) -> Tensor:
        from captum.attr import LayerGradientXActivation  # slow to import

        method = LayerGradientXActivation(evidence, layer)
        attributed: Tensor = method.attribute(inputs, additional_forward_args=(targets,), attribute_to_layer_input=True)
        return attributed

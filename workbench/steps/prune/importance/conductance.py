"""Conductance: the part of the evidence for the right answer that flows through a channel.

Dhamdhere, Sundararajan, Yan: "How Important Is a Neuron?", 2019; computed by captum's `LayerConductance` along the
straight path from inputs of zero.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from workbench.graph import Group
from workbench.registry import register
from workbench.steps.context import Context
from workbench.steps.prune.importance.attribution import Attribution, floating

STEPS = 8  # on a path for every sample and layer: the costliest criterion after Shapley values


@register
class Conductance(Attribution):
    kind = "conductance"
    position = 12
    title = "Layer conductance (captum)"
    samples = 64

    def units(self, model: nn.Module, groups: Sequence[Group], context: Context) -> dict[str, Tensor]:
        floating(context.example(), self.title)
        return super().units(model, groups, context)

    def attribute(self, evidence: nn.Module, layer: nn.Module, inputs: tuple[Tensor, ...], targets: Tensor) -> Tensor:
        from captum.attr import LayerConductance  # slow to import

        attributed: Tensor = LayerConductance(evidence, layer).attribute(
            inputs,
            additional_forward_args=(targets,),
            n_steps=STEPS,
            method="riemann_trapezoid",  # captum's default leaves out both ends of the path
            internal_batch_size=4 * len(targets),
            attribute_to_layer_input=True,
        )
        return attributed

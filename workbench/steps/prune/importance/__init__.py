"""Importance criteria. A new one is a new file and a line in the table."""

from workbench.steps.prune.importance.apoz import AveragePercentageOfZeros
from workbench.steps.prune.importance.chance import Chance
from workbench.steps.prune.importance.conductance import Conductance
from workbench.steps.prune.importance.criterion import Criterion, WeightCriterion
from workbench.steps.prune.importance.deep_lift import DeepLift
from workbench.steps.prune.importance.energy import Energy
from workbench.steps.prune.importance.fisher import Fisher
from workbench.steps.prune.importance.geometric_median import GeometricMedian
from workbench.steps.prune.importance.gradient_activation import GradientActivation
from workbench.steps.prune.importance.kept import rank_units, rank_weights
from workbench.steps.prune.importance.magnitude import Magnitude
from workbench.steps.prune.importance.mean_activation import MeanActivation
from workbench.steps.prune.importance.norm_scale import NormScale
from workbench.steps.prune.importance.obs import OptimalBrainSurgeon
from workbench.steps.prune.importance.shapley import Shapley
from workbench.steps.prune.importance.taylor import Taylor
from workbench.steps.prune.importance.wanda import Wanda

CRITERIA: dict[str, Criterion] = {
    criterion.kind: criterion
    for criterion in (
        Magnitude(),
        Energy(),
        NormScale(),
        Taylor(),
        Fisher(),
        OptimalBrainSurgeon(),
        Wanda(),
        AveragePercentageOfZeros(),
        MeanActivation(),
        GeometricMedian(),
        GradientActivation(),
        Conductance(),
        DeepLift(),
        Shapley(),
        Chance(),
    )
}
WEIGHT_CRITERIA: dict[str, WeightCriterion] = {
    kind: criterion for kind, criterion in CRITERIA.items() if isinstance(criterion, WeightCriterion)
}

__all__ = ["CRITERIA", "WEIGHT_CRITERIA", "Criterion", "WeightCriterion", "rank_units", "rank_weights"]

"""Importance criteria. A new one is a new file and a line in the table."""

from workbench.importance.apoz import AveragePercentageOfZeros
from workbench.importance.chance import Chance
from workbench.importance.conductance import Conductance
from workbench.importance.criterion import Criterion, WeightCriterion
from workbench.importance.deep_lift import DeepLift
from workbench.importance.energy import Energy
from workbench.importance.fisher import Fisher
from workbench.importance.geometric_median import GeometricMedian
from workbench.importance.gradient_activation import GradientActivation
from workbench.importance.kept import rank_units, rank_weights
from workbench.importance.magnitude import Magnitude
from workbench.importance.mean_activation import MeanActivation
from workbench.importance.norm_scale import NormScale
from workbench.importance.obs import OptimalBrainSurgeon
from workbench.importance.shapley import Shapley
from workbench.importance.taylor import Taylor
from workbench.importance.wanda import Wanda

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

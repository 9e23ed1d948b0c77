"""The traced graph of a model: coupled channel groups, physical cutting, folded norms."""

from __future__ import annotations

from workbench.graph.consecutive import chains
from workbench.graph.coupling import channel_groups, coupled_groups, head_groups
from workbench.graph.cutting import check_same, cut, kept_indices, mask, protect_failing, verify
from workbench.graph.entry import entry_layer
from workbench.graph.fold import fold_batchnorm, followers, summed_inputs
from workbench.graph.group import Group, Slot, Unit, not_cut
from workbench.graph.refit import is_depthwise
from workbench.graph.residual import Branch, Bypass, branches, without_branches
from workbench.graph.tracing import topology, trace
from workbench.graph.walk import canonical_names

__all__ = [
    "Branch",
    "Bypass",
    "Group",
    "Slot",
    "Unit",
    "branches",
    "canonical_names",
    "chains",
    "channel_groups",
    "check_same",
    "coupled_groups",
    "cut",
    "entry_layer",
    "fold_batchnorm",
    "followers",
    "head_groups",
    "is_depthwise",
    "kept_indices",
    "mask",
    "not_cut",
    "protect_failing",
    "summed_inputs",
    "topology",
    "trace",
    "verify",
    "without_branches",
]

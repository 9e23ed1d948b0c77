"""The forms in which layers can be written, by their names."""

from __future__ import annotations

from workbench.steps.factorize.depthwise import DepthwiseSplit
from workbench.steps.factorize.splits import ChannelSplit, SpatialSplit, Split
from workbench.steps.factorize.tucker import TuckerSplit

SPLITS: dict[str, type[Split]] = {
    split.kind: split for split in (SpatialSplit, ChannelSplit, TuckerSplit, DepthwiseSplit)
}
# Of these the best is taken where any will do: depthwise kernels compute little and take long.
DENSE = ("spatial", "channel", "tucker")

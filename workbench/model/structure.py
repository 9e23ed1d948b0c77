"""What two models share if what was made of one, such as a traced graph, may do for the other."""

from __future__ import annotations

from torch import nn

from workbench.task.batch import feeds_of
from workbench.task.identity import code_digest

# What cutting channels changes in a module, and the mode, which is the same in every twin.
SIZES = {
    "in_channels", "out_channels", "in_features", "out_features", "num_features", "num_channels", "num_groups",
    "groups", "embed_dim", "num_heads", "head_dim", "normalized_shape", "training",
}  # fmt: skip
PLAIN = (bool, int, float, str, tuple)


def structure(model: nn.Module) -> object:
    """Return the names, types and settings of a model's modules, the code of functions that they hold, and its feeds.

    Sizes may differ, as they do after channels were cut: whether a graph does for others too has to be tried.
    """
    return feeds_of(model), *((name, type(module), _settings(module)) for name, module in model.named_modules())


def _settings(module: nn.Module) -> tuple[tuple[str, object], ...]:
    return tuple(
        (name, code_digest(value) if callable(value) else value)
        for name, value in vars(module).items()
        if not name.startswith("_") and name not in SIZES and (isinstance(value, PLAIN) or callable(value))
    )

"""Where models compute: the device of a session, and how tensors get there and back."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from workbench.errors import WorkbenchError
from workbench.task.batch import Inputs, like

# What files hold, what other runtimes take, and what exact results are kept on.
CPU = torch.device("cpu")
FORMS = "auto, cpu, cuda, cuda:1 and the like, or mps"
# Kinds of devices by name, and how many of each are here.
_COUNTS: dict[str, Callable[[], int]] = {
    "cpu": lambda: 1,
    "cuda": torch.cuda.device_count,
    "mps": lambda: int(torch.backends.mps.is_available()),
}


def device_named(name: str) -> torch.device:
    """Return the device of a name.

    Args:
        name: "auto", "cpu", "cuda", "cuda:1" or "mps". "auto" is the first CUDA device if any, else the CPU;
            never "mps", which has no float64: methods of the second order fail there, so that people must ask for it.

    Raises:
        WorkbenchError: The name is of no known form, or there is no such device here.
    """
    if name == "auto":
        return torch.device("cuda", 0) if _COUNTS["cuda"]() else CPU
    kind, _, number = name.partition(":")
    if kind not in _COUNTS or not re.fullmatch(rf"{kind}(:\d{{1,3}})?", name):
        raise WorkbenchError(f"device {name!r} is not known; give {FORMS}")
    count = _COUNTS[kind]()
    if int(number or 0) >= count:
        have = [kind if count == 1 else f"{kind}:0 to {kind}:{count - 1}" for kind, ask in _COUNTS.items()
                if (count := ask())]  # fmt: skip
        raise WorkbenchError(f"there is no device {name!r} here; there is {', '.join(have)}")
    return CPU if kind == "cpu" else torch.device(kind, int(number or 0))


def device_names() -> tuple[str, ...]:
    """Return the names of the devices that are here, the CPU first."""
    return tuple(
        "cpu" if kind == "cpu" else f"{kind}:{number}" for kind, count in _COUNTS.items() for number in range(count())
    )


def device_of(model: nn.Module) -> torch.device:
    """Return where a model's first parameter is; the CPU, where it has none."""
    first = next(model.parameters(), None)
    return CPU if first is None else first.device


def moved(tree: Any, device: torch.device) -> Any:
    """Return a tree of tensors, or inputs as they are handed over, on a device; those that are there are the same."""
    if isinstance(tree, Inputs):
        return like(tree, [value.to(device) for value in tree])
    return tree_map_only(Tensor, lambda value: value.to(device), tree)


def device_words(device: torch.device) -> str:
    """Return what people read of a device: its name, and the card's."""
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)

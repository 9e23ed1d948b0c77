"""Checkpoints from elsewhere: data, never code."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from workbench.checkpoint.checkpoint import read
from workbench.checkpoint.coding import DTYPES
from workbench.errors import WorkbenchError, first_line, shown

NESTS = ("state_dict", "model_state_dict", "model", "module", "net", "weights", "params", "ema")
PREFIXES = ("module.", "model.", "_orig_mod.", "net.")


def load_weights(model: nn.Module, path: Path) -> None:
    """Put a checkpoint into a model, in place.

    A state dict may lie inside of a dict (under "state_dict" and the like), and all its keys may begin with
    "module." and the like.

    Raises:
        WorkbenchError: The file cannot be read without running code, or its keys or shapes do not fit; missing
            and unexpected keys are listed by name. The model is then as it was.
    """
    tensors = state_dict(path)
    wanted = model.state_dict()
    tensors = _fit(tensors, wanted)
    counters = {name for name in wanted if name.endswith("num_batches_tracked")}
    missing = [name for name in wanted if name not in tensors and name not in counters]
    unexpected = [name for name in tensors if name not in wanted]
    if missing or unexpected:
        raise WorkbenchError(
            f"{path} does not fit the model. Missing: {_some(missing)}. Unexpected: {_some(unexpected)}."
        )
    wrong = [f"{n} is {tuple(tensors[n].shape)}, the model has {tuple(wanted[n].shape)}" for n in tensors
             if tensors[n].shape != wanted[n].shape]  # fmt: skip
    if wrong:
        raise WorkbenchError(f"{path} does not fit the model: {_some(wrong)}")
    bad = [name for name, value in tensors.items() if value.is_floating_point() and not torch.isfinite(value).all()]
    if bad:
        raise WorkbenchError(f"{path} holds NaN or infinite values in {_some(bad)}")
    model.load_state_dict(tensors, strict=False)


def state_dict(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint by name.

    Raises:
        WorkbenchError: The file is missing, of no known kind, or needs code to be read.
    """
    if not path.is_file():
        raise WorkbenchError(f"there is no checkpoint {path}")
    if path.suffix == ".safetensors":
        return read(path)[0]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch thinks of how it was saved; what it reads is what counts
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WorkbenchError(
            f"{path} holds more than tensors, and reading it could run code of whoever made it. If you trust it, "
            "convert it once where you trust it: torch.save(model.state_dict(), 'weights.pt')"
        ) from error
    except Exception as error:  # a damaged pickle or archive trips its reader up anywhere
        raise WorkbenchError(f"{path} cannot be read as a checkpoint: {shown(first_line(error), 200)}") from error
    tensors = _unnest(loaded, path)
    for name, value in tensors.items():
        if (kind := _odd(value)) is not None:
            raise WorkbenchError(f"{path} holds {shown(name)} as {kind}; convert it to a dense tensor of numbers first")
    return tensors


def _unnest(loaded: Any, path: Path) -> dict[str, Tensor]:
    for _ in range(len(NESTS)):  # a dict may hold itself
        if not isinstance(loaded, Mapping):
            break
        inner = next((loaded[nest] for nest in NESTS if isinstance(loaded.get(nest), Mapping)), None)
        tensors = {str(name): value for name, value in loaded.items() if isinstance(value, Tensor)}
        if tensors and inner is None:
            return tensors
        if inner is None:
            raise WorkbenchError(f"{path} holds no state dict; its keys are {_some([str(key) for key in loaded])}")
        loaded = inner
    if isinstance(loaded, Mapping):
        raise WorkbenchError(f"{path} holds no state dict, only dicts within dicts")
    raise WorkbenchError(f"{path} holds a {type(loaded).__name__}, not a state dict")


def _odd(value: Tensor) -> str | None:
    """Return what keeps a tensor from being taken as weights, None for a dense one of plain numbers."""
    if value.is_nested:
        return "a nested tensor"
    if value.is_quantized:
        return "a quantized tensor"
    if value.is_meta:
        return "a tensor without values"
    if value.layout != torch.strided:
        return "a sparse tensor"
    return None if value.dtype in DTYPES else f"{value.dtype}"


def _fit(tensors: dict[str, Tensor], wanted: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the state dict without a prefix that all its keys have and the model's have not."""
    for prefix in PREFIXES:
        if (
            tensors
            and all(name.startswith(prefix) for name in tensors)
            and not any(n.startswith(prefix) for n in wanted)
        ):
            return _fit({name.removeprefix(prefix): value for name, value in tensors.items()}, wanted)
    return tensors


def _some(names: list[str]) -> str:
    return (
        ", ".join(map(shown, names[:8])) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
        if names
        else "none"
    )

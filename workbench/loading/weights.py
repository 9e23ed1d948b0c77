"""Checkpoints from elsewhere: data, never code."""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from workbench.checkpoint.checkpoint import read
from workbench.checkpoint.coding import DTYPES
from workbench.errors import WorkbenchError, first_line, shown
from workbench.loading.shards import INDEX, read_shards

NESTS = ("state_dict", "model_state_dict", "model", "module", "net", "weights", "params", "ema")
# What wrappers put into names: parallel, compiled and checkpointed modules.
WRAPPERS = {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
CHOSEN = re.compile(r"(?P<path>.+)\[(?P<part>[\w ]+)\]")


def load_weights(model: nn.Module, path: Path) -> str:
    """Put a checkpoint into a model, in place, and return what of it was left out, "" for nothing.

    A state dict may lie inside of a dict (under "state_dict" and the like; "weights.pth[ema]" says which of several),
    its keys may begin with a wrapper's name, or hold one, and foreign keys may stand beside those of the wrapped model.

    Raises:
        WorkbenchError: The file cannot be read without running code, or its keys or shapes do not fit; missing
            and unexpected keys are listed by name. The model is then as it was.
    """
    tensors = state_dict(path)
    wanted = model.state_dict()
    counters = {name for name in wanted if name.endswith("num_batches_tracked")}
    tensors, foreign = _fit(tensors, wanted.keys() - counters)
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
    return f"{len(foreign)} tensors of {path.name} belong to no part of the model: {_some(foreign)}" if foreign else ""


def state_dict(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint by name.

    Raises:
        WorkbenchError: The file is missing, of no known kind, or needs code to be read.
    """
    chosen = CHOSEN.fullmatch(str(path)) if not path.is_file() else None
    part = chosen["part"] if chosen else ""
    path = Path(chosen["path"]) if chosen else path
    if not path.is_file():
        raise WorkbenchError(f"there is no checkpoint {path}")
    if path.suffix == ".safetensors":
        return read(path)[0]
    if path.name.endswith(INDEX):
        return read_shards(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch thinks of how it was saved; what it reads is what counts
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WorkbenchError(
            f"{path} holds more than tensors, and reading it could run code of whoever made it. If you trust it, "
            "convert it once where you trust it: torch.save(model.state_dict(), 'weights.pt')"
        ) from error
    except RuntimeError as error:
        if "torchscript" in str(error).lower():
            raise WorkbenchError(
                f"{path} is a TorchScript program, which is code. If you trust it, take its weights out once: "
                "torch.save(torch.jit.load(path).state_dict(), 'weights.pt')"
            ) from error
        raise WorkbenchError(f"{path} cannot be read as a checkpoint: {shown(first_line(error), 200)}") from error
    except Exception as error:  # a damaged pickle or archive trips its reader up anywhere
        raise WorkbenchError(f"{path} cannot be read as a checkpoint: {shown(first_line(error), 200)}") from error
    tensors = _unnest(loaded, path, part)
    for name, value in tensors.items():
        if (kind := _odd(value)) is not None:
            raise WorkbenchError(f"{path} holds {shown(name)} as {kind}; convert it to a dense tensor of numbers first")
    return tensors


def _unnest(loaded: Any, path: Path, part: str = "") -> dict[str, Tensor]:
    if part:
        if not isinstance(loaded, Mapping) or not isinstance(loaded.get(part), Mapping):
            raise WorkbenchError(f"{path} holds no weights under {part!r}; its keys are {_some(_keys(loaded))}")
        loaded = loaded[part]
    for _ in range(len(NESTS)):  # a dict may hold itself
        if not isinstance(loaded, Mapping):
            break
        nests = [nest for nest in NESTS if isinstance(loaded.get(nest), Mapping) and loaded[nest] is not loaded]
        if len(nests) > 1 and sum(_holds_tensors(loaded[nest]) for nest in nests) > 1:
            several = ", ".join(f"{path.name}[{nest}]" for nest in nests)
            raise WorkbenchError(f"{path} holds several sets of weights; say which one: {several}")
        inner = next((loaded[nest] for nest in nests), None)
        tensors = {str(name): value for name, value in loaded.items() if isinstance(value, Tensor)}
        if tensors and inner is None:
            return tensors
        if inner is None:
            raise WorkbenchError(f"{path} holds no state dict; its keys are {_some([str(key) for key in loaded])}")
        loaded = inner
    if isinstance(loaded, Mapping):
        raise WorkbenchError(f"{path} holds no state dict, only dicts within dicts")
    raise WorkbenchError(f"{path} holds a {type(loaded).__name__}, not a state dict")


def _keys(loaded: Any) -> list[str]:
    return [str(key) for key in loaded] if isinstance(loaded, Mapping) else []


def _holds_tensors(loaded: Mapping[Any, Any]) -> bool:
    return any(isinstance(value, Tensor) for value in loaded.values())


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


def _fit(tensors: dict[str, Tensor], wanted: AbstractSet[str]) -> tuple[dict[str, Tensor], list[str]]:
    """Return a state dict under the model's names, and the names of what is foreign to it.

    Names are taken without what wrappers put into them, and behind a prefix that those of all of the model's tensors
    have. Where nothing fits, they stay as they are, so that errors name what is in the file.
    """
    if wanted <= tensors.keys():
        return tensors, []
    plain = {".".join(part for part in name.split(".") if part not in WRAPPERS): name for name in tensors}
    for names in ({name: name for name in tensors}, plain):
        first = min(wanted, default="")
        prefixes = {name.removesuffix(first) for name in names if name == first or name.endswith(f".{first}")}
        for prefix in sorted(prefixes, key=len):
            if all(prefix + name in names for name in wanted):
                inside = {name.removeprefix(prefix): key for name, key in names.items() if name.startswith(prefix)}
                inside = inside if prefix or names is plain else {name: name for name in names}
                foreign = [key for name, key in names.items() if not name.startswith(prefix)]
                return {name: tensors[key] for name, key in inside.items()}, foreign
    return _without_prefix(tensors), []


def _without_prefix(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict without a wrapper's name that begins all of its keys, for what an error lists."""
    starts = {name.split(".", 1)[0] for name in tensors}
    if len(starts) == 1 and starts <= WRAPPERS and all("." in name for name in tensors):
        return {name.split(".", 1)[1]: value for name, value in tensors.items()}
    return tensors


def _some(names: list[str]) -> str:
    return (
        ", ".join(map(shown, names[:8])) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
        if names
        else "none"
    )

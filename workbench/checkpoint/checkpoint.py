"""The checkpoint file: packed tensors in safetensors, and nothing that runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from workbench.checkpoint.coding import Coding, Plan, plan, restore, store
from workbench.errors import WorkbenchError, within

KEY, VERSION = "workbench", 1
# A part's name after the tensor's; no parameter name holds a colon.
SEPARATOR = ":"
Planned = dict[str, Plan]
_PLANS: WeakKeyDictionary[nn.Module, dict[str, tuple[Plan, Coding | None, int]]] = WeakKeyDictionary()


def tensors(model: nn.Module, overlay: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """Return what a checkpoint holds of a model: its state dict, tied tensors once, under their first name."""
    found: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, value in model.state_dict(keep_vars=True).items():
        if id(value) not in seen:
            seen.add(id(value))
            found[name] = (overlay or {}).get(name, value).detach()
    return found


def version_of(value: Tensor) -> int:
    """Return a number that changes when the tensor is written to."""
    return 0 if value.is_inference() else value._version


def planned(model: nn.Module, codings: Mapping[str, Coding], overlay: Mapping[str, Tensor] | None = None) -> Planned:
    """Return for every tensor of a model how it will be stored."""
    kept = _PLANS.setdefault(model, {})
    made: Planned = {}
    for name, value in tensors(model, overlay).items():
        coding = codings.get(name)
        # Most tensors of a preview are those of the preview before; a tensor that was written to has another version.
        known, same, version = kept.get(name, (None, None, -1))
        if known is None or (overlay and name in overlay) or coding is not same or version != version_of(value):
            known = plan(value, coding)
            if not (overlay and name in overlay):
                kept[name] = (known, coding, version_of(value))
        made[name] = known
    return made


def _part(name: str, part: str) -> str:
    return name if part == "values" else f"{name}{SEPARATOR}{part}"


def metadata(described: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return the header's text: the format's version and, for packed tensors, how to read them.

    All of it is one entry, because safetensors writes several in an order that changes from run to run.
    """
    packed = {name: value for name, value in described.items() if value}
    return {KEY: json.dumps({"version": VERSION, "packed": packed}, sort_keys=True, separators=(",", ":"))}


def header_bytes(plans: Planned) -> int:
    """Return the bytes that safetensors writes before the first tensor, its length field included."""
    header: dict[str, Any] = {"__metadata__": metadata({name: made.facts for name, made in plans.items()})}
    # safetensors orders by falling type, then by name; only the offsets' digits depend on it.
    parts = [(_part(name, part), *spec) for name, made in plans.items() for part, spec in made.shapes.items()]
    offset = 0
    for name, dtype, shape in sorted(parts, key=lambda part: (-RANK[part[1]], part[0])):
        count = ELEMENT[dtype]
        for size in shape:
            count *= size
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, offset + count]}
        offset += count
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    return 8 + -(-len(text) // 8) * 8


# Bytes of an element, in the order in which safetensors sorts tensors by type.
ELEMENT = {
    "BOOL": 1, "U8": 1, "I8": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2, "I32": 4, "F32": 4, "F64": 8, "I64": 8,
}  # fmt: skip
RANK = {name: rank for rank, name in enumerate(ELEMENT)}


def write(path: Path, model: nn.Module, codings: Mapping[str, Coding]) -> None:
    """Write a model's tensors, packed.

    Raises:
        WorkbenchError: A tensor is not on the grid it is to be stored with.
    """
    parts: dict[str, Tensor] = {}
    described: dict[str, Mapping[str, Any]] = {}
    for name, value in tensors(model).items():
        with within(name):
            made, described[name] = store(value, codings.get(name))
        parts |= {_part(name, part): tensor for part, tensor in made.items()}
    # Not save_file: it makes files that only their owner may read.
    path.write_bytes(save(parts, metadata(described)))


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Coding]]:
    """Return the tensors of a checkpoint bit for bit, and how they were coded.

    A safetensors file that the workbench did not write is read too; its tensors are plain.

    Raises:
        WorkbenchError: The file is missing, truncated or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            head = file.metadata() or {}
            stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping, only keys()
    except (OSError, SafetensorError) as error:
        raise WorkbenchError(f"{path} cannot be read as safetensors: {error}") from error
    if KEY not in head:
        return stored, {}
    try:
        facts = json.loads(head[KEY])
        version, described = facts["version"], dict(facts["packed"])
    except (KeyError, ValueError, TypeError) as error:
        raise WorkbenchError(f"{path} has a damaged header: {error}") from error
    if version != VERSION:
        raise WorkbenchError(f"{path} has format version {version!r}; this reads {VERSION}")
    values: dict[str, Tensor] = {}
    codings: dict[str, Coding] = {}
    parts: dict[str, dict[str, Tensor]] = {}
    for full, tensor in stored.items():
        name, _, part = full.partition(SEPARATOR)
        parts.setdefault(name, {})[part or "values"] = tensor
    for name, own in parts.items():
        with within(f"{path}, {name}"):
            values[name], coding = restore(own, described.get(name, {}))
        if coding is not None:
            codings[name] = coding
    return values, codings

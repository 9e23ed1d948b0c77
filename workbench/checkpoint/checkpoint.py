"""The checkpoint file: packed tensors in safetensors, and nothing that runs."""

from __future__ import annotations

import itertools
import json
import math
import os
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from workbench.checkpoint.coding import (
    DIMENSIONS,
    DTYPES,
    NAMED,
    PARTS,
    Coding,
    Plan,
    plan,
    restore,
    room,
    store,
)
from workbench.checkpoint.reading import open_file
from workbench.errors import WorkbenchError, first_line, shown, within
from workbench.task.identity import tensor_bytes

KEY, VERSION = "workbench", 1
# A file of codes that are entropy-coded is meant to be small: all of its tensors lie in one, behind their description,
# which is deflated. The header of many small tensors took a sixth of such a file.
PACKED, PACKED_VERSION = "packed", 2
RAW = -15  # of zlib: no header and no checksum
LENGTH = 4  # bytes that say how many the description takes
SEPARATOR = ":"  # between a packed tensor's name and that of one of its parts
HEADER_BYTES, HEADER_VALUES = 16 << 20, 500_000
Planned = dict[str, Plan]
_PLANS: WeakKeyDictionary[nn.Module, dict[str, tuple[Plan, Coding | None, int]]] = WeakKeyDictionary()


def tensors(model: nn.Module, overlay: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """Return what a checkpoint holds of a model: its state dict, tied tensors once, under their first name."""
    state: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, value in model.state_dict(keep_vars=True).items():
        if id(value) not in seen:
            seen.add(id(value))
            state[name] = (overlay or {}).get(name, value).detach()
    return state


def version_of(value: Tensor) -> int:
    """Return a number that changes when the tensor is written to."""
    return 0 if value.is_inference() else value._version


def planned(model: nn.Module, codings: Mapping[str, Coding], overlay: Mapping[str, Tensor] | None = None) -> Planned:
    """Return for every tensor of a model how it will be stored."""
    cached = _PLANS.setdefault(model, {})
    plans: Planned = {}
    for name, value in tensors(model, overlay).items():
        coding = codings.get(name)
        # Most tensors of a preview are those of the preview before; a tensor that was written to has another version.
        known, same, version = cached.get(name, (None, None, -1))
        if known is None or (overlay and name in overlay) or coding is not same or version != version_of(value):
            known = plan(value, coding)
            if not (overlay and name in overlay):
                cached[name] = (known, coding, version_of(value))
        plans[name] = known
    return plans


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
    return len(_header(plans)[0])


def _header(plans: Planned) -> tuple[bytes, dict[str, int]]:
    """Return what a file begins with, as safetensors writes it, and where behind it each part lies."""
    facts = metadata({name: plan.facts for name, plan in plans.items()})
    # safetensors orders by falling type, then by name.
    parts = [(_part(name, part), *spec) for name, plan in plans.items() for part, spec in plan.shapes.items()]
    parts.sort(key=lambda part: (-RANK[part[1]], part[0]))
    ends = list(itertools.accumulate((ELEMENT[dtype] * math.prod(shape) for _, dtype, shape in parts), initial=0))
    places = {name: start for (name, _, _), start in zip(parts, ends, strict=False)}
    if any("entropy" in plan.facts for plan in plans.values()):
        return _packed_header(facts[KEY], parts, ends[-1]), places
    tensors_ = {
        name: {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}
        for (name, dtype, shape), (start, end) in zip(parts, itertools.pairwise(ends), strict=True)
    }
    return _header_text({"__metadata__": facts} | tensors_), places


def _header_text(header: Mapping[str, Any]) -> bytes:
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _packed_header(facts: str, parts: Sequence[tuple[str, str, tuple[int, ...]]], count: int) -> bytes:
    """Return what a file begins with whose tensors, of `count` bytes, lie in one: a header, and their description."""
    text = json.dumps({"facts": facts, "parts": parts}, separators=(",", ":"), ensure_ascii=False).encode()
    described = zlib.compress(text, 9, RAW)
    total = LENGTH + len(described) + count
    whole = {"dtype": "U8", "shape": [total], "data_offsets": [0, total]}
    head = _header_text({"__metadata__": {KEY: json.dumps({"version": PACKED_VERSION})}, PACKED: whole})
    return head + len(described).to_bytes(LENGTH, "little") + described


# Bytes of an element, in the order in which safetensors sorts tensors by type.
ELEMENT = {
    "BOOL": 1, "U8": 1, "I8": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2, "I32": 4, "F32": 4, "F64": 8, "I64": 8,
}  # fmt: skip
RANK = {name: rank for rank, name in enumerate(ELEMENT)}


def write(path: Path, model: nn.Module, codings: Mapping[str, Coding]) -> None:
    """Write a model's tensors, packed, one after the other: beside the model there is one of them at a time.

    Raises:
        WorkbenchError: A tensor is not on the grid it is to be stored with.
    """
    plans = planned(model, codings)
    names = Counter(_part(name, part) for name, plan in plans.items() for part in plan.shapes)
    if twice := [name for name, times in names.items() if times > 1]:
        raise WorkbenchError(f"two tensors would be stored as {min(twice)!r}; rename one of their layers")
    head, places = _header(plans)
    with path.open("wb") as file:
        file.write(head)
        for name, value in tensors(model).items():
            with within(name):
                stored, _ = store(value, codings.get(name))
            sizes = {part: (DTYPES[tensor.dtype], tuple(tensor.shape)) for part, tensor in stored.items()}
            if sizes != plans[name].shapes:
                raise WorkbenchError(
                    f"{name} was written to by something that torch does not count, so it is not saved"
                )
            for part, tensor in stored.items():
                file.seek(len(head) + places[_part(name, part)])
                file.write(tensor_bytes(tensor))


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Coding]]:
    """Return the tensors of a checkpoint bit for bit, and how they were coded.

    A safetensors file that the workbench did not write is read too; its tensors are plain. The file may come from
    anybody: what it says is checked before memory is taken for it.

    Raises:
        WorkbenchError: The file is missing, truncated or damaged, or says that more comes out of it than could.
    """
    stored, head = _stored(path)
    if KEY not in head:
        return stored, {}
    text = head[KEY]
    if set(stored) == {PACKED} and _facts(path, text).get("version") == PACKED_VERSION:
        stored, text = _unpacked(path, stored[PACKED])
    described = _described(path, text)
    parts: dict[str, dict[str, Tensor]] = {}
    for full, tensor in stored.items():
        name, part = _whose(full, described, stored)
        parts.setdefault(name, {})[part] = tensor
    lost = [name for name in described if name not in parts]
    if lost:
        raise WorkbenchError(f"{path} describes {shown(lost[0])}, of which it holds nothing")
    values: dict[str, Tensor] = {}
    codings: dict[str, Coding] = {}
    left = room(path.stat().st_size)
    for name, own in parts.items():
        with within(f"{path}, {shown(name)}"):
            values[name], coding = restore(own, described.get(name, {}), left)
        left -= values[name].numel() if name in described else 0
        if coding is not None:
            codings[name] = coding
    return values, codings


def _stored(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors of a safetensors file as they lie there, and its header's texts."""
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        if not 0 < length <= min(HEADER_BYTES, size):
            raise WorkbenchError(f"{path} cannot be read as safetensors: its header takes {length} of {size} bytes")
    try:
        with safe_open(path, framework="pt") as tensors_:
            head = tensors_.metadata() or {}
            stored = {name: tensors_.get_tensor(name) for name in tensors_.keys()}  # noqa: SIM118  # no mapping
    except (OSError, SafetensorError, RuntimeError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise WorkbenchError(f"{path} cannot be read as safetensors: {first_line(error)[:200]}") from error
    for name, value in stored.items():
        if value.dtype not in DTYPES:
            raise WorkbenchError(f"{path} holds {shown(name)} as {value.dtype}, a type that is not read here")
    return stored, head


def _unpacked(path: Path, whole: Tensor) -> tuple[dict[str, Tensor], str]:
    """Return the tensors that lie in one, and the header's text on them, as a file of many has them.

    Raises:
        WorkbenchError: The description is damaged, or does not fit what follows it.
    """
    try:
        if whole.dtype != torch.uint8 or whole.dim() != 1:
            raise ValueError(f"tensors are packed in one of {whole.dtype} with {whole.dim()} dimensions")  # told below
        data = whole.numpy().tobytes()
        start = LENGTH + int.from_bytes(data[:LENGTH], "little")
        unpacking = zlib.decompressobj(RAW)
        text = unpacking.decompress(data[LENGTH:start], HEADER_BYTES)
        if not unpacking.eof or unpacking.unused_data:
            raise ValueError("the description of packed tensors is cut off or too long")  # told below
        facts = _facts(path, text.decode())
        stored = dict(_slices(facts["parts"], data, start))
        if not isinstance(facts["facts"], str):
            raise TypeError("packed tensors are described by no text")  # told below
        return stored, facts["facts"]
    except (KeyError, ValueError, TypeError, RuntimeError, zlib.error) as error:
        raise WorkbenchError(f"{path} has a damaged header: {shown(first_line(error), 200)}") from error


def _slices(parts: Any, data: bytes, start: int) -> Iterator[tuple[str, Tensor]]:
    """Yield names and tensors of the parts that lie in `data` one after the other from `start` on, to its end.

    Raises:
        ValueError, TypeError: A part is not described by name, type and shape, or they take other than what is there.
    """
    seen = set()
    for name, dtype, shape in parts:
        if not isinstance(name, str) or name in seen or not isinstance(shape, list) or len(shape) > DIMENSIONS:
            raise ValueError("a packed tensor has no name and shape of its own")
        if any(type(size) is not int or not 0 <= size <= len(data) for size in shape):
            raise ValueError(f"the packed tensor {name[:40]} has a size that is no whole number below the file's")
        count = ELEMENT[dtype] * math.prod(shape)
        if count > len(data) - start:
            raise ValueError(f"the packed tensor {name[:40]} reaches beyond the file's end")
        seen.add(name)
        part = torch.frombuffer(bytearray(data[start : start + count] or b"\0"), dtype=torch.uint8)[:count]
        if dtype == "BOOL" and count and int(part.max()) > 1:
            raise ValueError(f"the packed tensor {name[:40]} has other values than true and false")
        yield name, part.view(NAMED[dtype]).reshape(shape)
        start += count
    if start != len(data):
        raise ValueError(f"{len(data) - start} bytes belong to no packed tensor")


def _facts(path: Path, text: str) -> Any:
    """Return JSON of the header.

    Raises:
        WorkbenchError: It is none, no object, or holds too much.
    """
    if sum(map(text.count, ",[{")) > HEADER_VALUES:
        raise WorkbenchError(f"{path} has a damaged header: it holds too many values")
    try:
        facts = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WorkbenchError(f"{path} has a damaged header: {first_line(error)[:200]}") from error
    if not isinstance(facts, dict):
        raise WorkbenchError(f"{path} has a damaged header: it holds a {type(facts).__name__}")
    return facts


def _described(path: Path, text: str) -> dict[str, dict[str, Any]]:
    """Return what the header says of packed tensors, by name."""
    facts = _facts(path, text)
    try:
        version, described = facts["version"], facts["packed"]
    except KeyError as error:
        raise WorkbenchError(f"{path} has a damaged header: {first_line(error)[:200]}") from error
    if version != VERSION:
        raise WorkbenchError(f"{path} has format version {shown(repr(version))}; this reads {VERSION}")
    if not isinstance(described, dict):
        raise WorkbenchError(f"{path} has a damaged header: it describes tensors by a {type(described).__name__}")
    for name, value in described.items():
        if not isinstance(value, dict) or not value:
            raise WorkbenchError(f"{path} has a damaged header: {shown(name)} is described by {shown(repr(value))}")
    return described


def _whose(full: str, described: Mapping[str, Any], stored: Mapping[str, Tensor]) -> tuple[str, str]:
    """Return the tensor and the part that a name in the file stands for."""
    name, _, part = full.rpartition(SEPARATOR)
    # A layer's name may hold a colon itself; a part is one of something that is there.
    if part in PARTS and (name in described or name in stored):
        return name, part
    return full, "values"

"""A tensor as the parts of a file: which bytes it takes, and how it comes back.

The layout is chosen by size alone: `dense` writes every value, `bitmask` one bit a value and the non-zero
values, `index` the positions of the non-zero values. Where codes are entropy-coded, `gaps` writes the numbers of
zeros between them, entropy-coded too (Han, Mao, Dally: "Deep Compression", 2016). Sizes are known without packing
anything (`plan`), so a slider can show them at once; `store` then writes exactly these bytes. A zero that was left
out comes back as +0.0, whatever its sign was; everything else comes back bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from workbench.checkpoint.coding import bits, huffman
from workbench.checkpoint.coding.coding import CODINGS, Coding
from workbench.checkpoint.coding.described import LAYOUTS, VALUES, check_facts, shape_of
from workbench.errors import WorkbenchError, first_line
from workbench.task.device import CPU

ENTRY = 100  # bytes that one more part takes in a file's header, about
LONG = 255  # zeros that stand for no value: as many zeros as one byte can say


@dataclass(frozen=True)
class Plan:
    """How a tensor will be stored.

    Attributes:
        layout: One of `LAYOUTS`.
        raw_bytes: What its plain values take.
        coded_bytes: The dense values after coding.
        value_bytes: The values that are stored, after zeros were left out, packed in their bits.
        saved_bytes: How much shorter entropy coding makes these.
        position_bytes: Mask, indices or gaps.
        table_bytes: Scales, zero points, codebooks.
        shapes: Part name to (dtype name of safetensors, shape).
        facts: Plain JSON that `restore` needs beside the parts; {} for a plain dense tensor.
    """

    layout: str
    raw_bytes: int
    coded_bytes: int
    value_bytes: int
    saved_bytes: int
    position_bytes: int
    table_bytes: int
    shapes: Mapping[str, tuple[str, tuple[int, ...]]]
    facts: Mapping[str, Any]

    @property
    def bytes(self) -> int:
        """All parts together, without the file's header."""
        return self.value_bytes - self.saved_bytes + self.position_bytes + self.table_bytes


DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.uint16: "U16",
    torch.bool: "BOOL",
}
NAMED = {name: dtype for dtype, name in DTYPES.items()}


def plan(tensor: Tensor, coding: Coding | None = None) -> Plan:
    """Return the smallest way to store `tensor`, with its exact sizes in bytes."""
    count, raw = tensor.numel(), tensor.numel() * tensor.element_size()
    width = coding.bits if coding else tensor.element_size() * 8
    nonzero = int(torch.count_nonzero(tensor)) if tensor.is_floating_point() and count > 64 else count
    index_dtype = torch.uint16 if count <= 1 << 16 else torch.int32
    positions = {"dense": 0, "bitmask": bits.packed_bytes(count, 1), "index": nonzero * index_dtype.itemsize}
    if coding and coding.entropy:
        positions["gaps"] = len(_gaps(tensor.flatten() != 0))
    stored = {name: count if name == "dense" else nonzero for name in positions}
    sizes = {name: bits.packed_bytes(number, width) for name, number in stored.items()}
    # Sizes with entropy coding are known only once it was done, which takes milliseconds for a million codes.
    short = {name: min(sizes[name], len(stream)) for name, stream in _streams(tensor, coding).items()}
    layout = min(
        positions, key=lambda name: short.get(name, sizes[name]) + positions[name] + (ENTRY if name == "gaps" else 0)
    )
    saved = sizes[layout] - short.get(layout, sizes[layout])
    shapes: dict[str, tuple[str, tuple[int, ...]]] = {}
    if coding:
        shapes["values"] = ("U8", (sizes[layout] - saved,))
    else:
        shapes["values"] = (DTYPES[tensor.dtype], tuple(tensor.shape) if layout == "dense" else (nonzero,))
    if layout == "bitmask":
        shapes["mask"] = ("U8", (positions["bitmask"],))
    if layout == "index":
        shapes["index"] = (DTYPES[index_dtype], (nonzero,))
    if layout == "gaps":
        shapes["gaps"] = ("U8", (positions["gaps"],))
    tables = coding.tables() if coding else {}
    shapes |= {name: (DTYPES[table.dtype], tuple(table.shape)) for name, table in tables.items()}
    return Plan(
        layout=layout,
        raw_bytes=raw,
        coded_bytes=bits.packed_bytes(count, width),
        value_bytes=sizes[layout],
        saved_bytes=saved,
        position_bytes=positions[layout],
        table_bytes=sum(table.numel() * table.element_size() for table in tables.values()),
        shapes=shapes,
        facts=_facts(tensor, coding, layout, saved > 0),
    )


def _streams(tensor: Tensor, coding: Coding | None) -> dict[str, Tensor]:
    """Return the entropy-coded codes of every layout; none where they are not wanted."""
    if coding is None or not coding.entropy:
        return {}
    codes = coding.codes(tensor).flatten()
    dense, nonzero = (huffman.squeeze(part, coding.bits) for part in (codes, codes[tensor.flatten() != 0]))
    return {name: dense if name == "dense" else nonzero for name in LAYOUTS}


def _gaps(nonzero: Tensor) -> Tensor:
    """Return where `nonzero` [n] is true as a Huffman stream of the zeros before each place, in parts of `LONG`."""
    places = nonzero.nonzero().flatten().to(CPU)  # the stream is made there
    zeros = torch.diff(places, prepend=torch.tensor([-1])) - 1
    symbols = torch.full((int((zeros // LONG + 1).sum()),), LONG)
    symbols[(zeros // LONG + 1).cumsum(0) - 1] = zeros % LONG
    return huffman.squeeze(symbols, 8)


def _places(stream: Tensor, count: int) -> Tensor:
    """Return the places in a tensor of `count` values that `_gaps` wrote.

    Raises:
        ValueError: The stream is damaged.
    """
    symbols = huffman.expand_up_to(stream, 8, count)
    places = (symbols + (symbols < LONG)).cumsum(0)[symbols < LONG] - 1
    if len(places) and int(places[-1]) >= count:
        raise ValueError("gaps lead beyond the end of the tensor")
    return places


def _facts(tensor: Tensor, coding: Coding | None, layout: str, squeezed: bool) -> dict[str, Any]:
    if coding is None and layout == "dense":
        return {}
    facts: dict[str, Any] = {"shape": list(tensor.shape)}
    if layout != "dense":
        facts["layout"] = layout
    if coding:
        facts |= {"coding": coding.kind, **coding.facts()}
        if coding.entropy:
            facts["entropy"] = squeezed
        if tensor.dtype != torch.float32:
            facts["dtype"] = DTYPES[tensor.dtype]
    return facts


def _short_codes(tensor: Tensor, coding: Coding) -> Tensor:
    """Return codes as int32, [n]."""
    return torch.cat([own.codes(part).flatten().int() for own, part in coding.pieces(tensor)])


def store(tensor: Tensor, coding: Coding | None = None) -> tuple[dict[str, Tensor], Mapping[str, Any]]:
    """Return the parts of `tensor` and the facts to restore it.

    Raises:
        WorkbenchError: The values do not lie on the coding's grid, so that storing them would change them.
    """
    tensor, coding = tensor.detach().to(CPU).contiguous(), coding and coding.on(CPU)
    if coding and not coding.holds(tensor):
        raise WorkbenchError(f"the values are not on the {coding.bits}-bit grid they are to be stored with")
    planned = plan(tensor, coding)
    # Codes take eight bytes each where they are computed; those of all values together wait in four.
    values = (_short_codes(tensor, coding) if coding else tensor).flatten()
    nonzero = tensor.flatten() != 0
    if planned.layout != "dense":
        values = values[nonzero]
    elif not coding:
        values = tensor
    parts = {"values": values}
    if coding:
        squeezed = planned.facts.get("entropy", False)
        parts["values"] = huffman.squeeze(values, coding.bits) if squeezed else bits.pack(values, coding.bits)
    if planned.layout == "bitmask":
        parts["mask"] = bits.pack(nonzero, 1)
    if planned.layout == "gaps":
        parts["gaps"] = _gaps(nonzero)
    if planned.layout == "index":
        parts["index"] = nonzero.nonzero().flatten().to(torch.uint16 if tensor.numel() <= 1 << 16 else torch.int32)
    parts |= coding.tables() if coding else {}
    return {name: part.contiguous() for name, part in parts.items()}, planned.facts


def restore(parts: Mapping[str, Tensor], facts: Mapping[str, Any], most: int = VALUES) -> tuple[Tensor, Coding | None]:
    """Return the tensor of `parts` bit for bit, and its coding.

    Args:
        parts: As `store` gives them.
        facts: The same; they may come from anybody.
        most: How many values the tensor may have.

    Raises:
        WorkbenchError: The parts do not fit the facts: the file is damaged or was made by something else.
    """
    if not facts:
        if set(parts) != {"values"}:
            raise WorkbenchError(f"nothing describes how its parts {', '.join(sorted(parts))} go together")
        return parts["values"], None
    try:
        shape, count = shape_of(facts, most)
        check_facts(facts, parts, shape)
        return _restore(parts, facts, shape, count)
    except (KeyError, RuntimeError, ValueError, TypeError, IndexError, OverflowError) as error:
        raise WorkbenchError(f"the stored parts do not fit their description ({first_line(error)[:200]})") from error


def _restore(
    parts: Mapping[str, Tensor], facts: Mapping[str, Any], shape: list[int], count: int
) -> tuple[Tensor, Coding | None]:
    coding = CODINGS[facts["coding"]].read(facts, parts) if "coding" in facts else None
    if coding is not None and "entropy" in facts:
        coding = replace(coding, entropy=True)
    places = _read_places(parts, facts.get("layout", "dense"), count)
    number = count if places is None else len(places)
    squeezed = coding is not None and facts.get("entropy", False)
    expected = bits.packed_bytes(number, coding.bits) if coding else number
    if not squeezed and parts["values"].numel() != expected:
        raise ValueError(f"{parts['values'].numel()} stored numbers where {expected} belong")
    if coding is None:
        flat = torch.zeros(count, dtype=parts["values"].dtype)
        flat[slice(None) if places is None else places] = parts["values"].flatten()
        return flat.view(shape), None
    stored = (huffman.expand if squeezed else bits.unpack)(parts["values"], coding.bits, number)
    if len(stored) and int(stored.max()) >= coding.count:
        raise ValueError(f"a code {int(stored.max())} where there are {coding.count}")
    if places is None:
        codes = stored
    else:
        # Codes of left-out zeros are found by coding zero itself, so that every coding may place it where it likes.
        codes = coding.codes(torch.zeros(shape)).flatten()
        codes[places] = stored
    return coding.values(codes.view(shape)).to(NAMED[facts.get("dtype", "F32")]), coding


def _read_places(parts: Mapping[str, Tensor], layout: str, count: int) -> Tensor | None:
    """Return where the stored values of a tensor of `count` belong, None for one after the other.

    Raises:
        ValueError: They are not places of such a tensor, or not in order.
    """
    if layout == "dense":
        return None
    if layout == "bitmask":
        if parts["mask"].numel() != bits.packed_bytes(count, 1):
            raise ValueError(f"a mask of {parts['mask'].numel()} bytes for {count} values")
        return bits.unpack(parts["mask"].flatten(), 1, count).nonzero().flatten()
    places = _places(parts["gaps"], count) if layout == "gaps" else parts["index"].flatten().long()
    if len(places) and (int(places[0]) < 0 or int(places[-1]) >= count or not bool((torch.diff(places) > 0).all())):
        raise ValueError("the places of values are not in the tensor, or not in order")
    return places

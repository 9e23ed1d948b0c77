"""Messages between two processes: a line of JSON, and tensors in the safetensors format behind it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import IO, Any

from safetensors.torch import load, save
from torch import Tensor


def send(stream: IO[bytes], facts: Mapping[str, Any], tensors: Mapping[str, Tensor] | None = None) -> None:
    """Write a message."""
    data = save({name: value.contiguous() for name, value in (tensors or {}).items()}) if tensors else b""
    stream.write(json.dumps({**facts, "bytes": len(data)}).encode() + b"\n")
    stream.write(data)
    stream.flush()


def receive(stream: IO[bytes]) -> tuple[dict[str, Any], list[Tensor]]:
    """Read a message: what it says, and its tensors in order.

    Raises:
        EOFError: The other side has ended.
    """
    line = stream.readline()
    if not line:
        raise EOFError
    facts: dict[str, Any] = json.loads(line)
    data = stream.read(facts["bytes"]) if facts["bytes"] else b""
    tensors = load(data) if data else {}
    return facts, [tensors[str(place)] for place in range(len(tensors))]


def numbered(tensors: Sequence[Tensor]) -> dict[str, Tensor]:
    """Return tensors by their places, as messages hold them."""
    return {str(place): value.clone() for place, value in enumerate(tensors)}

"""Messages between two processes: a line of JSON, and tensors in the safetensors format behind it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import IO, Any

from safetensors.torch import load, save
from torch import Tensor


def send(stream: IO[bytes], facts: Mapping[str, Any], tensors: Sequence[Tensor] = ()) -> None:
    """Write a message."""
    # Copies, since the format refuses tensors that share memory.
    data = save({str(place): value.clone().contiguous() for place, value in enumerate(tensors)}) if tensors else b""
    stream.write(json.dumps({**facts, "bytes": len(data)}).encode() + b"\n")
    stream.write(data)
    stream.flush()


def receive(stream: IO[bytes]) -> tuple[dict[str, Any], list[Tensor]]:
    """Read a message: what it says, and its tensors in order.

    Raises:
        EOFError: The other side has ended, maybe in the middle of a message.
    """
    line = stream.readline()
    if not line:
        raise EOFError
    facts: dict[str, Any] = json.loads(line)
    data = stream.read(facts["bytes"]) if facts["bytes"] else b""
    if len(data) < facts["bytes"]:
        raise EOFError
    tensors = load(data) if data else {}
    return facts, [tensors[str(place)] for place in range(len(tensors))]

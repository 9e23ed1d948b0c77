"""Size: the bytes of the file that export would write, and where they went.

The checkpoint is a safetensors file: eight bytes for the header's length, a JSON header padded with spaces to a
multiple of eight, then the tensors' bytes. All of it follows from shapes and non-zero counts, so the size is
known, to the byte, before anything is packed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from workbench.checkpoint.checkpoint import header_bytes, planned
from workbench.checkpoint.coding import Coding, Plan
from workbench.checkpoint.facts import LARGEST, Facts
from workbench.errors import WorkbenchError
from workbench.model.subject import Subject


@dataclass(frozen=True)
class Size:
    """Bytes of a checkpoint file.

    Attributes:
        total: The file's size, bytes.
        ledger: Rows (what, bytes) from the baseline's file to this one; they add up to `total`.
        layers: Tensor name to its bytes in the file, without the header.
    """

    total: int
    ledger: tuple[tuple[str, int], ...]
    layers: Mapping[str, int]

    @classmethod
    def read(cls, facts: Any) -> Size:
        """Return the size of plain JSON.

        Raises:
            WorkbenchError: A field is missing, of another type or out of range.
        """
        of = Facts(facts, "a size")
        rows = [row for row in of.list("ledger") if isinstance(row, list | tuple) and len(row) == 2]
        if len(rows) != len(of.list("ledger")):
            raise WorkbenchError("a size's ledger must be a list of (what, bytes)")
        named = [Facts({"what": what, "bytes": count}, "a row of a ledger") for what, count in rows]
        ledger = tuple((row.text("what"), row.whole("bytes", -LARGEST)) for row in named)
        layers = of.within("layers")
        return cls(of.whole("total"), ledger, {name: layers.whole(name) for name, _ in layers.items()})


def measure_size(
    model: nn.Module,
    codings: Mapping[str, Coding],
    subject: Subject,
    overlay: Mapping[str, Tensor] | None = None,
) -> Size:
    """Return the size of a state's file and its way there from the baseline's.

    Args:
        model: The state's model.
        codings: How its parameters are stored.
        subject: What it is compared with.
        overlay: Values that stand in for parameters of `model`.
    """
    before, after = planned(subject.model, subject.codings), planned(model, codings, overlay)
    old, new = header_bytes(before), header_bytes(after)
    total = new + sum(plan.bytes for plan in after.values())

    def change(field: str) -> int:
        return _sum(after, field) - _sum(before, field)

    ledger = (
        ("baseline file", old + sum(plan.bytes for plan in before.values())),
        ("parameters removed or added", change("raw_bytes")),
        ("fewer bits per value", change("coded_bytes") - change("raw_bytes")),
        ("zeros left out", change("value_bytes") - change("coded_bytes")),
        ("entropy coding", -change("saved_bytes")),
        ("positions of the values that stay", change("position_bytes")),
        ("scales, zero points, codebooks", change("table_bytes")),
        ("file header", new - old),
    )
    return Size(total, ledger, {name: plan.bytes for name, plan in after.items()})


def _sum(plans: Mapping[str, Plan], field: str) -> int:
    return sum(int(getattr(plan, field)) for plan in plans.values())

"""What people say of a state: a name, a star, a note; and whether they want to see it no more."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from workbench.checkpoint.facts import Facts

MOST = 2_000  # characters of a note that are kept


@dataclass(frozen=True)
class StateLabel:
    """Attributes of a state that nothing depends on.

    Attributes:
        name: What people call it.
        note: What they want to remember.
        star: Whether it is one of the good ones.
        deleted: Whether it is hidden; its number stays its own, and what was made from it stays.
    """

    name: str = ""
    note: str = ""
    star: bool = False
    deleted: bool = False

    def facts(self) -> dict[str, Any]:
        """Return the label as plain JSON."""
        return asdict(self)

    @classmethod
    def read(cls, facts: Any) -> StateLabel:
        """Return the label of plain JSON.

        Raises:
            WorkbenchError: A field is of another type.
        """
        of = Facts(facts, "a state's label")
        return cls(
            of.text("name", "")[:MOST], of.text("note", "")[:MOST], of.flag("star", False), of.flag("deleted", False)
        )

"""How every known operator carries channels from its inputs to its outputs."""

from __future__ import annotations

from workbench.graph.flow import Rule
from workbench.graph.rules import elements, layers, parts, recurrent, shapes
from workbench.graph.rules.elements import opaque

RULES: dict[str, Rule] = {**elements.RULES, **layers.RULES, **parts.RULES, **recurrent.RULES, **shapes.RULES}

__all__ = ["RULES", "opaque"]

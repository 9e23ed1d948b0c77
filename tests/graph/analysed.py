"""The groups of the tiny nets, found once for all tests."""

from __future__ import annotations

import functools

from tests.nets import build
from workbench.graph import Group, coupled_groups


@functools.cache
def groups_of(name: str) -> dict[str, Group]:
    """Return the groups of a net by name; they hold for every net built under its name."""
    return {group.name: group for group in coupled_groups(*build(name))}

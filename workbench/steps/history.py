"""History: a tree of recipes, with undo, redo and named branches."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from workbench.checkpoint.facts import Facts
from workbench.errors import WorkbenchError
from workbench.steps import Step
from workbench.steps.recipe import Recipe, read_step

MAIN = "main"
MOST = 100_000  # states that are read of a file


@dataclass(frozen=True)
class Node:
    """One state that was tried: the step that led to it from its parent."""

    number: int
    parent: int | None
    step: Step | None


@dataclass(frozen=True)
class History:
    """All states that were tried, and where the session stands.

    Attributes:
        nodes: Node n is at place n; node 0 is the untouched subject.
        at: Number of the node that is current.
        branches: Branch name to the node it has come to; redo goes there.
        branch: The branch that is worked on.
    """

    nodes: tuple[Node, ...] = (Node(0, None, None),)
    at: int = 0
    branches: tuple[tuple[str, int], ...] = ((MAIN, 0),)
    branch: str = MAIN

    def path(self, number: int | None = None) -> tuple[Node, ...]:
        """Return the nodes from the subject to one, by default the current one."""
        lineage = []
        node: Node | None = self.nodes[self.at if number is None else number]
        while node is not None:
            lineage.append(node)
            node = self.nodes[node.parent] if node.parent is not None else None
        return tuple(reversed(lineage))

    def recipe(self, seed: int, number: int | None = None) -> Recipe:
        """Return the steps that lead to a node."""
        return Recipe(tuple(node.step for node in self.path(number) if node.step is not None), seed)

    @property
    def tip(self) -> int:
        """The node that the branch has come to."""
        return dict(self.branches)[self.branch]

    @property
    def ahead(self) -> tuple[Node, ...]:
        """The nodes that redo would go through."""
        path = self.path(self.tip)
        here = self.nodes[self.at]
        return path[path.index(here) + 1 :] if here in path else ()

    def apply(self, step: Step) -> History:
        """Return the history with a step done here; an equal step that was done here before is taken again."""
        for node in self.nodes:
            if node.parent == self.at and node.step == step:
                return self._to(node.number)
        node = Node(len(self.nodes), self.at, step)
        return replace(self, nodes=(*self.nodes, node))._to(node.number)

    def undo(self) -> History:
        """Return the history one step back.

        Raises:
            WorkbenchError: It stands at the subject already.
        """
        parent = self.nodes[self.at].parent
        if parent is None:
            raise WorkbenchError("there is nothing to undo")
        return replace(self, at=parent)

    def redo(self) -> History:
        """Return the history one step forward on its branch.

        Raises:
            WorkbenchError: It stands at the end of the branch.
        """
        if not self.ahead:
            raise WorkbenchError("there is nothing to redo")
        return replace(self, at=self.ahead[0].number)

    def fork(self, name: str) -> History:
        """Return the history on a new branch that begins here.

        Raises:
            WorkbenchError: The name is empty or taken.
        """
        if not name.strip() or name in dict(self.branches):
            raise WorkbenchError(f"a branch needs a new name; there are {', '.join(dict(self.branches))}")
        return replace(self, branches=(*self.branches, (name, self.at)), branch=name)

    def go(self, number: int) -> History:
        """Return the history at a node, on the first branch that goes through it.

        Raises:
            WorkbenchError: There is no such node.
        """
        if not 0 <= number < len(self.nodes):
            raise WorkbenchError(f"there is no state {number}; there are 0 to {len(self.nodes) - 1}")
        for name, tip in self.branches:
            if self.nodes[number] in self.path(tip):
                return replace(self, at=number, branch=name)
        return replace(self, at=number)._to(number)

    def switch(self, branch: str) -> History:
        """Return the history at the end of a branch.

        Raises:
            WorkbenchError: There is no such branch.
        """
        if branch not in dict(self.branches):
            raise WorkbenchError(f"there is no branch {branch!r}; there are {', '.join(dict(self.branches))}")
        return replace(self, branch=branch, at=dict(self.branches)[branch])

    def _to(self, number: int) -> History:
        branches = tuple((name, number if name == self.branch else tip) for name, tip in self.branches)
        return replace(self, at=number, branches=branches)

    def facts(self) -> dict[str, Any]:
        """Return the history as plain JSON."""
        return {
            "nodes": [{"parent": n.parent, "step": n.step.facts() if n.step else None} for n in self.nodes],
            "at": self.at,
            "branches": [list(pair) for pair in self.branches],
            "branch": self.branch,
        }

    @classmethod
    def read(cls, facts: Any) -> History:
        """Return the history of plain JSON.

        Raises:
            WorkbenchError: It is no tree, or stands at a state or branch that is not in it; a field is of another type.
        """
        of = Facts(facts, "the history")
        if len(of.list("nodes")) > MOST:
            raise WorkbenchError(f"the history has more than the {MOST} states that are read")
        nodes = tuple(_node(number, Facts(node, f"state {number}")) for number, node in enumerate(of.list("nodes")))
        branches = tuple(_branch(pair) for pair in of.list("branches"))
        at, branch = of.whole("at"), of.text("branch")
        tips = dict(branches)
        whole = nodes[:1] == (Node(0, None, None),) and all(
            node.step is not None and node.parent in range(node.number) for node in nodes[1:]
        )
        places = range(len(nodes))
        stands = at in places and branch in tips and len(tips) == len(branches) and not set(tips.values()) - set(places)
        if not whole or not stands:
            raise WorkbenchError("the history is damaged: it is no tree of states, or stands at none of them")
        return cls(nodes, at, branches, branch)


def _node(number: int, facts: Facts) -> Node:
    parent = None if facts.get("parent") is None else facts.whole("parent")
    step = facts.get("step", None)
    return Node(number, parent, None if step is None else read_step(step, number))


def _branch(pair: Any) -> tuple[str, int]:
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        raise WorkbenchError("a branch of the history must be [name, state]")
    facts = Facts({"name": pair[0], "state": pair[1]}, "a branch of the history")
    return facts.text("name"), facts.whole("state")

"""Results as text for people."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

from workbench import formatting
from workbench.cli import console
from workbench.cli.console import table
from workbench.graph import Group
from workbench.measure import HOW, Measurement, Score
from workbench.model.layers import Layer
from workbench.search.goal import quantity_title
from workbench.search.planner import Findings
from workbench.search.planner.findings import cost_of, cost_words, on_validation, title_of_steps
from workbench.search.sensitivity import Point, Table
from workbench.steps import Option, Step


def layers(listed: Sequence[Layer]) -> str:
    """Return the layers as a table."""
    rows = [
        (
            layer.name,
            layer.kind,
            " × ".join(str(size) for size in layer.shape),
            formatting.count(layer.params),
            formatting.size(layer.bytes),
            formatting.count(layer.macs),
            ", ".join(layer.ties),
        )
        for layer in listed
    ]
    return table(("layer", "kind", "shape", "params", "size", "MACs", "shares its weight with"), rows, right=(3, 4, 5))


def groups(listed: Sequence[Group]) -> str:
    """Return coupled channel groups as a table, with why those that cannot be cut must stay."""
    rows = [
        (
            group.name,
            str(len(group.units)),
            _some(group.layers),
            _some(group.consumers),
            f"must stay: {group.protected}" if group.protected else "can be cut",
        )
        for group in listed
    ]
    return table(("coupled group", "channels", "produced by", "read by", ""), rows, right=(1,))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def measurement(measured: Measurement) -> str:
    """Return one state's numbers as a table."""
    rows = [(what, value, HOW[field]) for what, field, value in formatting.rows(measured)]
    notes = [f"note: {note}" for note in (*measured.notes, *(f"{k}: {v}" for k, v in measured.unavailable.items()))]
    return "\n".join([table(("", "value", "how"), rows), *notes])


def comparison(before: Measurement, after: Measurement, test: Score | None) -> str:
    """Return two states' numbers side by side."""
    old = {what: value for what, _, value in formatting.rows(before)}
    rows = [(what, old.get(what, "–"), value, HOW[field]) for what, field, value in formatting.rows(after)]
    if test is not None:
        rows.append(("score on test", "", formatting.score(test), HOW["score"]))
        rows.append(("change on test", "", formatting.change(test), HOW["score"]))
    notes = [f"note: {note}" for note in (*after.notes, *(f"{k}: {v}" for k, v in after.unavailable.items()))]
    return "\n".join([table(("", "baseline", "compressed", "how"), rows), *notes])


def sensitivity(scanned: Table) -> str:
    """Return a scan as a table of changes against the baseline, with what could not be done below."""
    unit = scanned.baseline.unit

    def cell(point: Point | None) -> str:
        if point is None or point.score is None:
            return "–"
        return f"{formatting.points(point.score.change, unit)} {formatting.half_width(point.score)}".rstrip()

    rows = [(target, *(cell(scanned.at(target, s)) for s in scanned.strengths)) for target in scanned.targets]
    heads = ("part", *(f"{strength:g}" for strength in scanned.strengths))
    reasons = dict.fromkeys(f"{point.target}: {point.reason}" for point in scanned.points if point.reason)
    lines = [f"change of {scanned.baseline.metric}, from {formatting.score(scanned.baseline)}", ""]
    return "\n".join([*lines, table(heads, rows, right=range(1, len(heads))), *reasons])


def findings(found: Findings) -> str:
    """Return what a search found: the front as a table, the winner's recipe, and how sure all that is."""
    goal = found.goal
    heads = ("", "steps", *map(quantity_title, goal.objectives), "change on validation", "held out", "looked at as")
    rows = []
    for one in found.shown:
        costs = [cost_of(one, name) for name in goal.objectives]
        held = formatting.change(one.held_out) if one.held_out else "–"
        final = on_validation(one.final) if one.final else "–"
        mark = "→" if one.number == found.winner else ""
        rows.append((mark, title_of_steps(one), *costs, final, held, f"{one.number}, {one.origin}"))
    lines = [f"Goal: {goal.words}.", ""]
    lines += [table(heads, rows)] if rows else ["Nothing that was looked at meets the goal on all of validation."]
    if found.winner is not None:
        first = goal.objectives[0]
        before, after = found.before.get(first), found.at(found.winner).costs[first]
        ratio = f", {formatting.ratio(before / after)} less than {cost_words(first, before)}" if before else ""
        lines += ["", f"Winner: {cost_words(first, after)}{ratio}:", found.recipe(found.winner).code()]
    if found.test is not None:
        lines += [
            "",
            f"On test, scored once: {formatting.score(found.test)}, changed by {formatting.change(found.test)}.",
        ]
    proxy = found.proxy_correlation
    if proxy is not None:
        words = f"Rank correlation of expected damage and measured loss: {formatting.minus(f'{proxy[0]:.2f}')}"
        lines.append(f"{words} over {proxy[1]} candidates.")
    return "\n".join([*lines, found.words, *(f"note: {note}" for note in found.notes)])


def steps(kinds: Mapping[str, type[Step]]) -> str:
    """Return one line a step, as wide as the terminal, and how to see more."""
    name = max(len(kind) for kind in kinds)
    room = max(console.width() - name - 4, 20)
    shelves: dict[str, list[str]] = {}
    for kind, step_class in kinds.items():
        summary = textwrap.shorten(step_class.summary, room, placeholder=" …")
        shelves.setdefault(step_class.shelf, []).append(f"  {kind.ljust(name)}  {summary}")
    listed = ["\n".join([shelf, *lines]) for shelf, lines in shelves.items()]
    return "\n\n".join([*listed, "workbench steps NAME shows the fields of a step."])


def step(kind: str, step_class: type[Step]) -> str:
    """Return a step's declaration: what it does, and its fields, as wide as the terminal."""
    lines = [f"{kind}: {step_class.title}", *_wrapped(step_class.summary)]
    for option in step_class.options():
        default = "" if option.default == "" else f", default {option.default}"
        lines += [*_wrapped(f"{option.name}: {_type(option)}{default}", 2), *_wrapped(option.help, 6)]
    return "\n".join(lines)


def _wrapped(text: str, indent: int = 0) -> list[str]:
    first, rest = " " * indent, " " * (indent + 4 if indent == 2 else indent)
    return textwrap.wrap(text, console.width(), initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)


def _type(option: Option) -> str:
    if option.choices:
        return " | ".join(option.choices)
    reach = f" {option.low:g} to {option.high:g}" if option.low is not None and option.high is not None else ""
    return f"{option.type.__name__}{reach}{' ' + option.unit if option.unit else ''}"

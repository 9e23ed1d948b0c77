"""What people read of a search: a line for a candidate, its details, and how sure the result is."""

from __future__ import annotations

from html import escape

from widgets import highlight
from workbench import formatting
from workbench.search.goal import quantity_title
from workbench.search.planner import Candidate, Findings
from workbench.search.planner.findings import cost_of, on_validation, title_of_steps

VERDICTS = {
    "meets": "meets the goal",
    "fails": "does not meet the goal",
    "dominated": "costs no less than another that meets it, so it was not scored",
    "impossible": "cannot be done",
    "lost": "was lost with its worker",
}


def row(one: Candidate, findings: Findings) -> tuple[str, int]:
    """Return a candidate's line in a list, and its number."""
    first, score = findings.goal.objectives[0], one.best_score
    cost = cost_of(one, first) if first in one.costs else "–"
    change = on_validation(score) if score else "not scored"
    before = findings.before.get(first)
    ratio = f"  {formatting.ratio(before / one.costs[first])} less" if before and one.costs.get(first) else ""
    return f"{cost}{ratio}   {change}   {title_of_steps(one)}", one.number


def summary(findings: Findings) -> str:
    """Return as HTML what was looked at, what is best, and how sure that is."""
    counts = {verdict: sum(one.verdict == verdict for one in findings.candidates) for verdict in VERDICTS}
    best, first = findings.best, findings.goal.objectives[0]
    state = "" if findings.done else f"<b>{escape(findings.phase)}</b>. "
    looked_at = f"{len(findings.candidates):,} looked at in {formatting.seconds(findings.seconds)}"
    told = f"{looked_at}, {counts['meets']:,} meet the goal"
    told += (
        f", {counts['dominated']:,} cost no less than one of these and were not scored" if counts["dominated"] else ""
    )
    if best is None:
        end = "Nothing meets the goal" if findings.done else "Nothing meets the goal yet"
        return f"{state}{told}. {end}."
    result = f"Best: <b>{escape(cost_of(best, first))}</b>"
    before = findings.before.get(first)
    result += f", {formatting.ratio(before / best.costs[first])} less" if before else ""
    if best.best_score is not None:
        result += f", {escape(on_validation(best.best_score))} on validation"
    if findings.test is not None:
        result += f"; on test, scored once, {escape(formatting.change(findings.test))}"
    honest = f" {escape(findings.words)}" if findings.done else ""
    notes = "".join(f" {escape(note)}." for note in findings.notes)
    return f"{state}{told}. {result}.{honest}{notes}"


def honesty(findings: Findings) -> str:
    """Return as HTML how good the guesses were, and what can be said of knobs."""
    proxy, rows = findings.proxy_correlation, findings.mattered
    words = ""
    if proxy is not None:
        value = formatting.minus(f"{proxy[0]:.2f}")
        words += "What damages of single parts add up to is a guess: its rank correlation with the measured loss is "
        words += f"{value} over {proxy[1]} candidates (1 is the same order). "
    if rows:
        clear = [escape(row.knob) for row in rows if row.clear]
        words += (
            f"Clearly more than chance: {', '.join(clear)}."
            if clear
            else "No knob goes along with the loss more than chance would."
        )
        words += " Candidates were not drawn evenly, so a bar says what went along, and not what was the cause."
    return words


def looked_at(findings: Findings) -> tuple[list[str], list[list[str]]]:
    """Return everything that was looked at as heads and rows of a table, in the order in which it was."""
    names = list(dict.fromkeys(name for one in findings.candidates for name in one.costs))
    rows = [
        [
            str(one.number),
            title_of_steps(one),
            VERDICTS[one.verdict],
            on_validation(one.best_score) if one.best_score is not None else "–",
            *(cost_of(one, name) if name in one.costs else "–" for name in names),
        ]
        for one in findings.candidates
    ]
    return ["number", "steps", "verdict", "change", *map(quantity_title, names)], rows


def details(one: Candidate, findings: Findings) -> str:
    """Return as HTML all that is known of a candidate, and its recipe."""
    rows = [("verdict", VERDICTS[one.verdict] + (f": {one.reason}" if one.reason else ""))]
    if one.score is not None:
        rows.append(("while searching", f"{formatting.score(one.score)}, {on_validation(one.score)}"))
    if one.final is not None:
        rows.append(("on all of validation", f"{formatting.score(one.final)}, {on_validation(one.final)}"))
    if one.held_out is not None:
        rows.append(("on what was held out", formatting.change(one.held_out)))
    rows += [(quantity_title(name), cost_of(one, name)) for name in one.costs]
    rows += [(f"measured on {name}", formatting.in_pairs(timing)) for name, timing in one.latency.items()]
    table = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows)
    code = highlight.html(findings.recipe(one.number).code(), "python")
    return f"<div class='wb-candidate'><table>{table}</table><pre>{code}</pre></div>"

"""What each subcommand does."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from workbench import formatting
from workbench.cli import console, words
from workbench.cli.subject import fields, settings
from workbench.errors import WorkbenchError
from workbench.graph import Group
from workbench.jobs.progress import Progress, Tick
from workbench.loading.load import load
from workbench.search.goal import Goal
from workbench.search.trials import Tolerance
from workbench.search.trials.cluster import cluster
from workbench.search.trials.processes import processes
from workbench.session.clean_up import removable, remove, total
from workbench.session.session import Session
from workbench.steps import KINDS, Option, Step
from workbench.steps.recipe import Recipe, check_possible

DAY = 24 * 3600.0


def inspect(chosen: Namespace) -> None:
    """Print layers and coupled groups, and the baseline's measurement where it is asked for."""
    with _session(chosen, autosave=None) as (session, progress):
        groups, why = _groups(session)
        measured = session.measure(progress=progress) if chosen.measure else None
        facts = {
            "subject": {"name": session.subject.name, "source": session.subject.source},
            "layers": [dataclasses.asdict(layer) for layer in session.layers],
            "groups": [_group_facts(group) for group in groups],
            "untraceable": why,
            "measurement": measured.facts() if measured else None,
        }
        text = [words.layers(session.layers), "", words.groups(groups) if not why else f"no coupled groups: {why}"]
        text += ["", words.measurement(measured)] if measured else []
    _print(chosen, facts, "\n".join(text))


def scan(chosen: Namespace) -> None:
    """Print how the score takes a step on each part of the model."""
    if chosen.step not in (scannable := [kind for kind, step in KINDS.items() if step.strength]):
        chosen.misused(f"argument --step: invalid choice: {chosen.step!r} (choose from {', '.join(scannable)})")
    step = _step(chosen.step, dict(chosen.set))
    tolerance = Tolerance.half_width if chosen.tolerance is None else chosen.tolerance
    with _session(chosen) as (session, progress):
        table = session.sensitivity(step, chosen.amounts, tolerance=tolerance, seconds=chosen.limit, progress=progress)
    _print(chosen, table.facts(), words.sensitivity(table))


def search(chosen: Namespace) -> None:
    """Search for recipes that meet a goal, print them, and export the winner."""
    limits = {name: _number(name, value) for name, value in chosen.most}
    goal = Goal(chosen.lose, chosen.least, chosen.limit, limits)
    improve = Recipe.load(chosen.improve) if chosen.improve else Recipe()
    _check_outputs(chosen)
    with _session(chosen) as (session, progress), _workers(chosen.workers, chosen.scheduler) as executor:
        findings = session.search(
            goal, methods=chosen.methods, forbid=chosen.forbid, layers=chosen.layers, exclude=chosen.exclude,
            improve=improve, sampler=chosen.sampler, executor=executor, progress=progress.part(0.0, 0.9, "search"),
        )  # fmt: skip
        written = []
        if findings.winner is not None and (chosen.out or chosen.report):
            session.apply(findings.recipe(findings.winner), progress.part(0.9, 0.93))
            if chosen.out:
                written.append(session.export(chosen.out, chosen.formats, progress.part(0.93, 0.98, "export")))
            if chosen.report:
                written.append(session.report(chosen.report, progress.part(0.98, 1.0, "report")))
    recipe = None if findings.winner is None else findings.recipe(findings.winner).facts()
    facts = {**findings.facts(), "recipe": recipe, "written": [str(path) for path in written]}
    lines = [f"written: {path}" for path in written]
    _print(chosen, facts, "\n".join([words.findings(findings), *lines]))


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise WorkbenchError(f"the limit of {name} is a number, not {text!r}") from None


@contextmanager
def _workers(count: int, scheduler: str) -> Iterator[Executor | None]:
    """Give who does work: a Dask cluster, so many processes, or None for one, since it is done here then."""
    if scheduler:
        with cluster(scheduler) as executor:
            yield executor
    elif count > 1:
        with processes(count) as executor:
            yield executor
    else:
        yield None


def _check_outputs(chosen: Namespace) -> None:
    """Refuse what would be refused after all the work anyway."""
    if chosen.out:
        from workbench.export import check_folder, check_formats

        check_formats(chosen.formats)
        check_folder(Path(chosen.out))
    if chosen.report:
        from workbench.report import check_path

        check_path(Path(chosen.report))


def run(chosen: Namespace) -> None:
    """Do a recipe, export and report."""
    recipe = Recipe.load(chosen.recipe)
    if chosen.seed is not None:
        recipe = dataclasses.replace(recipe, seed=chosen.seed)
    _check_outputs(chosen)
    with _session(chosen) as (session, progress):
        check_possible(session.subject, recipe)
        if chosen.scan:
            session.sensitivity(_to_scan(recipe), progress=progress.part(0.0, 0.3, "scan"))
        measured = session.replay(recipe, progress.part(0.3, 0.6))
        folder = report = None
        if chosen.out:
            folder = session.export(chosen.out, chosen.formats, progress.part(0.6, 0.9, "export"))
        if chosen.report:
            report = session.report(chosen.report, progress.part(0.9, 1.0, "report"))
        test = session.test_score()
        baseline = session.baseline
    facts = {
        "recipe": recipe.facts(),
        "baseline": baseline.facts(),
        "current": measured.facts(),
        "test": dataclasses.asdict(test) if test else None,
        "folder": str(folder) if folder else None,
        "report": str(report) if report else None,
    }
    written = [f"written: {path}" for path in (folder, report) if path]
    _print(chosen, facts, "\n".join([words.comparison(baseline, measured, test), *written]))


def steps(chosen: Namespace) -> None:
    """Print the registered steps, or those that are named with their fields, from their own declarations.

    Raises:
        WorkbenchError: A name is none of a step.
    """
    if unknown := [name for name in chosen.names if name not in KINDS]:
        raise WorkbenchError(f"no step is called {', '.join(unknown)}; there are {', '.join(KINDS)}")
    facts = {
        kind: {
            "title": step.title,
            "summary": step.summary,
            "strength": step.strength,
            "options": [_option_facts(option) for option in step.options()],
        }
        for kind, step in KINDS.items()
        if not chosen.names or kind in chosen.names
    }
    whole = "\n\n".join(words.step(kind, KINDS[kind]) for kind in chosen.names)
    _print(chosen, facts, whole or words.steps(KINDS))


def clean(chosen: Namespace) -> None:
    """Print what can be removed, and remove it where that is asked for."""
    rows: list[tuple[str, str, int, int]] = []
    freed = 0
    for folder in map(Path, chosen.folders):
        listed = removable(folder, chosen.older * DAY, chosen.sessions)
        freed += remove(folder, listed) if chosen.yes else 0
        rows += [(str(folder), what, *counted) for what, counted in total(listed).items()]
    heads = ("folder", "what", "files", "bytes")
    facts = {"rows": [dict(zip(heads, row, strict=True)) for row in rows], "removed": freed}
    cells = [(folder, what, f"{files:,}", formatting.size(size)) for folder, what, files, size in rows]
    after = f"removed: {formatting.size(freed)}" if chosen.yes else "nothing was removed; --yes removes it"
    shown = f"{console.table(heads, cells, right=(2, 3))}\n{after}" if rows else "there is nothing to remove"
    _print(chosen, facts, shown)


@contextmanager
def _session(chosen: Namespace, autosave: str | None = ".workbench") -> Iterator[tuple[Session, Progress]]:
    """Give a session on the chosen subject, and where its progress goes; the line of progress is gone afterwards."""
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    line = console.ProgressLine(sys.stderr, chosen.quiet)
    line(Tick(0.0, f"loading {chosen.subject}"))
    subject = load(chosen.subject, **fields(chosen))
    session = Session(subject, settings(chosen), threaded=False, autosave=autosave)
    try:
        yield session, Progress(line)
    finally:
        line.clear()
        session.close()


def _step(kind: str, options: Mapping[str, str]) -> Step:
    """Return a step from texts, each read as its field's type says."""
    known = {option.name: option for option in KINDS[kind].options()}
    facts: dict[str, Any] = {name: known[name].parse(text) if name in known else text for name, text in options.items()}
    return KINDS[kind].read(facts)


def _to_scan(recipe: Recipe) -> Step:
    """Return the recipe's first step that can be scanned, else the first kind that can, on all layers."""
    kinds = [*(type(step) for step in recipe), *KINDS.values()]
    return next(kind() for kind in kinds if kind.strength)


def _option_facts(option: Option) -> dict[str, Any]:
    facts = dataclasses.asdict(option)
    del facts["reads"]  # a function, of which JSON can say nothing
    return {**facts, "type": option.type.__name__}


def _groups(session: Session) -> tuple[tuple[Group, ...], str]:
    """Return the coupled groups, or why there are none: a model that cannot be traced still has layers."""
    try:
        return session.groups, ""
    except WorkbenchError as error:
        return (), str(error)


def _group_facts(group: Group) -> dict[str, Any]:
    return {
        "name": group.name,
        "layers": group.layers,
        "consumers": group.consumers,
        "units": len(group.units),
        "exact": group.exact,
        "protected": group.protected,
    }


def _print(chosen: Namespace, facts: Mapping[str, Any], text: str) -> None:
    print(json.dumps(_finite(facts), allow_nan=False) if chosen.json else text)


def _finite(facts: Any) -> Any:
    """Return plain values with null, as JSON knows it, for what is infinite, such as the ends of unknown intervals."""
    if isinstance(facts, dict):
        return {key: _finite(value) for key, value in facts.items()}
    if isinstance(facts, list | tuple):
        return [_finite(value) for value in facts]
    return None if isinstance(facts, float) and not math.isfinite(facts) else facts

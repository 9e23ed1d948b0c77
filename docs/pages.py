"""The pages that are made and not written: methods from their declarations, the reference from docstrings.

A hook of MkDocs. Everything here is read from the package as it is, so that a method that is registered has its page.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from mkdocs.config.defaults import MkDocsConfig  # noqa: E402  # the package is beside this folder, not installed
from mkdocs.structure.files import File, Files  # noqa: E402

import workbench as wb  # noqa: E402
from docs.pictures import picture  # noqa: E402
from workbench.checkpoint.coding.coding import CODINGS  # noqa: E402
from workbench.lessons import lesson_of  # noqa: E402
from workbench.measure.runtimes import RUNTIMES  # noqa: E402
from workbench.steps import KINDS, GraphStep, Option, Step, TrainingStep  # noqa: E402
from workbench.steps.prune.importance import CRITERIA, WEIGHT_CRITERIA  # noqa: E402
from workbench.steps.quantize.rounding import ROUNDINGS  # noqa: E402

ROOMS = (
    "jobs", "task", "checkpoint", "model", "graph", "loading", "steps", "measure", "search", "inspection", "charts",
    "export", "report", "session", "lessons", "cli",
)  # fmt: skip
SINGLE = ("errors", "registry", "formatting")
# Files from elsewhere in the repository that pages show or link.
BESIDE = {
    "CITATION.cff": "CITATION.cff",
    "images/growth.png": "notebooks/images/growth.png",
    "notebooks/first-steps.ipynb": "notebooks/first-steps.ipynb",
}
MOVED = {"docs/": "", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changes.md"}
LAYERS = {"conv": "convolutions", "linear": "linear layers"}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the made pages into the navigation."""
    shelves = [{shelf: [{step.title: f"methods/{kind}.md"} for kind, step in held]} for shelf, held in by_shelf()]
    rooms = [{room: f"reference/{room}.md"} for room in ("house", *ROOMS)]
    for section in config.nav or []:
        for pages in section.values():
            if isinstance(pages, list) and pages[0] == "methods/index.md":
                pages[1:1] = shelves
            if isinstance(pages, list) and pages[0] == "reference/index.md":
                pages.extend(rooms)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the made pages."""
    for name, content in pages():
        files.append(File.generated(config, name, content=content))
    for name, source in BESIDE.items():
        files.append(File.generated(config, name, abs_src_path=str(ROOT / source)))
    return files


def pages() -> Iterator[tuple[str, str]]:
    """Yield the names and texts of all made pages and pictures."""
    yield "index.md", within_docs((ROOT / "README.md").read_text(encoding="utf-8"))
    yield "contributing.md", within_docs((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    yield "changes.md", within_docs((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    yield "methods/index.md", methods()
    for kind, step in KINDS.items():
        drawn = picture(step)
        if drawn is not None:
            yield f"methods/{kind}.svg", drawn[0]
        yield f"methods/{kind}.md", method(kind, step, drawn[1] if drawn else "")
    yield "methods/criteria.md", criteria()
    yield "reference/index.md", reference()
    yield "reference/house.md", room_page("house", [ROOT / "workbench" / f"{name}.py" for name in SINGLE])
    for room in ROOMS:
        yield f"reference/{room}.md", room_page(room, sorted((ROOT / "workbench" / room).rglob("*.py")))


def within_docs(text: str) -> str:
    """Return a text of the repository's root as a page here, with its links."""
    for name, page in MOVED.items():
        text = text.replace(f"]({name}", f"]({page}")
    return text


def by_shelf() -> list[tuple[str, list[tuple[str, type[Step]]]]]:
    """Return the steps shelf by shelf, in the order in which the panel shows them."""
    shelves: dict[str, list[tuple[str, type[Step]]]] = {}
    for kind, step in KINDS.items():
        shelves.setdefault(step.shelf, []).append((kind, step))
    return list(shelves.items())


def source(thing: Any) -> tuple[str, str]:
    """Return what the module of a class says it does, and the papers and remarks that follow."""
    text = inspect.getdoc(sys.modules[thing.__module__]) or ""
    first, _, rest = text.partition("\n\n")
    return " ".join(first.split()), rest


def methods() -> str:
    lines = [
        "# Methods\n",
        "Each page is made from the declaration of its step, from which the panel's form and `workbench steps` come "
        "too. How importance is told and weights are rounded: [Importance and rounding](criteria.md). What was "
        "measured with them: [Benchmarks](../benchmarks.md).\n",
    ]
    for shelf, held in by_shelf():
        lines += [f"## {shelf}\n", "| | |", "|---|---|"]
        lines += [f"| [{step.title}]({kind}.md) | {cell(step.summary)} |" for kind, step in held]
        lines.append("")
    lines += ["## In common\n", (ROOT / "docs" / "methods_notes.md").read_text(encoding="utf-8")]
    return "\n".join(lines)


def method(kind: str, step: type[Step], caption: str) -> str:
    """Return the page of one step."""
    first, rest = source(step)
    module = step.__module__
    lines = [f"# {step.title}\n", f"{step.summary}\n"]
    if caption:
        lines += [
            f'<figure markdown="span">\n![{cell(caption)}]({kind}.svg)\n<figcaption>{caption}</figcaption>\n</figure>\n'
        ]
    lines += ["| | |", "|---|---|", *(f"| **{name}** | {cell(value)} |" for name, value in facts(kind, step)), ""]
    lines += ["## Options\n", "| | | default | accepted |", "|---|---|---|---|"]
    lines += [
        f"| `{given.name}` | {cell(given.help)} | {shown(given)} | {cell(accepted(given))} |"
        for given in step.options()
    ]
    lines += [
        "",
        "## In a recipe\n",
        "With the defaults:\n",
        "```json",
        recipe(step),
        "```\n",
        "## Source\n",
        f"{first}\n",
        f"{rest}\n",
    ]
    lines += [f"The code, with what it computes and refuses: [`{step.__name__}`][{module}.{step.__name__}].\n"]
    return "\n".join(lines)


def facts(kind: str, step: type[Step]) -> Iterator[tuple[str, str]]:
    """Yield what is to be known of a step before it is used."""
    made = step()
    public = f"wb.{step.__name__}" if hasattr(wb, step.__name__) else step.__name__
    yield "In code", f"`session.apply({public}())`"
    yield "In recipes and on the command line", f"`{kind}`"
    yield (
        "Works on",
        ", ".join(LAYERS.get(one, one) for one in step.layer_kinds) or "layers of every kind that have weights",
    )
    needs = sorted(need.value for need in made.needs())
    yield "Needs", ", ".join(needs) if needs else "nothing but the model, as long as no option below asks for data"
    if isinstance(made, TrainingStep):
        yield "Before it is applied", "no preview, because it trains"
    elif isinstance(made, GraphStep) or not made.overlays:
        yield "Before it is applied", "a preview, for which the changed model is built"
    else:
        yield "Before it is applied", "a preview while the slider moves: other values in the same tensors"
    if step.strength:
        amounts = ", ".join(f"{amount:g}" for amount in step.amounts)
        yield "A scan varies", f"`{step.strength}`: {amounts}, on one {step.scans.removesuffix('s')} at a time"
    if (lesson := lesson_of(kind)) is not None:
        yield "Lesson", f"[{lesson.number}. {lesson.title}](../course.md#lessons)"
    if step.bounds is not Step.bounds:
        yield "On the histogram", "its bounds can be dragged"


def recipe(step: type[Step]) -> str:
    return json.dumps(wb.Recipe((step(),)).facts(), indent=2)


def shown(given: Option) -> str:
    return f"`{given.default}`" if given.default != "" else "none"


def accepted(given: Option) -> str:
    if given.choices:
        return ", ".join(f"`{choice}`" for choice in given.choices)
    if given.type is bool:
        return "`True`, `False`"
    if given.low is None or given.high is None:
        return given.unit or {str: "text", int: "whole number", float: "number"}[given.type]
    between = f"{given.low:g} to {given.high:g}"
    return f"{between} {given.unit}".strip()


def cell(text: str) -> str:
    """Return text for a cell of a table: one line, of which only what stands between backticks is code."""
    parts = " ".join(text.split()).replace("|", r"\|").split("`")
    return "`".join(part if number % 2 else re.sub(r"([*_])", r"\\\1", part) for number, part in enumerate(parts))


def table(heads: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> list[str]:
    return [
        f"| {' | '.join(heads)} |",
        f"|{'---|' * len(heads)}",
        *(f"| {' | '.join(cell(value) for value in row)} |" for row in rows),
        "",
    ]


def criteria() -> str:
    """Return the page of all that steps choose from."""

    def importance() -> Iterator[tuple[str, ...]]:
        for kind, one in CRITERIA.items():
            ranks = "weights, channels" if kind in WEIGHT_CRITERIA else "channels"
            looks = (
                "gradients of the loss" if one.needs_loss else "calibration data" if one.needs_data else "weights alone"
            )
            yield f"`{kind}`", one.title, ranks, looks, " ".join(source(type(one)))

    def rounding() -> Iterator[tuple[str, ...]]:
        for kind, rule in ROUNDINGS.items():
            where = "integer grids" if rule.uniform else "every grid"
            yield (
                f"`{kind}`",
                rule.title,
                where,
                "calibration data" if rule.needs_data else "",
                " ".join(source(type(rule))),
            )

    def coding() -> Iterator[tuple[str, ...]]:
        for kind, one in CODINGS.items():
            yield f"`{kind}`", (inspect.getdoc(one) or "").partition("\n\n")[0]

    def runtime() -> Iterator[tuple[str, ...]]:
        for kind, one in RUNTIMES.items():
            yield f"`{kind}`", one.title, source(type(one))[0]

    return "\n".join([
        "# Importance, rounding, codings, runtimes\n",
        "What steps and settings choose from. Each is a registered class, and "
        "[others can be added](../contributing.md#add-a-criterion-rounding-coding-runtime-or-chart).\n",
        "## Importance\n", "`importance` of the steps that prune: a larger number for what the model needs more.\n",
        *table(("", "", "ranks", "looks at", "source"), importance()),
        "`session.contest()` ranks the same channels, or weights, by every criterion and measures who is right.\n",
        "## Rounding\n", "`rounding` of the steps that have a grid: which of its values each weight becomes.\n",
        *table(("", "", "on", "looks at", "source"), rounding()),
        "## Codings\n", "How the values of a tensor are written into the checkpoint.\n",
        *table(("", ""), coding()),
        "## Runtimes\n", "What latency is measured on: `Settings(runtimes=…)`.\n",
        *table(("", "", ""), runtime()),
    ])  # fmt: skip


def reference() -> str:
    """Return the reference's first page: what most people need, and the rooms."""
    lines = [
        "# Reference\n",
        "The names that `import workbench as wb` gives. Below them are the rooms of the package, from the ground up: "
        "[how the house is laid](../contributing.md#how-the-house-is-laid).\n",
        "| | |", "|---|---|",
    ]  # fmt: skip
    for name in wb.__all__:
        thing = getattr(wb, name)
        said = (inspect.getdoc(thing) or "").partition("\n\n")[0]
        lines.append(f"| [`wb.{name}`][{thing.__module__}.{thing.__qualname__}] | {cell(said)} |")
    lines += ["", "## Rooms\n", "| | |", "|---|---|"]
    for room in ROOMS:
        said = (
            ast.get_docstring(ast.parse((ROOT / "workbench" / room / "__init__.py").read_text(encoding="utf-8"))) or ""
        )
        lines.append(f"| [{room}]({room}.md) | {cell(said.partition(chr(10) * 2)[0])} |")
    lines.append("| [errors, registry, formatting](house.md) | What stands outside of the rooms. |")
    return "\n".join(lines)


def room_page(room: str, paths: list[Path]) -> str:
    """Return the reference of all modules of a room."""
    lines = [f"# {room}\n"]
    for path in paths:
        if path.name == "__init__.py":
            continue  # names of other files, given once more
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        lines.append(f"::: {name}\n")
    return "\n".join(lines)

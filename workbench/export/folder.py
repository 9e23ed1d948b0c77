"""Writing the folder: all of it, or nothing."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from workbench.checkpoint.folders import check_place, replaced
from workbench.errors import WorkbenchError, first_line, shown, within
from workbench.export import checkpoint, onnx, program
from workbench.export.card import card
from workbench.export.fresh import FRESH
from workbench.export.verify import Verification, verify
from workbench.loading.exported import RECORD, hash_file
from workbench.loading.named import CHECKSUMS
from workbench.measure import Reference
from workbench.measure.runtimes import Forward, eager
from workbench.measure.runtimes.onnx_file import size_of
from workbench.steps import Context, State
from workbench.steps.recipe import Recipe
from workbench.task.batch import Tree
from workbench.task.device import CPU, device_of, moved
from workbench.task.samples import at_rest

# Part of the predictions that must be the same where two devices add in another order.
ACROSS_DEVICES = 0.99


@dataclass(frozen=True)
class Format:
    """One kind of file.

    Attributes:
        file: Name of the file that holds the model.
        runtime: What it is reloaded in.
        write: `(folder, state, context)`, writes the file and what belongs to it.
        read: `(folder) -> callable`, opens it as a user would.
        agreement: Part of the predictions that must be the session's.
    """

    file: str
    runtime: str
    write: Callable[[Path, State, Context], None]
    read: Callable[[Path], Forward]
    agreement: float


FORMATS: dict[str, Format] = {
    "safetensors": Format("model.safetensors", "PyTorch (eager)", checkpoint.write_folder, checkpoint.open_folder, 1.0),
    # Integer kernels add in another order and round halves by another rule than the simulation.
    "onnx": Format("model.onnx", "ONNX Runtime", onnx.write, onnx.read, 0.995),
    "pt2": Format("model.pt2", "PyTorch (exported program)", program.write, program.read, 1.0),
}


def export(
    folder: Path,
    state: State,
    recipe: Recipe,
    record: Mapping[str, Any],
    reference: Reference,
    context: Context,
    formats: Sequence[str] = tuple(FORMATS),
) -> Path:
    """Write `state` into `folder` and return it.

    The files are written beside it first, each is opened again in its own runtime and compared with the state on
    the validation split, and only then the folder takes its name. A folder that an earlier export wrote is
    replaced, and is there until then; any other that is not empty is left alone.

    Raises:
        WorkbenchError: A format is not known, the folder is in use, the disk is full, or a file does not give the
            session's predictions. Then nothing is left behind.
    """
    check_formats(formats)
    with _written(folder), replaced(folder, _check_replaceable) as half:
        state, reference, context = _on_cpu(state, reference, context)
        _fill(half, state, recipe, record, reference, context, formats)
    return folder


def _on_cpu(state: State, reference: Reference, context: Context) -> tuple[State, Reference, Context]:
    """Return what is exported on the CPU, where files are opened, once it is seen to give there what it gives here.

    Raises:
        WorkbenchError: It gives other predictions or another score there.
    """
    device = device_of(state.model)
    if device == CPU:
        return state, reference, context
    there = state.on(CPU)
    forward = eager.prepare(there, ())

    def brought(inputs: tuple[Tensor, ...]) -> Tree:
        return moved(forward(moved(inputs, CPU)), device)

    share = context.progress.part(0.0, 0.1, f"comparing the CPU with {device}")
    verify("the model", "PyTorch on the CPU", 0, brought, state, reference, ACROSS_DEVICES, share)
    subject = context.subject.on(CPU)
    return there, replace(reference, samples=at_rest(reference.samples)), replace(context, subject=subject)


def check_folder(folder: Path) -> None:
    """Raise `WorkbenchError` if nothing could be exported to a folder, before there is any work to lose."""
    with _written(folder):
        check_place(folder)
        _check_replaceable(folder)


@contextmanager
def _written(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WorkbenchError(f"{shown(str(folder), 200)} cannot be written: {first_line(error)[-200:]}") from error


def _check_replaceable(folder: Path) -> None:
    if folder.exists() and not _replaceable(folder):
        raise WorkbenchError(f"{folder} is in use by something else than an export; choose another folder")


def verified_files(folder: Path) -> list[dict[str, Any]]:
    """Return what was found when each file of an exported folder was opened again, as plain JSON."""
    facts: list[dict[str, Any]] = json.loads((folder / RECORD).read_text(encoding="utf-8"))["verified"]
    return facts


def check_formats(formats: Sequence[str]) -> None:
    """Raise `WorkbenchError` if there are none, or one is not known."""
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or not formats:
        raise WorkbenchError(f"formats are {', '.join(FORMATS)}; {', '.join(unknown) or 'none'} was asked for")


def _replaceable(folder: Path) -> bool:
    """Return whether a folder is empty, or holds what an earlier export listed and nothing else."""
    if not folder.is_dir():
        return False
    inside = {path.name for path in folder.iterdir()}
    try:
        lines = (folder / CHECKSUMS).read_text(encoding="utf-8").splitlines() if inside else []
    except (OSError, UnicodeDecodeError):
        return False
    return inside <= {CHECKSUMS, *(line.partition("  ")[2] for line in lines)}


def _fill(
    folder: Path,
    state: State,
    recipe: Recipe,
    record: Mapping[str, Any],
    reference: Reference,
    context: Context,
    formats: Sequence[str],
) -> None:
    for number, name in enumerate(formats):
        context.progress.update(number / len(formats) * 0.4, f"writing {FORMATS[name].file}")
        FORMATS[name].write(folder, state, context)
    verified: list[Verification] = []
    for number, name in enumerate(formats):
        chosen = FORMATS[name]
        low = 0.4 + 0.6 * number / len(formats)
        share = context.progress.part(low, low + 0.6 / len(formats), f"verifying {chosen.file}")
        # Elsewhere nobody has imported the model.
        with within(f"{chosen.file} was not exported"):
            reloaded = FRESH.opened(name, folder)
        size = size_of(folder / chosen.file)
        verified.append(verify(chosen.file, chosen.runtime, size, reloaded, state, reference, chosen.agreement, share))
    whole = {**record, "verified": [dataclasses.asdict(row) for row in verified]}
    recipe.save(folder / "recipe.json")
    (folder / RECORD).write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(card(whole, recipe, onnx.integers_of(folder)), encoding="utf-8")
    lines = [f"{hash_file(path)}  {path.name}" for path in sorted(folder.iterdir())]
    (folder / CHECKSUMS).write_text("\n".join(lines) + "\n", encoding="utf-8")

"""Where the source names the CPU by hand, or makes a tensor without saying where: each such place has its reason."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAKERS = {
    "arange", "empty", "eye", "frombuffer", "from_numpy", "full", "linspace", "logspace", "ones", "rand", "randint",
    "randn", "randperm", "tensor", "tril_indices", "triu_indices", "zeros",
}  # fmt: skip
# Files by globs, and why tensors are on the CPU there. The first that fits counts.
ALLOWED = {
    "workbench/task/device.py": "it is the one place that names devices",
    "workbench/task/batch.py": "arrays of people become tensors, before any device is known",
    "workbench/task/samples.py": "data are kept on the CPU; `Placed` moves batches",
    "workbench/task/task.py": "numbers of samples, which index data on the CPU",
    "workbench/task/identity.py": "bytes of tensors are hashed",
    "workbench/task/metric.py": "metrics judge on the CPU, exactly and alike everywhere",
    "workbench/task/named.py": "as metric",
    "workbench/task/taken.py": "as metric",
    "workbench/task/classes.py": "a number without dimensions, which meets any device",
    "workbench/task/detection.py": "boxes are judged as metrics are; its loss says the device of the scores",
    "workbench/task/augmentation.py": "drawn on the CPU, alike on every device; indices may be there",
    "workbench/checkpoint/*": "files and their tables are bytes on the CPU; codings move by `on` and `.to`",
    "workbench/loading/*": "what is loaded begins on the CPU; a session moves it",
    "workbench/graph/reader/*": "programs of files begin on the CPU; `on_device` moves them",
    "workbench/graph/*": "sizes and indices of a graph, which are no values of a model",
    "workbench/model/*": "the subject is made on the CPU; a session moves it",
    "workbench/jobs/*": "it has no tensors of models",
    "workbench/measure/runtimes/*": "ONNX Runtime on the CPU: states come there by `prepared`",
    "workbench/measure/*": "results, places of samples and their order, which are kept on the CPU",
    "workbench/search/*": "as measure",
    "workbench/inspection/*": "numbers to look at, on the CPU",
    "workbench/charts/*": "as inspection",
    "workbench/report/*": "as inspection",
    "workbench/session/*": "as inspection",
    "workbench/lessons/*": "as inspection",
    "workbench/export/*": "files are written and opened on the CPU",
    "widgets/*": "as inspection",
    # Steps compute on the device, so that each file that makes something on the CPU says why.
    "workbench/steps/calibration.py": "a sum that is still a number without dimensions, which meets any device",
    "workbench/steps/prune/importance/activity.py": "a number without dimensions",
    "workbench/steps/prune/importance/chance.py": "drawn on the CPU, alike on every device, and moved",
    "workbench/steps/prune/importance/ranking.py": "scores of units, which `rank_units` brings to the CPU",
    "workbench/steps/prune/importance/shapley.py": "coalitions of a game, whose values are numbers",
    "workbench/steps/prune/patterns.py": "counts of scores, and a number's bits",
    "workbench/steps/quantize/shorten_floats.py": "a number without dimensions",
    "workbench/steps/quantize/share_weights.py": "k-means of scikit-learn; places in a sorted list",
    "workbench/steps/repair/reestimate_norms.py": "a number without dimensions; numbers of samples",
    "workbench/steps/repair/reconstruct.py": "a number without dimensions; numbers of samples",
    "workbench/steps/repair/smooth.py": "exponents to try, as plain numbers",
    "workbench/steps/train/alike.py": "forms of what files hold, which are read to the CPU",
    "workbench/steps/train/gradient_step.py": "numbers of samples",
    "workbench/steps/train/replace_head.py": "drawn on the CPU, alike on every device, and moved",
    "workbench/steps/train/training.py": "numbers of samples; forms of masks",
}  # fmt: skip


def by_hand(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and words of what names the CPU, or makes a tensor without a device."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and node.value == "cpu":
            yield node.lineno, '"cpu"'
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        name, owner = node.func.attr, node.func.value
        if name == "cpu" or (name == "numpy" and not node.args and not _brought(owner)):
            yield node.lineno, f".{name}()"
        of_torch = isinstance(owner, ast.Name) and owner.id == "torch"
        if of_torch and name in MAKERS and not any(one.arg == "device" for one in node.keywords):
            yield node.lineno, f"torch.{name}(...) without a device"


def _brought(value: ast.expr) -> bool:
    """Return whether a value was brought to the CPU right before."""
    return isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr in ("cpu", "to")


def reason(path: str) -> str | None:
    return next((why for glob, why in ALLOWED.items() if fnmatch(path, glob)), None)


FILES = sorted(path for folder in ("workbench", "widgets") for path in (ROOT / folder).rglob("*.py"))


def test_the_cpu_is_named_only_where_there_is_a_reason():
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {words}"
        for path in FILES
        if reason(path.relative_to(ROOT).as_posix()) is None
        for line, words in by_hand(path.read_text(encoding="utf-8"))
    ]
    assert wrong == [], "make it with device=weight.device, or say why in ALLOWED"


@pytest.mark.parametrize("glob", [glob for glob in ALLOWED if not glob.endswith("*")])
def test_a_reason_that_nothing_needs_any_more_goes(glob):
    assert glob.endswith("device.py") or list(by_hand((ROOT / glob).read_text(encoding="utf-8"))), glob


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("x.cpu()", ".cpu()"),
        ("model.to('cpu')", '"cpu"'),
        ("x.numpy()", ".numpy()"),
        ("torch.zeros(3)", "torch.zeros(...) without a device"),
        ("torch.eye(3, dtype=x.dtype)", "torch.eye(...) without a device"),
    ],
)
def test_what_names_the_cpu_is_seen(source, words):
    assert [found for _, found in by_hand(source)] == [words]


def test_what_goes_by_the_device_of_a_tensor_is_no_fault():
    assert not list(by_hand("torch.zeros(3, device=x.device); x.new_zeros(3); x.to(CPU).numpy(); np.zeros(3)"))

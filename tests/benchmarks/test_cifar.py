"""ResNet-20 on CIFAR-10 (JPEG), if the data is given: what compression costs, row by row, and what it gains.

`pytest tests/benchmarks/test_cifar.py -s --override-ini=addopts= --cifar-test … --cifar-train … --cifar-weights …`
builds every row, exports it, scores its test half once, and keeps what it found in `out/benchmarks/cifar`; the table is
made of what lies there, so `-k` may choose rows. The first half of the test file steers, the second is scored.
"""

from __future__ import annotations

import dataclasses
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import workbench as wb
from tests.benchmarks import cifar_net
from workbench import formatting
from workbench.measure import Latency, compare
from workbench.measure.compute import count_macs
from workbench.measure.runtimes.onnx import open_graph

NET = Path(cifar_net.__file__)
# Compiling pays everywhere here; bfloat16 only on processors that have units for it.
COMPILED: dict[str, Any] = {"precision": "full", "compiled": True}
IMAGES: dict[str, Any] = {"optimizer": "sgd", "batch_size": 128, "augmentation": "flip and shift", "precision": "bf16"}
INNER = "layer*.conv1"
ROWS: dict[str, tuple[wb.Step, ...]] = {
    "float": (),
    "int8": (wb.Quantize(activations=8),),
    "4 bits, nearest": (wb.Quantize(bits=4),),
    "4 bits": (wb.Quantize(bits=4, rounding="second-order"),),
    "3 bits, nearest": (wb.Quantize(bits=3),),
    "3 bits": (wb.Quantize(bits=3, rounding="second-order"),),
    "2 bits, trained": (
        wb.Quantize(bits=2, ranges="mse", rounding="second-order"),
        wb.TrainQuantized(epochs=3, learning_rate=0.02, soft=0.9, **IMAGES),
    ),
    "channels": (
        wb.PruneChannels(layers=INNER, amount=0.5, budget="macs", importance="taylor", round_to=4),
        wb.Distill(epochs=5, learning_rate=0.05, **IMAGES),
    ),
    # ONNX Runtime computes channels by sixteens, so these are left; a block with one is little but its shortcut.
    "blocks and channels": (
        wb.PruneBlocks(layers="layer1.*", importance="loss"),
        wb.PruneChannels(layers=INNER, by_layer="layer1.*=15, layer2.*=16, layer3.*=16", importance="taylor"),
        wb.Distill(epochs=5, learning_rate=0.05, **IMAGES),
    ),
    # A stage whose 16 channels of 32 x 32 cost most of the time goes whole; the layers behind it learn its part.
    "a stage and channels, 16 epochs": (
        wb.PruneBlocks(layers="layer1.*", blocks=3),
        wb.PruneChannels(layers=INNER, by_layer="layer2.*=16, layer3.2.*=16, layer3.*=0", importance="taylor"),
        wb.Distill(epochs=16, learning_rate=0.05, **{**IMAGES, **COMPILED}),
    ),
    "channels, not trained": (
        wb.PruneChannels(layers=INNER, amount=0.5, budget="macs", importance="taylor", round_to=4),
        wb.Reconstruct(),
    ),
    # Directions of the weights themselves: fitted to the outputs afterwards, they lose less than those of the outputs.
    "low rank, not trained": (
        wb.Factorize(budget="macs", amount=0.4, round_to=16, whitened=False),
        wb.Reconstruct(samples=2000),
    ),
    "70 % pruned, not trained": (wb.Prune(amount=0.7, ranking="global"), wb.Reconstruct()),
    "70 % pruned": (
        wb.Prune(amount=0.7, ranking="global"),
        wb.Reconstruct(),
        wb.Distill(epochs=3, learning_rate=0.01, **{**IMAGES, "batch_size": 64, "augmentation": "flip"}),
    ),
    "90 % pruned": (
        wb.Prune(amount=0.9, ranking="global", compensation="columns"),
        wb.Distill(epochs=3, learning_rate=0.05, **IMAGES),
    ),
    "90 % pruned, 10 epochs": (
        wb.PruneGradually(
            amount=0.9,
            ranking="global",
            epochs=10,
            ramp=0.6,
            updates=40,
            regrow=0.3,
            learning_rate=0.05,
            soft=0.9,
            **IMAGES,
        ),
    ),
    "pruned, shared, coded, 12 epochs": (
        wb.PruneGradually(
            amount=0.805,
            ranking="global",
            epochs=10,
            ramp=0.5,
            updates=30,
            regrow=0.2,
            learning_rate=0.04,
            soft=0.9,
            **IMAGES,
        ),
        wb.FoldNorms(),
        wb.ShareWeights(bits=3, rounding="second-order"),
        wb.TrainQuantized(epochs=1, learning_rate=0.002, soft=0.9, grids="fixed", **IMAGES),
        wb.TrainQuantized(epochs=1, learning_rate=0.0003, soft=0.9, **IMAGES),
        wb.EntropyCode(),
    ),
    "pruned, shared, coded": (
        wb.PruneGradually(
            amount=0.785, ranking="global", epochs=8, ramp=0.4, updates=16, learning_rate=0.04, soft=0.9, **IMAGES
        ),
        wb.FoldNorms(),
        wb.ShareWeights(bits=3, rounding="second-order"),
        wb.TrainQuantized(epochs=1, learning_rate=0.002, soft=0.9, grids="fixed", **IMAGES),
        wb.TrainQuantized(epochs=1, learning_rate=0.0003, soft=0.9, **IMAGES),
        wb.EntropyCode(),
    ),
}
# Steps on what another row has exported, which need not be trained again for them.
ON_TOP: dict[str, tuple[str, tuple[wb.Step, ...]]] = {
    "a stage and channels, 16 epochs, int8": ("a stage and channels, 16 epochs", (wb.Quantize(activations=8),)),
}
FLOAT = "float"


@pytest.fixture(scope="module")
def cifar(pytestconfig: pytest.Config) -> wb.Subject:
    images, train, weights = (pytestconfig.getoption(f"--cifar-{name}") for name in ("test", "train", "weights"))
    if not (images and train and weights):
        pytest.skip("give --cifar-test, --cifar-train and --cifar-weights")
    count = len(np.load(images)["labels"])
    return wb.load(
        f"{NET}:resnet20", checkpoint=weights, train=train,
        validation=f"{images}[:{count // 2}]", test=f"{images}[{count // 2}:]",
        mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225),
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(pytestconfig: pytest.Config) -> Path:
    path = Path(pytestconfig.rootpath) / "out" / "benchmarks" / "cifar"
    path.mkdir(parents=True, exist_ok=True)
    return path


def opened(subject: wb.Subject) -> wb.Session:
    return wb.Session(subject, wb.Settings(seconds=0.5), threaded=False, autosave=None)


@pytest.mark.parametrize("name", ROWS)
def test_row(cifar: wb.Subject, folder: Path, name: str) -> None:
    session, start = opened(cifar), time.perf_counter()
    for step in ROWS[name]:
        session.apply(step)
    seconds = time.perf_counter() - start
    kept(folder, name, session, seconds)


@pytest.mark.parametrize("name", ON_TOP)
def test_row_on_top(cifar: wb.Subject, folder: Path, name: str) -> None:
    under, steps = ON_TOP[name]
    before = json.loads((folder / f"{under}.json").read_text(encoding="utf-8"))
    session = opened(wb.Subject(under, wb.load_model(folder / under), cifar.task))
    assert session.baseline.bytes.total == before["bytes"]
    start = time.perf_counter()
    for step in steps:
        session.apply(step)
    seconds = time.perf_counter() - start + before["seconds"]
    kept(folder, name, session, seconds, code=f"{before['recipe']}, {session.recipe.code()}")


def test_the_other_libraries_channels(cifar: wb.Subject, folder: Path) -> None:
    """The same job with torch-pruning 1.6: as many MACs, the same recovery with the same teacher."""
    tp = pytest.importorskip("torch_pruning", reason="pip install torch-pruning==1.6.0")
    found = json.loads((folder / "channels.json").read_text(encoding="utf-8"))
    example = cifar.task.example(2)
    start = time.perf_counter()
    model = min(
        (_pruned_by(tp, cifar, part / 200) for part in range(80, 121, 2)),
        key=lambda model: abs(count_macs(model, example) - found["macs"]),
    )
    session = opened(wb.Subject("torch-pruning", model, cifar.task))
    session.apply(dataclasses.replace(ROWS["channels"][1], teacher=str(folder / FLOAT)))
    kept(folder, "channels by torch-pruning", session, time.perf_counter() - start, code="torch_pruning, Distill")


def _pruned_by(tp: Any, cifar: wb.Subject, part: float) -> nn.Module:
    """Return a copy in which this part of the inner channels has gone, ranked by the first-order Taylor term.

    The padded shortcuts are beyond it (the forward fails), so everything but the blocks' first convolutions is ignored.
    """
    model = cifar_net.resnet20()
    model.load_state_dict(cifar.model.state_dict())
    model.eval()
    inner = {block.conv1 for block in model.modules() if isinstance(block, cifar_net.Block)}
    ignored = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d | nn.Linear) and layer not in inner]
    inputs, targets = cifar.task.split("calibration").batch(range(256))
    pruner = tp.pruner.MetaPruner(
        model, inputs[0][:2], importance=tp.importance.GroupTaylorImportance(), pruning_ratio=part,
        ignored_layers=ignored, round_to=4,
    )  # fmt: skip
    nn.functional.cross_entropy(model(inputs[0]), targets).backward()
    pruner.step()
    model.zero_grad()
    return model


def test_the_runtimes_own_quantizer(cifar: wb.Subject, folder: Path) -> None:
    """ONNX Runtime's static quantizer on the float file: per channel, QDQ, the same calibration images."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    data = cifar.task.split("calibration")

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._starts = iter(range(0, len(data), 64))

        def get_next(self) -> dict[str, Any] | None:
            start = next(self._starts, None)
            if start is None:
                return None
            inputs, _ = data.batch(range(start, min(start + 64, len(data))))
            return {name: value.numpy() for name, value in zip(names, inputs, strict=True)}

    import onnx

    start = time.perf_counter()
    ready, made = folder / "prepared.onnx", folder / "runtime-int8.onnx"
    quant_pre_process(str(folder / FLOAT / "model.onnx"), str(ready), skip_symbolic_shape=True)
    names = [given.name for given in onnx.load(ready).graph.input]
    quantize_static(
        str(ready), str(made), Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
    )  # fmt: skip
    seconds = time.perf_counter() - start
    forward = open_graph(made.read_bytes())
    facts = {
        "what": "int8 by ONNX Runtime", "recipe": "quantize_static(per_channel=True)", "seconds": round(seconds, 1),
        "bytes": made.stat().st_size, "macs": 0,
        "validation": float(right(forward, cifar, "validation").double().mean()),
        "test": right(forward, cifar, "test").int().tolist(),
    }  # fmt: skip
    (folder / "int8 by ONNX Runtime.json").write_text(json.dumps(facts), encoding="utf-8")


def kept(folder: Path, name: str, session: wb.Session, seconds: float, code: str = "") -> None:
    """Export a session's state and keep what was found of it."""
    measured = session.current
    session.export(folder / name)
    graph = open_graph((folder / name / "model.onnx").read_bytes())
    task = session.subject
    model = session.state.model
    facts = {
        "what": name, "recipe": code or session.recipe.code(), "seconds": round(seconds, 1),
        "bytes": measured.bytes.total, "macs": measured.macs, "ledger": measured.bytes.ledger,
        "written": (folder / name / "model.safetensors").stat().st_size,
        "validation": measured.score.value,
        "same class in ONNX Runtime": float(same(graph, model, task)),
        "test": right(lambda inputs: model(*inputs), task, "test").int().tolist(),
    }  # fmt: skip
    assert facts["written"] == facts["bytes"] == sum(size for _, size in measured.bytes.ledger)
    (folder / f"{name}.json").write_text(json.dumps(facts), encoding="utf-8")
    print(f"\n{name}: validation {measured.score.value:.2%}, {measured.bytes.total:,} bytes, {seconds:.0f} s")


def batches(subject: wb.Subject, split: Any) -> Any:
    data = subject.task.split(split)
    for start in range(0, len(data), 256):
        yield data.batch(range(start, min(start + 256, len(data))))


def right(forward: Any, subject: wb.Subject, split: str) -> Tensor:
    with torch.inference_mode():
        return torch.cat([forward(inputs).argmax(1) == targets for inputs, targets in batches(subject, split)])


def same(forward: Any, model: nn.Module, subject: wb.Subject) -> Tensor:
    with torch.inference_mode():
        parts = [forward(inputs).argmax(1) == model(*inputs).argmax(1) for inputs, _ in batches(subject, "validation")]
    return torch.cat(parts).double().mean()


def test_table(cifar: wb.Subject, folder: Path) -> None:
    """Times the files that were kept, each in turn with the float one, and prints the table."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json") if path.stem != "table"]
    order = [*ROWS, *ON_TOP, "int8 by ONNX Runtime", "channels by torch-pruning"]
    found.sort(key=lambda row: order.index(row["what"]) if row["what"] in order else len(order))
    base = next(row for row in found if row["what"] == FLOAT)
    inputs = cifar.task.example(1)
    graphs = {row["what"]: open_graph(file_of(folder, row["what"]).read_bytes()) for row in found}
    lines, table = [], []
    for row in found:
        timed = compare("onnxruntime", graphs[FLOAT], graphs[row["what"]], inputs, seconds=4.0, most=4000)
        low, mean, high = change(base["test"], row["test"])
        facts = {
            "what": row["what"], "recipe": row["recipe"], "validation": row["validation"],
            "test": sum(row["test"]) / len(row["test"]), "change": mean, "change low": low, "change high": high,
            "bytes": row["bytes"], "smaller": base["bytes"] / row["bytes"], "macs": row["macs"],
            "faster": timed.ratio, "faster low": timed.ratio_low, "faster high": timed.ratio_high,
            "seconds": row["seconds"], "same class in ONNX Runtime": row.get("same class in ONNX Runtime"),
        }  # fmt: skip
        table.append(facts)
        lines.append(line(facts, timed))
    heads = ["| | validation | test | test against float, points | file | MACs | ONNX Runtime | built in |"]
    text = "\n".join([*heads, "|---|---:|---:|---:|---:|---:|---|---:|", *lines])
    print(f"\n{text}")
    (folder / "table.md").write_text(text + "\n", encoding="utf-8")
    if {"int8", "int8 by ONNX Runtime"} <= graphs.keys():
        other = compare("onnxruntime", graphs["int8 by ONNX Runtime"], graphs["int8"], inputs, seconds=8.0, most=8000)
        print(f"\nint8 against ONNX Runtime's own: {formatting.verdict(other)}")
        tests = {row["what"]: row["test"] for row in found}
        low, mean, high = change(tests["int8 by ONNX Runtime"], tests["int8"])
        print(f"its test score against that one: {mean:+.2%} [{low:+.2%}, {high:+.2%}]")
        facts = {"what": "int8 against ONNX Runtime's own", "change": mean, "change low": low, "change high": high}
        table.append({**facts, "faster": other.ratio, "faster low": other.ratio_low, "faster high": other.ratio_high})
    (folder / "table.json").write_text(json.dumps(table, indent=1), encoding="utf-8")


def file_of(folder: Path, what: str) -> Path:
    return folder / "runtime-int8.onnx" if what == "int8 by ONNX Runtime" else folder / what / "model.onnx"


def change(before: list[int], after: list[int]) -> tuple[float, float, float]:
    """Return the mean difference of paired results with its 95 % interval, the images being a sample of all images."""
    gap = torch.tensor(after, dtype=torch.float64) - torch.tensor(before, dtype=torch.float64)
    reach = 1.96 * float(gap.std()) / math.sqrt(len(gap))
    return float(gap.mean()) - reach, float(gap.mean()), float(gap.mean()) + reach


def line(row: dict[str, Any], timed: Latency) -> str:
    macs = f"{row['macs'] / 1e6:.1f} M" if row["macs"] else ""
    return (
        f"| {row['what']} | {row['validation']:.2%} | {row['test']:.2%} | {100 * row['change']:+.2f} "
        f"[{100 * row['change low']:+.2f}, {100 * row['change high']:+.2f}] | {row['bytes']:,} bytes, "
        f"{row['smaller']:.1f} × smaller | {macs} | {formatting.verdict(timed)} | {row['seconds']:.0f} s |"
    )

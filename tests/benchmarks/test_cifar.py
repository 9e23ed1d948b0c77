"""ResNet-20 on CIFAR-10, if the data is given: what can't be cut, and what the steps cost without any recovery."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import workbench as wb
from workbench import numbers

NET = Path(__file__).with_name("cifar_net.py")

RECIPES = (
    (wb.Quantize(activations=8),),
    (wb.Quantize(bits=4),),
    (wb.Quantize(bits=4, rounding="second-order"),),
    (wb.Quantize(bits=3),),
    (wb.Quantize(bits=3, rounding="second-order"),),
    (wb.ShareWeights(bits=3, rounding="second-order"), wb.EntropyCode()),
    (wb.Prune(amount=0.5),),
    (wb.PruneChannels(amount=0.25),),
)


def test_cifar_resnet20(pytestconfig: pytest.Config, tmp_path: Path) -> None:
    images, train, weights = (pytestconfig.getoption(f"--cifar-{name}") for name in ("test", "train", "weights"))
    if not (images and train and weights):
        pytest.skip("give --cifar-test, --cifar-train and --cifar-weights")
    subject = wb.load(
        f"{NET}:resnet20", checkpoint=weights, train=train, validation=f"{images}[:5000]", test=f"{images}[5000:]",
        mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225),
    )  # fmt: skip
    session = wb.Session(subject, wb.Settings(seconds=2.0), threaded=False, autosave=None)
    rows = [_row("baseline", session)]
    for number, steps in enumerate(RECIPES):
        session.reset()
        for step in steps:
            session.apply(step)
        session.export(tmp_path / str(number))
        rows.append(_row(", ".join(step.title for step in steps), session))
    protected = {group.name: group.protected for group in session.groups if group.protected}
    print("\n" + json.dumps({"rows": rows, "protected": protected}, indent=1))


def _row(title: str, session: wb.Session) -> dict[str, object]:
    found = session.current
    return {
        "what": f"{title}: {session.recipe.code()}",
        "validation": round(found.score.value, 4),
        "test": round(session.test_score().value, 4),
        "bytes": found.bytes.total,
        "macs": found.macs,
        "onnxruntime": numbers.verdict(found.latency["onnxruntime"]),
    }

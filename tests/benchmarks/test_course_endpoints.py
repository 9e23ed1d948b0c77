"""Where the labs of MIT 6.5940 want to arrive, on `digits-resnet`: one line, three seeds wherever something is trained.

    OMP_NUM_THREADS=1 pytest tests/benchmarks/test_course_endpoints.py -s --override-ini=addopts=--import-mode=importlib

Training keeps the epoch that is best on validation, so what is judged is the test split. Figures are printed, never
asserted: what is missed stands in the table.
"""

from __future__ import annotations

import time

import pytest
import torch

import workbench as wb
from workbench import formatting
from workbench.steps import Step, TrainingStep

SEEDS = (0, 1, 2)
INT8 = wb.Quantize(bits=8, activations=8)
# What is wanted: points that may be lost, and a part of the bytes or a speed beside it. Each list of steps goes on
# from the one before, where that alone is known to fall short.
ENDPOINTS: dict[str, tuple[tuple[tuple[Step, ...], ...], float, str]] = {
    "int8": (((INT8,),), 0.1, ""),
    "fine-grained": (((wb.Prune(amount=0.82), wb.FineTune(epochs=2)),), 0.2, "bytes <= 25 %"),
    "k-means, 4 bits": (((wb.ShareWeights(bits=4), wb.TrainQuantized(epochs=1)),), 0.5, ""),
    "channels": (((wb.PruneChannels(amount=0.3, round_to=4), wb.FineTune(epochs=3)), (INT8,)), 1.0, "speed >= 1.5"),
}


@pytest.mark.parametrize("name", ENDPOINTS)
def test_endpoint(name: str, publish) -> None:
    parts, lose, besides = ENDPOINTS[name]
    torch.set_num_threads(1)
    rows: list[dict[str, object]] = []
    trains = any(isinstance(step, TrainingStep) for steps in parts for step in steps)
    for seed in SEEDS if trains else SEEDS[:1]:
        settings = wb.Settings(seconds=5.0, runtimes=("onnxruntime",), seed=seed)
        session = wb.Session(wb.load("digits-resnet"), settings, threaded=False, autosave=None)
        base = session.baseline
        for steps in parts:
            start = time.monotonic()
            found = session.extend(steps)
            seconds, test = time.monotonic() - start, session.test_score()
            latency, part = found.latency["onnxruntime"], found.bytes.total / base.bytes.total
            second = part <= 0.25 if "bytes" in besides else latency.ratio >= 1.5 if "speed" in besides else True
            rows.append(
                {
                    "seed": seed,
                    "steps": ", ".join(step.kind for step in session.recipe),
                    "validation": formatting.minus(f"{found.score.change * 100:+.2f}"),
                    "test": formatting.minus(f"{test.change * 100:+.2f}"),
                    "95 %": formatting.minus(f"[{test.population_low * 100:+.2f}, {test.population_high * 100:+.2f}]"),
                    "may lose": lose,
                    "bytes": f"{part:.1%}",
                    "ONNX Runtime": f"{latency.ratio:.2f} × [{latency.ratio_low:.2f}, {latency.ratio_high:.2f}]",
                    "besides": besides,
                    "met": "yes" if test.change * 100 >= -lose and second else "no",
                    "seconds": round(seconds),
                }
            )
        session.close()
    publish(f"endpoints of 6.5940: {name}", rows)

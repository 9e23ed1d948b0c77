"""The README's figures, measured: `make bench`. They are printed as a table and as JSON, never asserted."""

from __future__ import annotations

import json

import workbench as wb
from workbench import formatting


def test_digits_resnet_int8_and_half_the_channels(tmp_path) -> None:
    """Int8 export, and half of the channels with two epochs of recovery, on `digits-resnet`."""
    session = wb.Session(wb.load("digits-resnet"), wb.Settings(seconds=3.0), threaded=False, autosave=None)
    base, rows = session.baseline, []
    for title, steps in (
        ("int8 weights and activations", [wb.Quantize(bits=8, activations=8)]),
        (
            "half of the channels, 3 epochs",
            [wb.PruneChannels(amount=0.5, round_to=4), wb.FineTune(epochs=3)],
        ),
    ):
        session.reset()
        for step in steps:
            found = session.apply(step)
        session.export(tmp_path / title.replace(" ", "-"))
        onnx = found.latency["onnxruntime"]
        rows.append(
            {
                "what": title,
                "validation": found.score.value,
                "change": found.score.change,
                "test": session.test_score().value,
                "test baseline": session.reference("test").score.value,
                "bytes": found.bytes.total,
                "times smaller": base.bytes.total / found.bytes.total,
                "onnxruntime": formatting.verdict(onnx),
            }
        )
    print("\n" + json.dumps(rows, indent=1))

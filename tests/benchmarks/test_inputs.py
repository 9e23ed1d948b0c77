"""What smaller inputs cost and bring: resolution and bits a pixel of the digits, with the time in ONNX Runtime.

`pytest tests/benchmarks/test_inputs.py -s --override-ini=addopts=` prints the table. Resolutions are trained on for
three epochs, since a net has to see the size that it is used with; bits are not. The digits are grey already, so that
there is no row for colour. Nothing is asserted but that the record holds what was asked for.
"""

from __future__ import annotations

from collections.abc import Callable

import workbench as wb
from workbench import formatting

Rows = Callable[[str, list[dict[str, object]]], None]
TRAINED = wb.FineTune(epochs=3)
RECIPES: dict[str, tuple[wb.Step, ...]] = {
    "32 × 32 pixels": (),
    "24 × 24": (wb.ResizeInput(scale=0.75),),
    "24 × 24, trained": (wb.ResizeInput(scale=0.75), TRAINED),
    "16 × 16": (wb.ResizeInput(scale=0.5),),
    "16 × 16, trained": (wb.ResizeInput(scale=0.5), TRAINED),
    "8 × 8, trained": (wb.ResizeInput(scale=0.25), TRAINED),
    "bytes": (wb.ByteInput(),),
    "5 bits": (wb.ReduceInputBits(bits=5),),
    "3 bits": (wb.ReduceInputBits(bits=3),),
    "2 bits": (wb.ReduceInputBits(bits=2),),
    "1 bit": (wb.ReduceInputBits(bits=1),),
    "16 × 16, trained, bytes": (wb.ResizeInput(scale=0.5), TRAINED, wb.ByteInput()),
}


def test_smaller_inputs(publish: Rows) -> None:
    subject, rows = wb.load("digits-resnet"), list[dict[str, object]]()
    for name, steps in RECIPES.items():
        session = wb.Session(subject, threaded=False, autosave=None)
        found = session.apply(wb.Recipe(steps)) if steps else session.measure()
        test, latency = session.test_score(), found.latency["onnxruntime"]
        assert len(session.state.feeds) == sum(step.shelf == "Input" for step in steps)
        assert test is not None
        rows.append(
            {
                "input": name,
                "validation": formatting.score(found.score),
                "test": formatting.score(test),
                "bytes a sample": found.input_bytes,
                "MACs": formatting.count(found.macs),
                "ONNX Runtime": formatting.verdict(latency),
            }
        )
        session.close()
    publish("what the model is fed", rows)

"""What weights on few bits cost in ONNX Runtime, and their sizes, beside the float file.

`OMP_NUM_THREADS=1 pytest tests/benchmarks/test_small_files.py -s --override-ini=addopts=` prints the table. Times are
of the processor, one thread, every file in turn, the tenth percentile of all rounds: other programs hardly show in it.
Nothing is asserted but that the outputs are those of the state.
"""

from __future__ import annotations

import time

import numpy as np
import torch

import workbench as wb
from workbench.measure import measure_size
from workbench.measure.runtimes.onnx import convert, open_graph
from workbench.steps import State
from workbench.steps.recipe import run

SUBJECT, ROUNDS = "digits-resnet", 400
STEPS: dict[str, wb.Step] = {
    "8 bits": wb.Quantize(bits=8),
    "8 bits, not symmetric": wb.Quantize(bits=8, symmetric=False),
    "4 bits": wb.Quantize(bits=4),
    "4 bits, groups of 16": wb.Quantize(bits=4, granularity="group", group=16),
    "3 bits": wb.Quantize(bits=3),
    "2 bits": wb.Quantize(bits=2),
    "codebook of 16": wb.ShareWeights(bits=4),
    "powers of two, 4 bits": wb.QuantizeLogarithmic(bits=4),
    "ternary": wb.KeepSigns(levels="ternary"),
    "fp16": wb.ShortenFloats(format="fp16"),
}


def test_files_of_few_bits_against_floats() -> None:
    subject = wb.load(SUBJECT)
    example, one = subject.task.example(2), subject.task.example(1)
    states = {"float": State.of(subject)}
    states |= {name: run(subject, wb.Recipe((step,))) for name, step in STEPS.items()}
    files = {name: convert(state, example).SerializeToString() for name, state in states.items()}
    graphs = {name: open_graph(file) for name, file in files.items()}
    for name, state in states.items():
        with torch.no_grad():
            assert torch.allclose(torch.as_tensor(graphs[name](one)), state.model(*one), atol=1e-3), name
    times: dict[str, list[float]] = {name: [] for name in graphs}
    for _ in range(ROUNDS):
        for name, forward in graphs.items():
            start = time.thread_time()
            forward(one)
            times[name].append(time.thread_time() - start)
    fast = {name: float(np.percentile(found, 10)) for name, found in times.items()}
    print("\n| | ONNX file | checkpoint | ONNX Runtime, of the processor | against float |\n|---|---:|---:|---:|---:|")
    for name, state in states.items():
        written = measure_size(state.model, state.codings, subject).total
        print(
            f"| {name} | {len(files[name]):,} bytes | {written:,} bytes | {1e3 * fast[name]:.3f} ms "
            f"| {fast['float'] / fast[name]:.2f} × |"
        )

"""Runs an exported file where neither the net's source nor the test suite is imported.

`python outside.py onnx FILE INPUTS OUTPUTS` needs numpy and ONNX Runtime only; `python outside.py folder …` opens the
whole folder by the workbench. Inputs and outputs are `.npz` files of arrays named 0, 1, …
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

BATCH = 64
Arrays = list[npt.NDArray[np.generic]]


def of_onnx(path: str) -> Callable[[Arrays], Arrays]:
    """Return the forward of an ONNX file."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    return lambda arrays: list(session.run(None, dict(zip(names, arrays, strict=True))))


def of_folder(path: str) -> Callable[[Arrays], Arrays]:
    """Return the forward of an exported folder."""
    import torch

    from workbench.loading.load import load_model
    from workbench.task.batch import leaves

    model = load_model(path)

    def forward(arrays: Arrays) -> Arrays:
        with torch.inference_mode():
            return [value.numpy() for value in leaves(model(*map(torch.from_numpy, arrays)))]

    return forward


def main(kind: str, path: str, inputs: str, outputs: str) -> None:
    """Run all samples, a batch at a time."""
    forward = {"onnx": of_onnx, "folder": of_folder}[kind](path)
    with np.load(inputs) as file:
        arrays = [file[name] for name in sorted(file.files, key=int)]
    parts = [forward([array[start : start + BATCH] for array in arrays]) for start in range(0, len(arrays[0]), BATCH)]
    np.savez(outputs, **{str(place): np.concatenate(values) for place, values in enumerate(zip(*parts, strict=True))})


if __name__ == "__main__":
    main(*sys.argv[1:])

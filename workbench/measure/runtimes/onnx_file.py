"""ONNX models as files. Tensors of two gigabytes or more lie in another file beside the model's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

MOST = (1 << 31) - (64 << 20)  # bytes of tensors; protobuf writes two gigabytes, with all that is around them
DATA = ".data"  # behind the name of the file that the tensors belong to
THRESHOLD = 1024  # smaller tensors stay in the file: shapes are inferred by them


def is_large(model: onnx.ModelProto) -> bool:
    """Return whether a model is too large for one file."""
    return sum(len(one.raw_data) for one in model.graph.initializer) > MOST


def save(model: onnx.ModelProto, path: Path) -> None:
    """Write a model, its tensors into `path` + ".data" where they are too large; the model stays as it is."""
    import onnx
    from onnx.external_data_helper import load_external_data_for_model

    if not is_large(model):
        onnx.save(model, path)
        return
    onnx.save(
        model, path, save_as_external_data=True, all_tensors_to_one_file=True, location=path.name + DATA,
        size_threshold=THRESHOLD,
    )  # fmt: skip
    # Saving has moved the tensors out of it; a copy of it would have been a second model.
    load_external_data_for_model(model, str(path.parent))


@contextmanager
def readable(model: onnx.ModelProto) -> Iterator[bytes | Path]:
    """Give what a runtime opens: the model's bytes, or where they are too many a file, which goes at the end."""
    if not is_large(model):
        yield model.SerializeToString()
        return
    with TemporaryDirectory(prefix="workbench-") as folder:
        path = Path(folder) / "model.onnx"
        save(model, path)
        yield path


def size_of(path: Path) -> int:
    """Return the bytes of a file, with those of the tensors beside it."""
    beside = path.with_name(path.name + DATA)
    return path.stat().st_size + (beside.stat().st_size if beside.is_file() else 0)

"""A factory in the user's own Python file: `path/to/nets.py:resnet20`."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from torch import nn

from workbench.errors import WorkbenchError
from workbench.loading.named import FACTORY, check_named, is_factory
from workbench.loading.source import Loaded, Source


def get(text: str, pretrained: bool) -> Loaded:
    """Return the model that a factory without arguments makes. The file is the user's code, and is run."""
    match = FACTORY.fullmatch(text)
    if match is None:
        raise WorkbenchError(f"{text!r} must look like path/to/nets.py:factory")
    check_named(text)
    path, name = Path(match["file"]), match["factory"]
    if pretrained:
        raise WorkbenchError("a factory in a file has no weights to download; give checkpoint=...")
    module_name = f"workbench_user_{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise WorkbenchError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    # Registered first, because dataclasses and pickling look a class's module up by name.
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[module_name]
        raise WorkbenchError(f"{path} fails when it is imported: {type(error).__name__}: {error}") from error
    if not hasattr(module, name):
        have = ", ".join(
            n for n, v in vars(module).items() if callable(v) and getattr(v, "__module__", "") == module_name
        )
        raise WorkbenchError(f"{path} has no {name}; it has {have or 'nothing to call'}")
    try:
        model = getattr(module, name)()
    except (Exception, SystemExit) as error:
        raise WorkbenchError(f"{text} fails when it is called without arguments: {error}") from error
    if not isinstance(model, nn.Module):
        raise WorkbenchError(f"{text} gave a {type(model).__name__}, not a torch.nn.Module")
    return Loaded(model.eval(), name)


SOURCE = Source(is_factory, get)

"""The Compression Workbench: compress PyTorch models by hand, with every number measured."""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.public import *  # noqa: F403  # its `__all__` is this package's

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Return a module of the package, a public name, or a registered step by the name of its class.

    All but the first import PyTorch, which takes seconds: the command line has something to say before. Registered
    steps are here so that code that a session gives runs with others' too.
    """
    if name.startswith("__") and name != "__all__":
        raise AttributeError(f"module 'workbench' has no attribute {name!r}")
    if name.isidentifier() and find_spec(f"workbench.{name}") is not None:
        return import_module(f"workbench.{name}")
    public = import_module("workbench.public")
    if hasattr(public, name):
        return getattr(public, name)
    for step in import_module("workbench.steps").KINDS.values():
        if step.__name__ == name:
            return step
    raise AttributeError(f"module 'workbench' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *import_module("workbench.public").__all__})

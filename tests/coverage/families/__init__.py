"""The nets by family; a family whose library is not installed is left out."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from tests.coverage.families.own import OWN
from tests.coverage.net import Net

LIBRARIES = {"torchvision": "of_torchvision", "timm": "of_timm", "transformers": "of_transformers"}


def every() -> dict[str, Net]:
    """Return all nets by family and name."""
    nets = list(OWN)
    for library, module in LIBRARIES.items():
        if find_spec(library) is not None:
            nets += import_module(f"tests.coverage.families.{module}").NETS
    return {f"{net.family}:{net.name}": net for net in nets}

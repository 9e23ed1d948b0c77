"""Models by name from torchvision, timm and transformers, where the extra is installed."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from workbench.errors import WorkbenchError, first_line
from workbench.loading.huggingface import load_transformers
from workbench.loading.source import Loaded, Source


def _torchvision(name: str, pretrained: bool) -> nn.Module:
    from torchvision.models import get_model

    model: nn.Module = get_model(name, weights="DEFAULT" if pretrained else None)
    return model


def _timm(name: str, pretrained: bool) -> nn.Module:
    from timm import create_model

    model: nn.Module = create_model(name, pretrained=pretrained)
    return model


def _source(prefix: str, extra: str, make: Callable[[str, bool], nn.Module | Loaded]) -> Source:
    def get(text: str, pretrained: bool) -> Loaded:
        name = text.removeprefix(f"{prefix}:")
        try:
            model = make(name, pretrained)
        except WorkbenchError:
            raise
        except ImportError as error:
            raise WorkbenchError(
                f"{text} needs the extra {extra!r}: pip install 'compression-workbench[{extra}]' ({error})"
            ) from error
        except Exception as error:  # each library has its own errors for a name it does not know
            raise WorkbenchError(f"{text} cannot be made: {first_line(error)}") from error
        return model if isinstance(model, Loaded) else Loaded(model.eval(), name)

    return Source(lambda text: text.startswith(f"{prefix}:"), get)


SOURCES = (
    _source("torchvision", "vision", _torchvision),
    _source("timm", "vision", _timm),
    _source("hf", "text", load_transformers),
)

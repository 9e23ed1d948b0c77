"""How a session measures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from workbench.measure.runtimes import RUNTIMES


@dataclass(frozen=True)
class Settings:
    """How a session measures.

    Attributes:
        tolerance: Half-width of the score's interval that is enough for an applied step; 0 scores every sample.
        seconds: Time for each runtime's latency.
        batch: Samples in one forward pass, for latency and memory.
        runtimes: What latency is measured on.
        seed: Of all chance in steps.
        memory: Bytes that may be used to keep what enters an edited layer, None for a quarter of what is free.
        device: Where models compute: "auto" (the first CUDA device, else the CPU), "cpu", "cuda", "cuda:1", "mps".
            A session stays on its device.
    """

    tolerance: float = 0.0
    seconds: float = 1.0
    batch: int = 1
    runtimes: tuple[str, ...] = field(
        default_factory=lambda: tuple(kind for kind, runtime in RUNTIMES.items() if runtime.usual)
    )
    seed: int = 0
    memory: int | None = None
    device: str = "auto"

    def changed(self) -> dict[str, Any]:
        """Return the settings that differ from the defaults."""
        default = Settings()
        return {name: value for name, value in vars(self).items() if value != getattr(default, name)}

"""Names of layers, made fit to stand at an axis."""

from __future__ import annotations

from collections.abc import Sequence

WIDTH = 30
# BokehJS would take a label with these for TeX and ask the network for a typesetter.
TEX = ("$$", "\\[", "\\(")


def shorten(name: str, width: int = WIDTH) -> str:
    """Return a name of at most `width` characters; the middle is left out, for both ends tell layers apart."""
    plain = "".join(character if character.isprintable() else " " for character in name) or "(model)"
    if len(plain) > width:
        tail = (width - 1) * 2 // 3
        plain = f"{plain[: width - 1 - tail]}…{plain[-tail:]}"
    for mark in TEX:
        plain = plain.replace(mark, f"{mark[0]}\u200b{mark[1]}")
    return plain


def runtime_title(name: str) -> str:
    """Return what people call a runtime."""
    return {"eager": "PyTorch (eager)", "onnxruntime": "ONNX Runtime"}.get(name, name)


def axis_labels(names: Sequence[str], width: int = WIDTH) -> list[str]:
    """Return short labels in the order of `names`, all different, as an axis of categories needs."""
    labels: list[str] = []
    for name in names:
        label, number = shorten(name, width), 2
        while label in labels:
            label, number = f"{shorten(name, width - 4)} ({number})", number + 1
        labels.append(label)
    return labels

"""Names of layers, made fit to stand at an axis."""

from __future__ import annotations

from collections.abc import Sequence

WIDTH = 30
WORD = 10
# BokehJS would take a label with these for TeX and ask the network for a typesetter.
TEX = ("$$", "\\[", "\\(")


def shorten(name: str, width: int = WIDTH) -> str:
    """Return a name of at most `width` characters; the middle is left out, for both ends tell layers apart.

    A number within the name does so most of all, so long words between dots are cut first.
    """
    plain = "".join(character if character.isprintable() else " " for character in name) or "(model)"
    if len(plain) > width:
        plain = ".".join(f"{word[:4]}…{word[-3:]}" if len(word) > WORD else word for word in plain.split("."))
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
    labels: dict[str, None] = {}
    counts: dict[str, int] = {}
    for name in names:
        label = base = shorten(name, width)
        while label in labels:
            counts[base] = counts.get(base, 1) + 1
            label = f"{shorten(name, width - 4)} ({counts[base]})"
        labels[label] = None
    return list(labels)

"""Nets of timm, the smallest of their kind or made small."""

from __future__ import annotations

from functools import partial
from typing import Any

import timm

from tests.coverage.net import Net, images


def _net(name: str, size: int = 64, heads: bool = False, residual: bool = True, **options: Any) -> Net:
    return Net(
        name, "timm", partial(timm.create_model, name, num_classes=10, **options), images(size), 1, heads, residual
    )


SMALL = {"img_size": 32, "patch_size": 8, "embed_dim": 48, "depth": 2, "num_heads": 3}

NETS: tuple[Net, ...] = (
    _net("convnext_atto", depths=(1, 1, 2, 1)),
    _net("mobilevit_xxs", heads=True),
    _net("levit_128s", 224, heads=True),
    _net("mixer_s32_224", 64, img_size=64),
    _net("resmlp_12_224", 32, img_size=32),
    _net("ghostnet_050"),
    _net("repvgg_a0", 32, residual=False),
    _net("vit_tiny_patch16_224", 32, heads=True, **SMALL),
    _net("cait_xxs24_224", 32, heads=True, **SMALL),
    _net("eva02_tiny_patch14_224", 32, heads=True, **SMALL),
    _net("edgenext_xx_small", heads=True),
    _net("regnetx_002"),
)

"""Pictures as addresses that a page can show."""

from __future__ import annotations

import base64
import io

from torch import Tensor


def png(image: Tensor) -> str:
    """Return an image uint8 [H, W, 3] as the address of a PNG."""
    from PIL import Image

    held = io.BytesIO()
    Image.fromarray(image.numpy()).save(held, "png")
    return f"data:image/png;base64,{base64.b64encode(held.getvalue()).decode()}"

"""Folders of images of others: damaged, cut off, of other kinds, and such as claim far more pixels than they have."""

from __future__ import annotations

import io
import os
import random
import struct
import zlib
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from tests.fuzz.kind import Kind
from tests.fuzz.values import NUMBERS, damaged
from workbench.loading.data import read_task

ENDINGS = {"png": "PNG", "jpg": "JPEG", "bmp": "BMP", "gif": "GIF", "webp": "WEBP", "tif": "TIFF"}
MODES = ("RGB", "L", "P", "1", "RGBA", "LA", "I", "F", "CMYK", "I;16")


class Images(Kind):
    name: ClassVar[str] = "images"
    allowed: ClassVar[tuple[str, ...]] = ("compile ", "import ")  # plugins of the decoder load when they are needed

    def prepare(self, home: Path) -> None:
        for seed in range(60):
            place = home / f"good{seed}"
            self.mutant(random.Random(seed), place)  # noqa: S311  # the same every time
            try:
                self.read(place)
            except Exception:  # noqa: S112  # it only has to load what it loads
                continue

    def mutant(self, rng: random.Random, place: Path) -> str:
        ending = rng.choice(sorted(ENDINGS))
        data, done = rng.choice((_whole, _bytes, _bytes, _half, _claims, _bomb))(rng, ending)
        path = place / "class" / f"image.{ending}"
        path.parent.mkdir(parents=True)
        how = rng.random()
        if how < 0.03:
            os.mkfifo(path)
        elif how < 0.06:
            path.mkdir()
        elif how < 0.09:
            path.symlink_to(rng.choice(("/dev/zero", "image.png", path.name)))
        else:
            path.write_bytes(data)
        return f"{ending} {done}"

    def read(self, place: Path) -> Any:
        task = read_task(validation=place, size=8)
        return task.split("validation").batch([0])

    def use(self, made: Any) -> None:
        (inputs,), _ = made
        assert inputs.shape == (1, 3, 8, 8)
        assert inputs.isfinite().all()


def picture(rng: random.Random, ending: str) -> bytes:
    stream, size = io.BytesIO(), (rng.choice((1, 5, 40)), rng.choice((1, 7, 30)))
    made = Image.fromarray(np.random.default_rng(rng.randrange(99)).integers(0, 255, (*size, 3), np.uint8))
    try:
        made.convert(rng.choice(MODES)).save(stream, ENDINGS[ending])
    except (OSError, ValueError):  # a kind of file that has no such mode
        stream = io.BytesIO()
        made.save(stream, ENDINGS[ending])
    return stream.getvalue()


def _whole(rng: random.Random, ending: str) -> tuple[bytes, str]:
    return picture(rng, rng.choice(sorted(ENDINGS))), "whole, and maybe of another kind"


def _bytes(rng: random.Random, ending: str) -> tuple[bytes, str]:
    return damaged(rng, picture(rng, ending)), "bytes"


def _half(rng: random.Random, ending: str) -> tuple[bytes, str]:
    data = picture(rng, ending)
    return data[: rng.randrange(len(data))], "half"


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _claims(rng: random.Random, ending: str) -> tuple[bytes, str]:
    """A PNG with a header of its own."""
    width, height = (rng.choice(NUMBERS[:20]) % 2**32 for _ in range(2))
    bits, colour = rng.choice((1, 2, 4, 8, 16, 3)), rng.choice((0, 2, 3, 4, 6, 5))
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, rng.randrange(3))
    rows = zlib.compress(bytes(rng.choice((0, 100, 100_000))))
    texts = _chunk(b"zTXt", b"a\x00\x00" + zlib.compress(bytes(1 << rng.choice((4, 20, 26))), 1))
    body = _chunk(b"IHDR", header) + rng.choice((b"", texts)) + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body, f"claims {width} x {height} of {bits} bits"


def _bomb(rng: random.Random, ending: str) -> tuple[bytes, str]:
    """Few bytes that stand for very many equal pixels."""
    side = rng.choice((3000, 9000, 20_000))
    rows = zlib.compress(bytes(1 << 20), 9)
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", rows) + _chunk(b"IEND", b""), f"bomb {side}"

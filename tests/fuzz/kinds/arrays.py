"""Data of others: `.npz`."""

from __future__ import annotations

import io
import random
import zipfile
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from tests.fuzz.kind import Kind
from tests.fuzz.values import NUMBERS, TEXTS, damaged
from workbench.loading.data import read_task


class Arrays(Kind):
    name: ClassVar[str] = "arrays"
    allowed: ClassVar[tuple[str, ...]] = ("compile ",)  # numpy reads headers as literals: compiled, never run

    def prepare(self, home: Path) -> None:
        place = home / "good"
        for change in (_plain, _odd, _members):
            for seed in range(40):
                place.with_suffix(".npz").write_bytes(change(random.Random(seed))[0])  # noqa: S311  # the same every time
                try:
                    self.use(self.read(place))
                except Exception:  # noqa: S112  # it only has to load what it loads
                    continue

    def mutant(self, rng: random.Random, place: Path) -> str:
        data, done = rng.choice((_bytes, _odd, _odd, _odd, _members, _headers))(rng)
        place.with_suffix(".npz").write_bytes(data)
        return done

    def read(self, place: Path) -> Any:
        return read_task(validation=place.with_suffix(".npz"))

    def use(self, made: Any) -> None:
        made.split("validation").batch([0])


def saved(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def _plain(rng: random.Random) -> tuple[bytes, str]:
    return saved(
        images=np.ones((6, 1, 4, 4), np.float32), labels=np.arange(6) % 2, classes=np.array(["a", "b"])
    ), "plain"


def _bytes(rng: random.Random) -> tuple[bytes, str]:
    return damaged(rng, _plain(rng)[0]), "bytes"


def _odd(rng: random.Random) -> tuple[bytes, str]:
    """Arrays of other types, shapes and values."""
    kinds = (">f4", "<f4", ">i8", "u1", "i2", "u4", "f2", "f8", "c8", "U3", "S3", "?", "M8[s]", "V4", "f4,i4")
    good = rng.random() < 0.6
    images = np.ones(
        (6, 4, 4) if good else rng.choice(((6, 4, 4), (6, 4, 4, 3), (6, 1, 4, 4), (0, 1, 4, 4), (), (6,), (6, 0, 0)))
    )
    labels = np.arange(6) % 2 if good else np.zeros(rng.choice(((6,), (5,), (), (0,), (6, 1))))
    classes = (
        np.array(["a", "b"])
        if rng.random() < 0.6
        else rng.choice((np.array("a"), np.arange(3), np.array([]), np.array([["a"]])))
    )
    arrays = {"images": images, "labels": labels, "classes": classes}
    changed = rng.choice(("images", "labels", "classes"))
    kind = rng.choice(kinds)
    try:
        arrays[changed] = arrays[changed].astype(kind)
    except (TypeError, ValueError):
        arrays[changed] = np.zeros(arrays[changed].shape, kind)
    if rng.random() < 0.3 and arrays["images"].dtype.kind == "f":
        arrays["images"] = np.where(arrays["images"] > 0, rng.choice((np.nan, np.inf)), 0)
    return saved(**arrays), f"odd {changed} {kind} {images.shape} {labels.shape}"


def _members(rng: random.Random) -> tuple[bytes, str]:
    """An archive packed or marked in other ways."""
    source = zipfile.ZipFile(io.BytesIO(_plain(rng)[0]))
    stream = io.BytesIO()
    how = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    with zipfile.ZipFile(stream, "w", how) as archive:
        for name in source.namelist():
            data = source.read(name)
            archive.writestr(rng.choice((name, name, name, rng.choice(TEXTS)[:100] + ".npy", "../" + name)),
                             damaged(rng, data) if rng.random() < 0.4 else data)  # fmt: skip
    made = bytearray(stream.getvalue())
    if rng.random() < 0.4:
        at = made.find(b"PK\x01\x02")
        made[at + 8] |= 1  # encrypted
        made[6] |= 1
    if rng.random() < 0.3:
        made[made.find(b"PK\x01\x02") + 10] = rng.choice((99, 1, 12))  # another way to pack
    return bytes(made), f"members {how}"


def _headers(rng: random.Random) -> tuple[bytes, str]:
    """Headers of arrays that claim other shapes and types than there are."""
    shape = tuple(rng.choice(NUMBERS) for _ in range(rng.randrange(5)))
    text = repr({"descr": rng.choice(("<f4", "|O", ">i8", "<c16", "|V9", "evil", "<f99")),
    "fortran_order": rng.choice((True, False, 3)),
                 "shape": shape}).encode()  # fmt: skip
    if rng.random() < 0.3:
        text = rng.choice(TEXTS).encode()[:60000]
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    array = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + b"\x00" * 64
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("images.npy", array)
        archive.writestr("labels.npy", array)
    return stream.getvalue(), f"headers {shape!r:.80}"

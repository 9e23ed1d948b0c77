"""Kernels of the chosen layer as pictures: the untouched ones and those that are shown now, what is zero in grey."""

from __future__ import annotations

from html import escape
from threading import RLock

import ipywidgets as W
import torch
from torch import Tensor

from widgets.fold import Fold
from widgets.pictures import png
from widgets.view import View
from workbench.inspection.kernels import KernelPicture, kernel_picture
from workbench.session.session import Session


class Kernels(View):
    """Two pictures in one scale; folded away until someone looks, and nothing is drawn before."""

    def __init__(self, session: Session, lock: RLock) -> None:
        super().__init__(session, lock)
        self.html = W.HTML()
        self.root = Fold("Kernels of the chosen layer, and where they are zero", self.html)
        self.root.button.observe(self.act(self._unfolded), "value")
        self.watch(self._show, "selection", "history")
        self.watch(self.on_new_weights(self._show), "staged")

    def _unfolded(self) -> None:
        with self.lock:
            self._show()

    def _show(self) -> None:
        if not self.root.unfolded:
            return
        layer, staged = self.chosen_layer(), self.session.staged
        old = dict(self.session.subject.model.named_parameters(remove_duplicate=False)).get(layer.parameter)
        now = self.session.state.model.get_parameter(layer.parameter).detach()
        if staged is not None and not staged.error:
            now = staged.changed.get(layer.parameter, now)
        before = (old if old is not None else now).detach()
        limit = float(before.float().abs().flatten()[:: max(before.numel() // 100_000, 1)].quantile(0.99))
        shown = [("untouched", before)]
        if before.shape != now.shape or not torch.equal(before, now):
            shown.append(("now", now))
        self.html.value = (
            f"<p class='wb-hint'><b>{escape(layer.name)}</b>: a row an output, a column an input. Blue is above zero, "
            f"orange below, grey is zero.</p><div class='wb-kernels'>"
            f"{''.join(_figure(title, weight, layer.outputs, limit) for title, weight in shown)}</div>"
        )


def _figure(title: str, weight: Tensor, outputs: int, limit: float) -> str:
    picture = kernel_picture(weight, outputs, limit)
    words = f"{title}: {_part(picture.outputs)} outputs, {_part(picture.inputs)} inputs"
    image = f"<img src='{png(picture.image)}' alt='{words}' style='{_size(picture)}'>"
    return f"<figure>{image}<figcaption>{words}</figcaption></figure>"


def _part(shown: tuple[int, int]) -> str:
    return f"{shown[1]}" if shown[0] == shown[1] else f"first {shown[0]} of {shown[1]}"


def _size(picture: KernelPicture) -> str:
    high, wide = picture.image.shape[:2]
    scale = max(1, min(8, 256 // max(high, wide)))
    return f"width:{wide * scale}px"

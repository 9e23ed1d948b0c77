"""Runs models on numbered samples of one split, each edit as cheaply as can be done without other predictions.

Three things make it cheap. The graph is rewritten once: batch norms folded, fast kernels in the order of memory
they like. An edit runs only what comes after the first parameter that it changes; what enters there is kept and
shared by all edits of the same place. And the batch size is the best of those tried while the baseline was scored.
A model that cannot be traced, or whose rewritten graph gives other outputs, is run as it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from workbench.errors import enough_memory
from workbench.graph.segments import LAYOUTS, Border, Segments
from workbench.jobs.progress import Progress
from workbench.jobs.turn import TURN
from workbench.measure.anchor import Anchor, Plans, same, values_of
from workbench.measure.prefixes import Prefixes
from workbench.measure.targets import Targets
from workbench.model.agreement import agree
from workbench.model.structure import structure
from workbench.model.twin import kept_twin, standing_in
from workbench.steps import State
from workbench.task.batch import Tree, entering, outputs_of
from workbench.task.device import CPU, device_of, moved
from workbench.task.samples import Samples, at_rest

Predict = Callable[[Tensor], tuple[Tree, Tree]]
Visit = Callable[[Tree, Tree, Tensor], None]
BATCH = 64
BATCHES = (32, 128, 256)
BATCHES_ELSEWHERE = (256, 1024, 4096)  # on a device that does thousands of products at a time
SMALLEST = 8
LEAST_SECONDS = 0.5
# Where values are kept while the baseline runs, as shares of its operators, and how much of the memory each may take.
WAISTS = (0.5, 0.75)
WAIST_SHARE = 0.2
# Folding and other kernels round differently in the last digits; what differs by more is another model.
TOLERANCE = 1e-3


class Evaluator:
    """Outputs of models for samples of one split, by their numbers.

    Models run, and what enters edited layers is kept, where they are; what `prepare` and `survey` give is on the CPU,
    where metrics judge it.

    Args:
        samples: The split.
        memory: Bytes that kept values may take, None for a quarter of what is free.
        least: A split that is scored in fewer seconds is run plainly: there is nothing to gain.
    """

    def __init__(self, samples: Samples, memory: int | None = None, least: float = LEAST_SECONDS) -> None:
        self.samples, self.batch = samples, BATCH
        self.worthwhile = False
        self._least = least
        self.prefixes = Prefixes(len(samples), memory, samples.device)
        self.layout = LAYOUTS[0]
        self._plans = Plans(samples)
        self._anchor: Anchor | None = None
        self._borders: set[Border] = set()
        self._targets = Targets(at_rest(samples))

    def plain(self, state: State, overlay: Mapping[str, Tensor] | None = None) -> Predict:
        """Return a function that runs the model as it is, from sample numbers [n] to outputs and targets."""
        model, values = kept_twin(state.model), dict(overlay or {})

        def predict(numbers: Tensor) -> tuple[Tree, Tree]:
            inputs, targets = self.samples.batch(numbers.tolist())
            with TURN, torch.inference_mode(), standing_in(model, values):
                return outputs_of(model, inputs), targets

        return predict

    def anchor(self, state: State, *, quick: bool = False) -> bool:
        """Make `state` the one whose values are kept; edits of it are cheap from now on.

        The first state of another structure has to be traced for this, which takes about a second; with `quick` that
        is left, and its edits run as they are.

        Returns:
            Whether it is the one.
        """
        with TURN:
            if self._anchor is not None and self._anchor.model is state.model:
                return True
            if not self.worthwhile or (quick and not self._plans.known(state.model, self.layout)):
                return False
            anchor = self._plans.anchor(state, self.layout)
            # Also where the graph is known: a size that it has written into it may be another in this model.
            if anchor is None or not self._agrees(self._whole(anchor), self.plain(state)):
                return False
            self._settle(anchor)
            return True

    def prepare(self, state: State, overlay: Mapping[str, Tensor] | None = None) -> Predict:
        """Return a function from sample numbers [n] to outputs and targets, the cheapest that gives the same.

        Args:
            state: What is run. If its model has the anchor's structure only what differs runs; otherwise it runs
                as it is.
            overlay: Values that stand in for parameters of its model, by name.

        Raises:
            WorkbenchError: From the function too: memory ran out.
        """
        with enough_memory("scoring was prepared"):
            predict = self._prepared(state, overlay)

        def run(numbers: Tensor) -> tuple[Tree, Tree]:
            with enough_memory(f"{len(numbers)} samples were scored"):
                return _brought(predict(numbers))

        return run

    def _prepared(self, state: State, overlay: Mapping[str, Tensor] | None) -> Predict:
        with TURN, torch.inference_mode():
            anchor = self._anchor
            if anchor is None:
                return self.plain(state, overlay)
            values = values_of(state.model, overlay)
            alike = state.model is anchor.model or structure(state.model) == structure(anchor.model)
            if not alike or values.keys() != anchor.values.keys():
                return self.plain(state, overlay)
            changed = {name for name, value in values.items() if not same(value, anchor.values[name])}
            constants = anchor.segments.constants(values, anchor.constants, changed)
            predict = self._from(anchor, anchor.segments.border(changed), constants)
            if state.model is not anchor.model and not self._agrees(predict, self.plain(state, overlay)):
                return self.plain(state, overlay)
            return predict

    def survey(self, state: State, progress: Progress, message: str, visit: Visit) -> None:
        """Call `visit(outputs, targets, numbers)` with all samples, batch by batch, and make the state the anchor.

        The first batches are run in several ways, timed, and the fastest of them is kept for everything later.
        """
        total, done = len(self.samples), 0

        def run(predict: Predict, batch: int) -> float:
            nonlocal done
            progress.update(done / total, message)
            part = torch.arange(done, min(done + batch, total))
            start = time.perf_counter()
            with enough_memory(f"{len(part)} samples were scored"):
                outputs, targets = _brought(predict(part))  # which waits for the device
            seconds = time.perf_counter() - start
            visit(outputs, targets, part)
            done += len(part)
            return seconds / max(len(part), 1)

        predict = self._fastest(state, lambda predict, batch: run(predict, batch) if done < total else None)
        while done < total:
            run(predict, self.batch)
        progress.update(1.0, message)

    def close(self) -> None:
        """Let go of everything that was kept."""
        with TURN:
            self._anchor = None
            self._plans.clear()
            self._borders.clear()
            self.prefixes.clear()

    def _fastest(self, state: State, run: Callable[[Predict, int], float | None]) -> Predict:
        """Return the fastest way of running a state, and make it the one that is used.

        `run` takes a way and a batch size and returns the seconds for a sample, None when the samples are used up.
        """

        def best_of_two(predict: Predict, batch: int) -> float:
            # The first run of a kernel also builds it.
            times = [seconds for seconds in (run(predict, batch), run(predict, batch)) if seconds is not None]
            return min(times, default=float("inf"))

        plain = self.plain(state)
        self.worthwhile = best_of_two(plain, BATCH) * len(self.samples) > self._least
        on_cpu = device_of(state.model) == CPU
        ways: dict[str, Anchor] = {}
        for layout in (LAYOUTS if on_cpu else LAYOUTS[:-1]) if self.worthwhile else ():  # fused kernels are the CPU's
            anchor = self._plans.anchor(state, layout)
            if anchor is not None and self._agrees(self._whole(anchor), plain):
                ways[layout] = anchor
        if not ways:
            self.worthwhile = False
            return plain
        times = {layout: best_of_two(self._whole(anchor), BATCH) for layout, anchor in ways.items()}
        self.layout = min(times, key=times.__getitem__)
        predict = self._whole(ways[self.layout])
        batches = {BATCH: times[self.layout]}
        for batch in BATCHES if on_cpu else BATCHES_ELSEWHERE:
            if batch * 20 <= len(self.samples):
                batches[batch] = best_of_two(predict, batch)
        self.batch = min(batches, key=batches.__getitem__)
        self._settle(ways[self.layout])
        return self._keeping(ways[self.layout])

    def _keeping(self, anchor: Anchor) -> Predict:
        """Return a function that runs the anchor and keeps small values on the way, for edits of late layers."""
        segments, total = anchor.segments, len(self.samples)
        # What a pass needs at once comes out of the same memory.
        while self.batch > SMALLEST and 0 < self.prefixes.memory < 2 * segments.pass_bytes() * self.batch:
            self.batch //= 2
        self.prefixes.reserve(segments.pass_bytes() * self.batch)
        borders, most = [segments.waist(share) for share in WAISTS], WAIST_SHARE * self.prefixes.bound
        worth = [border for border in borders if border and total * segments.row_bytes(border[0]) <= most]

        def predict(numbers: Tensor) -> tuple[Tree, Tree]:
            with TURN, torch.inference_mode():
                for border in worth:
                    self._entering(anchor, border, numbers)
            return self._from(anchor, (segments.output,), anchor.constants)(numbers)

        return predict

    def _whole(self, anchor: Anchor) -> Predict:
        """Return a function that runs the anchor's model from its inputs to its output."""
        segments = anchor.segments

        def predict(numbers: Tensor) -> tuple[Tree, Tree]:
            inputs, targets = self.samples.batch(numbers.tolist())
            with TURN, torch.inference_mode():
                fed = segments.feed(entering(anchor.model, inputs))
                return segments.run(segments.inputs, (segments.output,), fed, anchor.constants)[0], targets

        return predict

    def _settle(self, anchor: Anchor | None) -> None:
        """Make an anchor the current one, and forget the values that are others in it."""
        old, self._anchor = self._anchor, anchor
        if anchor is None or old is None or old.segments is not anchor.segments:
            self.prefixes.clear()
            self._borders.clear()
        else:
            changed = {name for name, value in anchor.values.items() if not same(value, old.values[name])}
            self.prefixes.drop(anchor.segments.depending(changed))

    def _from(self, anchor: Anchor, border: Border, constants: Mapping[str, Tensor]) -> Predict:
        segments, end = anchor.segments, (anchor.segments.output,)

        def predict(numbers: Tensor) -> tuple[Tree, Tree]:
            with TURN, torch.inference_mode():
                if self._anchor is not anchor:
                    self._settle(anchor)
                places, values = self._entering(anchor, border, numbers)
                (outputs,) = segments.run(border, end, values, constants)
                back = torch.empty_like(numbers)
                back[places] = torch.arange(len(numbers))
                return outputs[back], self._targets.of(numbers)

        return predict

    def _entering(self, anchor: Anchor, border: Border, numbers: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the values at a border, in an order that is returned with them."""
        self._borders.add(border)
        known = self.prefixes.has(border, numbers)
        places, missing = torch.arange(len(numbers)), ~known
        parts = [(places[known], self.prefixes.get(border, numbers[known]))] if known.any() else []
        for start in self._nearer(anchor.segments, border) if missing.any() else ():
            usable = missing & self.prefixes.has(start, numbers)
            if usable.any():
                values = self.prefixes.get(start, numbers[usable])
                parts.append((places[usable], anchor.segments.run(start, border, values, anchor.constants)))
                missing &= ~usable
        if missing.any():
            inputs, targets = self.samples.batch(numbers[missing].tolist())
            self._targets.keep(numbers[missing], targets)
            fed = anchor.segments.feed(entering(anchor.model, inputs))
            parts.append((places[missing], anchor.segments.run(anchor.segments.inputs, border, fed, anchor.constants)))
        for chosen, values in parts[1 if known.any() else 0 :]:
            self.prefixes.put(border, numbers[chosen], values)
        if len(parts) == 1:
            return parts[0]
        order = torch.cat([chosen for chosen, _ in parts])
        return order, tuple(torch.cat(values) for values in zip(*(values for _, values in parts), strict=True))

    def _nearer(self, segments: Segments, border: Border) -> list[Border]:
        """Return the borders before this one of which something may be kept, the nearest first."""
        known = [one for one in self._borders if one != border and segments.suffices(one, border)]
        return sorted(known, key=lambda one: segments.steps(one, border))

    def _agrees(self, predict: Predict, plain: Predict) -> bool:
        """Return whether two ways of running a model give the same for a few samples."""
        numbers = torch.arange(min(3, len(self.samples)))
        try:
            for some in (numbers, numbers[:1]):
                (got, _), (wanted, _) = predict(some), plain(some)
                if not isinstance(wanted, Tensor) or not agree(got, wanted, TOLERANCE):
                    return False
        except Exception:  # a graph that does not fit a changed model fails in many ways; it is run as it is then
            return False
        return True


def _brought(pair: tuple[Tree, Tree]) -> tuple[Tree, Tree]:
    """Return outputs and targets on the CPU."""
    return moved(pair[0], CPU), moved(pair[1], CPU)

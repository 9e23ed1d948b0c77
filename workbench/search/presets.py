"""Presets: plain recipes for people who know what they want and not yet how; each step can be changed afterwards.

They promise a size or a speed and nothing of the score, so what their steps cost together is measured and told before
they are done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from workbench import formatting
from workbench.measure import measure_size
from workbench.model.subject import Subject
from workbench.search.trials import Outcome
from workbench.steps import EntropyCode, FineTune, PruneChannels, Quantize
from workbench.steps.recipe import Recipe, run


@dataclass(frozen=True)
class Preset:
    """A recipe that is made for a subject.

    Attributes:
        title: What people want.
        summary: How it goes about it.
        recipe: From a subject to the steps.
        factor: By how much the file is to get smaller, 0 where nothing is said of it.
    """

    title: str
    summary: str
    recipe: Callable[[Subject], Recipe]
    factor: float = 0.0

    def outcome(self, subject: Subject, found: Outcome) -> str:
        """Return what people read of the steps together, measured: the score, its change, and the promise if it fails.

        Args:
            subject: What the recipe was made for.
            found: What its steps come to.
        """
        if found.score is None:
            return f"measured together: these steps cannot be done here: {found.reason}"
        ratio = measure_size(subject.model, subject.codings, subject).total / found.bytes
        short = f", not {self.factor:g} ×" if ratio < self.factor else ""
        return (
            f"measured together: {formatting.score(found.score)}, changed by {formatting.change(found.score)}; "
            f"the file is {formatting.ratio(ratio)} smaller{short}"
        )


def smaller(subject: Subject, factor: float = 4.0) -> Recipe:
    """Return quantization with as many bits as give a file smaller by `factor`, or 2 where none does."""
    limit = measure_size(subject.model, subject.codings, subject).total / factor
    recipe = Recipe()
    for bits in range(8, 1, -1):
        plain = Recipe((Quantize(bits=bits),))
        for recipe in (plain, plain.then(EntropyCode())):
            state = run(subject, recipe)
            if measure_size(state.model, state.codings, subject).total <= limit:
                return recipe
    return recipe


def faster(subject: Subject) -> Recipe:
    """Return what makes integer kernels run, where there is data to calibrate them; else fewer channels."""
    if subject.task.has("calibration"):
        return Recipe((Quantize(activations=8),))
    return Recipe((PruneChannels(round_to=4),))


def smaller_and_faster(subject: Subject) -> Recipe:
    """Return fewer channels, recovery where there is data to train on, and integers."""
    recipe = Recipe((PruneChannels(round_to=4),))
    if subject.task.has("train"):
        recipe = recipe.then(FineTune())
    return recipe.then(Quantize(activations=8 if subject.task.has("calibration") else 0))


PRESETS: dict[str, Preset] = {
    "smaller": Preset("4 × smaller", "As many bits a weight as make the file a quarter.", smaller, 4.0),
    "faster": Preset("Faster", "Integers for weights and activations, which ONNX Runtime has kernels for.", faster),
    "both": Preset(
        "10 × smaller and faster",
        "Half of the channels, recovery by training, then integers. Takes as long as the training.",
        smaller_and_faster,
        10.0,
    ),
}

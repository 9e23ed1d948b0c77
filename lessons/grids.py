# %% [markdown]
# # 5. Grids
#
# A weight takes 32 bits because it may be nearly any number. If it may be only one of sixteen, four bits say which. This
# lesson is about which sixteen: evenly spaced or not, one grid for a layer or one for each channel, and what that costs.

# %% setup
import torch
from torch import Tensor

import workbench as wb
from workbench import lessons

subject = wb.load("digits-transformer")
weights = {
    name: value.detach()
    for name, value in subject.model.named_parameters()
    if name.endswith("weight") and value.ndim > 1
}
weight = weights["blocks.1.mlp.0.weight"]

# %%
from widgets.lesson import CourseNotebook
from widgets.lesson.tools import LevelEditor

lesson = CourseNotebook("grids")
session = wb.Session(subject, wb.Settings(seconds=0.3, runtimes=("onnxruntime",)))

# %% [markdown]
# ## Four values for a whole layer
#
# Two bits say one of four. The weights of this layer lie between −0.44 and 0.47; put four levels at equal distances over
# that range, and round every weight to the nearest.

# %%
lesson.predict("even")

# %%
editor = LevelEditor(weight, "blocks.1.mlp.0")
even = 100 * editor.error(editor.even_places(4))
lesson.reveal("even", lessons.counted(even, f"{even:.1f} %"))

# %% [markdown]
# Now do better. Drag the lines (or type into the fields below them) until the error is as small as you can make it; then
# press *Show k-means*, and see how near you came to what an algorithm finds.

# %%
lesson.show(editor)

# %% [markdown]
# ## Your turn: scale and zero point
#
# Processors like even grids, because a code times a number is the value: `value = scale * (code - zero_point)`, with codes
# from 0 to 2^bits − 1. Write the function that fits such a grid to a range.
#
# **Approach.** 1. Zero must be a value of the grid, or a padded zero would become something else: widen the range until it
# holds 0. 2. How many *steps* lie between the first code and the last? 3. The zero point is the code that 0 gets: a whole
# number.
#
# **Hints.** With 2 bits there are 4 codes, and 3 steps between them.


# %% solution id=scale_and_zero_point
def scale_and_zero_point(low: float, high: float, bits: int) -> tuple[float, int]:
    """Return scale and zero point of the grid of 2**bits codes over a range.

    Args:
        low: Smallest value to be held.
        high: Largest.
        bits: Of a code.
    """
    ### BEGIN SOLUTION
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / (2**bits - 1)
    return scale, round(-low / scale)
    ### END SOLUTION


# %% test id=scale_and_zero_point points=3
lessons.expect(
    scale_and_zero_point(-1.0, 2.0, 2),
    (1.0, 1),
    {
        "between 4 codes there are 3 steps, not 4: divide by 2**bits - 1": (0.75, 1),
        "the zero point is the code of 0, and codes begin at `low`: it is -low / scale": (1.0, 0),
        "the zero point has the wrong sign": (1.0, -1),
    },
    what="scale_and_zero_point(-1, 2, 2)",
)
lessons.expect(
    scale_and_zero_point(1.0, 3.0, 2),
    (1.0, 0),
    {"the range 1 to 3 does not hold 0: widen it first": (2 / 3, -2)},
    what="scale_and_zero_point(1, 3, 2)",
)
### BEGIN HIDDEN TESTS
scale, zero_point = scale_and_zero_point(-0.3, 0.91, 4)
assert isinstance(zero_point, int), "the zero point is a code, and codes are whole numbers: round it"
lessons.expect((scale, zero_point), (1.21 / 15, 4), what="scale_and_zero_point(-0.3, 0.91, 4)")
### END HIDDEN TESTS


# %% wrong id=scale_and_zero_point says="3 steps"
def scale_and_zero_point(low, high, bits):
    scale = (max(high, 0) - min(low, 0)) / 2**bits
    return scale, round(-min(low, 0) / scale)


# %% wrong id=scale_and_zero_point says="widen it first"
def scale_and_zero_point(low, high, bits):
    scale = (high - low) / (2**bits - 1)
    return scale, round(-low / scale)


# %% [markdown]
# ## Your turn: there and back
#
# **Approach.** Divide by the scale, round, shift by the zero point, **clamp** to the codes that there are, and go back.
#
# **Hints.** `torch.round`; `.clamp(0, 2**bits - 1)`. What is beyond the range must end at its edge, not wrap around.


# %% solution id=round_to_grid
def round_to_grid(values: Tensor, scale: float, zero_point: int, bits: int) -> Tensor:
    """Return each value as the nearest value of the grid.

    Args:
        values: Of any shape.
        scale: Distance between neighbours.
        zero_point: Code of 0.
        bits: Of a code.
    """
    ### BEGIN SOLUTION
    codes = (torch.round(values / scale) + zero_point).clamp(0, 2**bits - 1)
    return scale * (codes - zero_point)
    ### END SOLUTION


# %% test id=round_to_grid points=3
trial = torch.tensor([-1.2, -0.4, 0.6, 1.4, 9.0])
lessons.expect(
    round_to_grid(trial, 1.0, 1, 2),
    torch.tensor([-1.0, 0.0, 1.0, 1.0, 2.0]),
    {
        "9 is beyond the grid, whose last value is 2: clamp the codes": torch.tensor([-1.0, 0.0, 1.0, 1.0, 9.0]),
        "these are codes; multiply back to values": torch.tensor([0.0, 1.0, 2.0, 2.0, 3.0]),
        "you cut the digits off instead of rounding: 0.6 is nearer to 1": torch.tensor([-1.0, 0.0, 0.0, 1.0, 2.0]),
        "this rounds down: -0.4 is nearer to 0 than to -1, and 0.6 to 1": torch.tensor([-1.0, -1.0, 0.0, 1.0, 2.0]),
    },
    what="round_to_grid(trial, 1, 1, 2)",
)
### BEGIN HIDDEN TESTS
spread = torch.linspace(-2, 2, 101)
lessons.expect(len(round_to_grid(spread, 0.25, 8, 4).unique()), 16, what="the number of different values on 4 bits")
lessons.expect(round_to_grid(torch.zeros(2, 3), 0.3, 5, 3), torch.zeros(2, 3), what="zero on the grid")
### END HIDDEN TESTS


# %% wrong id=round_to_grid says="clamp"
def round_to_grid(values, scale, zero_point, bits):
    return scale * torch.round(values / scale)


# %% wrong id=round_to_grid says="instead of rounding"
def round_to_grid(values, scale, zero_point, bits):
    codes = ((values / scale).trunc() + zero_point).clamp(0, 2**bits - 1)
    return scale * (codes - zero_point)


# %% [markdown]
# ## One grid for a layer, or one for each channel?

# %%
lesson.predict("channel")

# %% [markdown]
# Your functions, on 3 bits: once with the range of the whole tensor, once with the range of each row (an output channel).


# %%
def on_grid(values: Tensor, bits: int) -> Tensor:
    return round_to_grid(values, *scale_and_zero_point(values.min().item(), values.max().item(), bits), bits)


def by_channel(values: Tensor, bits: int) -> Tensor:
    return torch.stack([on_grid(row, bits) for row in values])


whole = lessons.score_weights(session, {name: on_grid(value, 3) for name, value in weights.items()})
rows = lessons.score_weights(session, {name: by_channel(value, 3) for name, value in weights.items()})
lesson.reveal("channel", {"tensor": lessons.points_lost(whole), "channel": lessons.points_lost(rows)})

# %% [markdown]
# ## Fewer and fewer bits

# %%
lesson.predict("curve")

# %%
lesson.reveal(
    "curve",
    [
        lessons.points(
            lessons.score_weights(session, {name: by_channel(value, bits) for name, value in weights.items()})
        )
        for bits in (8, 6, 5, 4, 3, 2)
    ],
)

# %% [markdown]
# ## Uneven levels
#
# k-means puts levels where the weights are, powers of two make them dense around zero. Neither is an even grid, so neither
# runs on integer kernels; both make a small file.

# %%
lesson.predict("rule")

# %%
lost = {}
steps = {
    "grid": wb.Quantize(bits=3),
    "means": wb.ShareWeights(bits=3),
    "powers": wb.QuantizeLogarithmic(bits=3),
}
for key, step in steps.items():
    session.reset()
    lost[key] = lessons.points_lost(session.apply(step).score)
lesson.reveal("rule", lost)

# %% [markdown]
# And with 2 bits, where four values have to do?

# %%
lesson.predict("two")

# %%
session.reset()
grid = session.apply(wb.Quantize(bits=2)).score
session.reset()
means = session.apply(wb.ShareWeights(bits=2)).score
lesson.reveal("two", {"grid": lessons.points_lost(grid), "means": lessons.points_lost(means)})

# %% [markdown]
# ## Your turn: one round of k-means
#
# **Approach.** Give every value to its nearest level; then move each level to the mean of its values. A level that nobody
# is near stays where it is.
#
# **Hints.** `(values[:, None] - levels[None, :]).abs().argmin(1)` numbers the nearest level of each value.


# %% solution id=kmeans_round
def kmeans_round(values: Tensor, levels: Tensor) -> Tensor:
    """Return better levels.

    Args:
        values: [N].
        levels: [K].
    """
    ### BEGIN SOLUTION
    nearest = (values[:, None] - levels[None, :]).abs().argmin(1)
    better = levels.clone()
    for place in range(len(levels)):
        own = values[nearest == place]
        if len(own):
            better[place] = own.mean()
    return better
    ### END SOLUTION


# %% test id=kmeans_round points=3
values, levels = torch.tensor([0.0, 1.0, 2.0, 10.0, 12.0]), torch.tensor([0.0, 9.0, 50.0])
lessons.expect(
    kmeans_round(values, levels),
    torch.tensor([1.0, 11.0, 50.0]),
    {
        "a level that no value is near became nan: the mean of nothing. Leave it where it is": torch.tensor(
            [1.0, 11.0, float("nan")]
        ),
        "a level that no value is near went to zero: leave it where it is": torch.tensor([1.0, 11.0, 0.0]),
    },
    what="kmeans_round(values, levels)",
)
lessons.expect(levels, torch.tensor([0.0, 9.0, 50.0]), what="the levels that were given (make a copy before you write)")
### BEGIN HIDDEN TESTS
better = torch.tensor([-1.0, 0.0, 1.0])
drawn = torch.randn(300, generator=torch.Generator().manual_seed(2))
for _ in range(30):
    better = kmeans_round(drawn, better)
lessons.expect(kmeans_round(drawn, better), better, what="levels that have come to rest")
### END HIDDEN TESTS


# %% wrong id=kmeans_round says="mean of nothing"
def kmeans_round(values, levels):
    nearest = (values[:, None] - levels[None, :]).abs().argmin(1)
    return torch.stack([values[nearest == place].mean() for place in range(len(levels))])


# %% wrong id=kmeans_round says="make a copy"
def kmeans_round(values, levels):
    nearest = (values[:, None] - levels[None, :]).abs().argmin(1)
    for place in range(len(levels)):
        if (nearest == place).any():
            levels[place] = values[nearest == place].mean()
    return levels


# %% [markdown]
# ## The file

# %%
lesson.predict("file")

# %%
session.reset()
before, now = session.baseline, session.apply(wb.Quantize(bits=4))
part = 100 * now.bytes.total / before.bytes.total
lesson.reveal(
    "file",
    lessons.counted(part, f"{part:.1f} %: {now.bytes.total:,} of {before.bytes.total:,} bytes"),
    eighth=lessons.counted(12.5),
)

# %% [markdown]
# ## Break it
#
# One weight of each tensor, 14 of 127,616, becomes ten times as large. What does that do to a grid of 4 bits over the whole tensor?

# %%
lesson.predict("outlier")

# %%
spoilt = {name: value.clone() for name, value in weights.items()}
for value in spoilt.values():
    value.flatten()[value.abs().argmax()] *= 10
fine = lessons.score_weights(session, {name: on_grid(value, 4) for name, value in weights.items()})
broken = lessons.score_weights(session, {name: on_grid(value, 4) for name, value in spoilt.items()})
float_only = lessons.score_weights(session, spoilt)
print(f"4 bits: {fine.value:.1%}; outliers and floats: {float_only.value:.1%}; outliers and 4 bits: {broken.value:.1%}")
lesson.reveal("outlier", lessons.points_lost(broken))

# %% [markdown]
# ## What you know now
#
# A grid is a range cut into steps. Its error grows with the range, so one outlier spoils it, and each channel is better off
# with a grid of its own. Levels that follow the weights need fewer bits, but integer kernels want even ones: lesson 6.
#
# In [the panel](../workbench.ipynb): *Quantize*, *Share weights*, *Quantize to powers of two*.

# %%
session.close()

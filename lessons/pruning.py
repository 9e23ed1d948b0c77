# %% [markdown]
# # 2. Pruning single weights
#
# A trained net has far more weights than it needs. In this lesson you set the unimportant ones to zero: you find out how
# many can go, which layers can spare them, what that does to the file and what it does not do to the time.
#
# How to work: each section asks you something **before** it measures it. Say what you think, then run the cells. A wrong
# guess costs nothing; it is how you find out what you believed. Every number is measured here, now, on your machine.

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

# %%
from widgets.lesson import CourseNotebook
from widgets.lesson.tools import MaskTool
from workbench import charts, inspection

lesson = CourseNotebook("pruning")
session = wb.Session(subject, wb.Settings(seconds=0.3, runtimes=("onnxruntime",)))

# %% [markdown]
# `digits-transformer` is a small vision transformer that reads handwritten digits. The workbench scores it on 2,400 validation
# images; that score is what you spend.

# %%
score = session.reference().score
print(f"accuracy {score.value:.2%} on {score.total:,} images, {sum(w.numel() for w in weights.values()):,} weights")

# %% [markdown]
# ## How large are weights?

# %%
lesson.predict("small")

# %%
weight = weights["blocks.1.mlp.0.weight"]
lesson.figure(charts.weight_histogram(inspection.histogram(weight)).figure, "Weights of blocks.1.mlp.0")
small = 100 * (weight.abs() < weight.abs().max() / 10).double().mean().item()
lesson.reveal("small", lessons.counted(small, f"{small:.1f} %"))

# %% [markdown]
# ## A threshold and a mask
#
# To prune by magnitude means: choose how many weights go, find the threshold below which that many lie, set what is below
# it to zero. The **mask** is 1 where a weight stays and 0 where it goes. Move the slider: the number that is printed as
# *threshold* is the largest magnitude that went.

# %%
lesson.show(MaskTool(weight, "blocks.1.mlp.0"))

# %% [markdown]
# ### Your turn: `magnitude_mask`
#
# Write the function that makes the mask of a whole tensor.
#
# **Approach.** 1. How many weights go? `amount` is a part of all of them: round it to a whole number `k`. 2. The
# threshold is the k-th smallest *magnitude*: `torch.kthvalue` finds it, in a flat tensor. 3. What is larger stays.
#
# **Hints.** If `k` is 0, nothing goes, and there is no 0-th value. The mask has the shape of the weight and the same
# type, so that `weight * mask` works.


# %% solution id=magnitude_mask
def magnitude_mask(weight: Tensor, amount: float) -> Tensor:
    """Return 1.0 where a weight stays and 0.0 where it goes.

    Args:
        weight: Of any shape.
        amount: Part of the weights that goes, 0 to 1; the smallest magnitudes go.
    """
    ### BEGIN SOLUTION
    k = round(amount * weight.numel())
    if k == 0:
        return torch.ones_like(weight)
    threshold = weight.abs().flatten().kthvalue(k).values
    return (weight.abs() > threshold).to(weight.dtype)
    ### END SOLUTION


# %% test id=magnitude_mask points=3
trial = torch.tensor([[0.1, -0.9, 0.3], [-0.2, 0.7, -0.05]])
right = torch.tensor([[0.0, 1.0, 1.0], [0.0, 1.0, 0.0]])
lessons.expect(
    magnitude_mask(trial, 0.5),
    right,
    {
        "your mask is the wrong way round: it keeps the small weights": 1 - right,
        "you compare weights and not magnitudes: -0.9 is a large weight": torch.tensor(
            [[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]
        ),
        "amount is a part of the *number* of weights; you took it for a part of the largest": torch.tensor(
            [[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]]
        ),
        "this is the pruned weight; the mask is 0 and 1": trial * right,
    },
    what="magnitude_mask(trial, 0.5)",
)
lessons.expect(magnitude_mask(trial, 0.0), torch.ones_like(trial), what="the mask of amount 0")
### BEGIN HIDDEN TESTS
for amount in (0.25, 0.7, 1.0):
    wide = torch.randn(8, 4, 3, 3, generator=torch.Generator().manual_seed(3))
    mask = magnitude_mask(wide, amount)
    lessons.expect(int((mask == 0).sum()), round(amount * wide.numel()), what=f"the number of zeros at amount {amount}")
    if amount < 1:
        assert wide[mask == 0].abs().max() < wide[mask == 1].abs().min(), (
            "a weight went that is larger than one that stays"
        )
### END HIDDEN TESTS


# %% wrong id=magnitude_mask says="wrong way round"
def magnitude_mask(weight, amount):
    k = round(amount * weight.numel())
    if k == 0:
        return torch.zeros_like(weight)
    return (weight.abs() <= weight.abs().flatten().kthvalue(k).values).to(weight.dtype)


# %% wrong id=magnitude_mask says="magnitudes"
def magnitude_mask(weight, amount):
    k = round(amount * weight.numel())
    return (weight > weight.flatten().kthvalue(k).values).to(weight.dtype)


# %% wrong id=magnitude_mask says="part of the *number*"
def magnitude_mask(weight, amount):
    return (weight.abs() > amount * weight.abs().max()).to(weight.dtype)


# %% [markdown]
# ## Half of the net

# %%
lesson.predict("half")

# %% [markdown]
# Your function, on every layer. `lessons.score_weights` scores the net with other weights, image by image against the
# untouched one; the interval says what *other* digits would give.


# %%
def pruned(amount: float) -> dict[str, Tensor]:
    return {name: value * magnitude_mask(value, amount) for name, value in weights.items()}


lesson.reveal("half", lessons.points_lost(lessons.score_weights(session, pruned(0.5))))

# %% [markdown]
# ## And more than half?

# %%
lesson.predict("curve")

# %%
amounts = (0.0, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
lesson.reveal("curve", [lessons.points(lessons.score_weights(session, pruned(amount))) for amount in amounts])

# %% [markdown]
# ## One layer at a time

# %%
lesson.predict("which")

# %%
alone = {
    layer: lessons.score_weights(session, {f"{layer}.weight": pruned(0.8)[f"{layer}.weight"]})
    for layer in ("embed", "blocks.1.mlp.0", "blocks.2.attention.qkv", "fc")
}
lesson.reveal("which", {layer: lessons.points_lost(found) for layer, found in alone.items()})

# %% [markdown]
# The panel does this for every layer and several amounts: *Sensitivity*. Here it is in code, on the layers of the first
# block; a cell with ~ is a drop that may be none.

# %%
table = session.sensitivity(wb.Prune(layers="embed, blocks.0.*, fc"), amounts=(0.5, 0.8), tolerance=0.02)
lesson.figure(charts.sensitivity_map(table).figure, "Points lost, layer by amount")

# %% [markdown]
# ## One budget for all layers
#
# Pruning 60 % can mean 60 % of every layer, or 60 % of all weights together.
#
# ### Your turn: `global_masks`
#
# **Approach.** Put the magnitudes of all tensors into one flat tensor, find *one* threshold in it as before, and compare
# every tensor with that.
#
# **Hints.** `torch.cat([... .flatten() for ...])`. Use what you have learnt about `k == 0`.


# %% solution id=global_masks
def global_masks(weights: dict[str, Tensor], amount: float) -> dict[str, Tensor]:
    """Return a mask for each tensor, of which a part `amount` of all values together is zero.

    Args:
        weights: Tensors by their names.
        amount: Part of all their values that goes; the smallest magnitudes of all go, wherever they are.
    """
    ### BEGIN SOLUTION
    magnitudes = torch.cat([value.abs().flatten() for value in weights.values()])
    k = round(amount * magnitudes.numel())
    threshold = magnitudes.kthvalue(k).values if k else -1.0
    return {name: (value.abs() > threshold).to(value.dtype) for name, value in weights.items()}
    ### END SOLUTION


# %% test id=global_masks points=3
two = {"wide": torch.tensor([[0.1, -0.2, 0.3, -0.15]]), "narrow": torch.tensor([[1.0, -2.0]])}
found = global_masks(two, 0.5)
assert set(found) == set(two), "the masks should have the names of the tensors"
lessons.expect(
    torch.cat([found["wide"], found["narrow"]], 1),
    torch.tensor([[0.0, 0.0, 1.0, 0.0, 1.0, 1.0]]),
    {
        "this is half of *each* tensor; one threshold takes all three from the wide one": torch.tensor(
            [[0.0, 0.0, 1.0, 0.0, 0.0, 1.0]]
        ),
        "this is half of *each* tensor; one threshold takes three of the wide one and none of the narrow one": torch.tensor(
            [[0.0, 1.0, 1.0, 0.0, 0.0, 1.0]]
        ),
        "you let the large weights go": torch.tensor([[1.0, 1.0, 0.0, 1.0, 0.0, 0.0]]),
    },
    what="the masks of 0.1, -0.2, 0.3, -0.15 and 1, -2",
)
### BEGIN HIDDEN TESTS
lessons.expect(float(global_masks(two, 0.0)["wide"].sum()), 4.0, what="the number of weights that stay at amount 0")
drawn = torch.Generator().manual_seed(1)
many = {str(n): torch.randn(5, 3 + n, generator=drawn) * (n + 1) for n in range(4)}
gone = sum(int((mask == 0).sum()) for mask in global_masks(many, 0.6).values())
lessons.expect(gone, round(0.6 * sum(value.numel() for value in many.values())), what="the number of zeros")
### END HIDDEN TESTS


# %% wrong id=global_masks says="half of *each* tensor"
def global_masks(weights, amount):
    masks = {}
    for name, value in weights.items():
        k = round(amount * value.numel())
        threshold = value.abs().flatten().kthvalue(k).values if k else -1.0
        masks[name] = (value.abs() > threshold).to(value.dtype)
    return masks


# %%
lesson.predict("ranking")

# %%
masks = global_masks(weights, 0.6)
together = lessons.score_weights(session, {name: value * masks[name] for name, value in weights.items()})
each = lessons.score_weights(session, pruned(0.6))
lesson.reveal("ranking", {"local": lessons.points(each), "global": lessons.points(together)})

# %%
for name, mask in masks.items():
    print(f"{name:28} {mask.numel():>6,} weights, {mask.mean().item():>4.0%} stay")

# %% [markdown]
# ### Your turn: amounts of your own
#
# Which amount for which layer? You have seen who minds. Choose an amount for each, so that at least 60 % of all weights are zero, and
# lose fewer points than 60 % of each layer does. The cell says how far you are; change it until you have beaten the uniform one.


# %% solution id=amounts
def amounts(names: list[str]) -> dict[str, float]:
    """Return the part of each tensor's weights that goes, 0 to 1.

    Args:
        names: Of the tensors: "embed.weight", "blocks.0.attention.qkv.weight", … "fc.weight".
    """
    ### BEGIN SOLUTION
    return {name: 0.3 if name in ("embed.weight", "fc.weight") else 0.62 for name in names}
    ### END SOLUTION


# %% test id=amounts points=3
mine = amounts(list(weights))
assert set(mine) == set(weights), "there should be an amount for each tensor, by its name"
assert all(0 <= amount <= 1 for amount in mine.values()), "an amount is a part: from 0 to 1"
zeros = sum(round(mine[name] * value.numel()) for name, value in weights.items())
part = zeros / sum(value.numel() for value in weights.values())
assert part >= 0.6, f"{part:.1%} of all weights go, and at least 60 % should: small tensors hardly count, large ones do"
assert len(set(mine.values())) > 1, "the same amount for all is what you are to beat"
careful = max(mine["embed.weight"], mine["fc.weight"])
assert careful < 0.6, "the first and the last layer minded most in what you measured: spare them"


# %% wrong id=amounts says="small tensors hardly count"
def amounts(names):
    return {name: 0.9 if name in ("fc.weight", "embed.weight") else 0.5 for name in names}


# %% wrong id=amounts says="what you are to beat"
def amounts(names):
    return dict.fromkeys(names, 0.6)


# %% wrong id=amounts says="spare them"
def amounts(names):
    return {name: 0.95 if name == "embed.weight" else 0.65 for name in names}


# %%
own = lessons.score_weights(
    session, {name: value * magnitude_mask(value, mine[name]) for name, value in weights.items()}
)
print(f"{part:.1%} zeros: yours {own.value:.2%}, 60 % of each layer {each.value:.2%}")

# %% [markdown]
# ## The file, and the time

# %%
lesson.predict("file")
lesson.predict("time")

# %% [markdown]
# `session.apply` does a step for good, and measures everything: bytes of the file that would be written, and the time
# against the untouched net, both in turn.

# %%
before, now = session.baseline, session.apply(wb.Prune(amount=0.5))
part = 100 * now.bytes.total / before.bytes.total
indexed = 100 * (8 * now.nonzero) / (4 * before.params)  # 4 bytes of value and 4 of position for each that stays
lesson.reveal(
    "file",
    lessons.counted(part, f"{part:.1f} %: {now.bytes.total:,} of {before.bytes.total:,} bytes"),
    half=lessons.counted(50.0),
    same=lessons.counted(100.0),
    indexed=lessons.counted(indexed),
)

# %%
lesson.reveal("time", lessons.fewer_seconds(now.latency["onnxruntime"]))

# %% [markdown]
# ## Break it
#
# How few weights can you take to ruin the net? Find a single layer and an amount below 100 % that bring the accuracy under
# 50 %, with as few zeros as you can. Then find out whether *which* weights go matters: take the same number by chance
# (`importance="random"`). What does that say of the magnitude as a criterion? Lesson 4 has better ones.

# %%
broken = lessons.score_weights(
    session, {"embed.weight": weights["embed.weight"] * magnitude_mask(weights["embed.weight"], 0.9)}
)
print(f"{broken.value:.1%} with {round(0.9 * weights['embed.weight'].numel())} zeros in embed")

# %% [markdown]
# ## What you know now
#
# Weights pile up around zero, so that the smaller half is nearly free and the last tenth is everything. Layers differ, and
# only measuring tells how. A file can leave zeros out; a processor multiplies by them all the same. What was lost comes
# back with training: lesson 7.
#
# In [the panel](../workbench.ipynb): *Prune weights*, *Sensitivity*, *Budget*.

# %%
session.close()

# %% [markdown]
# # 3. Whole channels
#
# Single zeros save no time (lesson 2). Whole channels do: the layer gets narrower, and so does every layer that reads it. In
# this lesson you find out which channels hang together, how much arithmetic goes with them, and how much time.

# %% setup
import torch
from torch import Tensor

import workbench as wb
from workbench import lessons

subject = wb.load("digits-resnet")

# %%
from widgets.lesson import CourseNotebook

lesson = CourseNotebook("channels")
session = wb.Session(subject, wb.Settings(seconds=1.0, tolerance=0.01, runtimes=("onnxruntime",)))

# %% [markdown]
# ## What hangs together?
#
# `digits-resnet` has 22 layers. In a residual net x + f(x) adds channel by channel, so channel 5 of one layer cannot go
# without channel 5 of all layers that are added to it. What must go together is a *coupled group*.

# %%
lesson.predict("groups")

# %%
for group in session.groups:
    print(f"{len(group.units):>3} channels of {', '.join(group.layers)}")
lesson.reveal("groups", lessons.counted(len(session.groups)), layers=lessons.counted(len(session.layers)))

# %% [markdown]
# ### Your turn: `coupled`
#
# **Approach.** You get pairs of layers whose channels are added. Begin with a group for each layer; for each pair, join the
# two groups that hold them.
#
# **Hints.** "a with b" and "b with c" put a and c together too, though no pair says so.


# %% solution id=coupled
def coupled(layers: list[str], pairs: list[tuple[str, str]]) -> list[set[str]]:
    """Return the groups of layers whose channels go together.

    Args:
        layers: All layers.
        pairs: Layers whose outputs are added.
    """
    ### BEGIN SOLUTION
    groups = [{layer} for layer in layers]
    for pair in pairs:
        touched = [group for group in groups if group & set(pair)]
        groups = [group for group in groups if not group & set(pair)] + [set().union(*touched)]
    return groups
    ### END SOLUTION


# %% test id=coupled points=3
names = ["a", "b", "c", "d", "e"]
found = sorted(map(sorted, coupled(names, [("a", "b"), ("c", "d"), ("b", "c")])))
assert ["e"] in found, f"{found}: a layer that is added to nothing is a group of its own"
assert found == [["a", "b", "c", "d"], ["e"]], f"{found}: b with c joins the group of a and b with that of c and d"
### BEGIN HIDDEN TESTS
assert sorted(map(sorted, coupled(["x"], []))) == [["x"]]
assert len(coupled([str(n) for n in range(20)], [(str(n), str(n + 2)) for n in range(18)])) == 2
### END HIDDEN TESTS


# %% wrong id=coupled says="joins the group"
def coupled(layers, pairs):
    groups = [{layer} for layer in layers]
    for one, other in pairs:
        for group in groups:
            if one in group:
                group.add(other)
    seen = []
    for layer in layers:
        best = max((group for group in groups if layer in group), key=len)
        if best not in seen and not any(layer in other for other in seen):
            seen.append(best)
    return seen


# %% wrong id=coupled says="group of its own"
def coupled(layers, pairs):
    return [set(pair) for pair in pairs]


# %% [markdown]
# ### Your turn: `cut_channels`
#
# A plain pair of convolutions: what the first one gives, the second one reads. Keep some channels between them, and no others.
#
# **Approach.** Rank the channels by the norm of the weights that *read* them in the second layer; keep the `count` largest, in their
# old order; take them out of the outputs of the first and the inputs of the second.
#
# **Hints.** `weight[kept]` chooses along the first dimension, `weight[:, kept]` along the second. `second.transpose(0, 1).flatten(1)` has a row for each channel.


# %% solution id=cut_channels
def cut_channels(first: Tensor, second: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return both weights with `count` channels between them.

    Args:
        first: [channels, inputs, kernel, kernel], whose outputs are the channels.
        second: [outputs, channels, kernel, kernel], which reads them.
        count: Channels that stay.
    """
    ### BEGIN SOLUTION
    kept = second.transpose(0, 1).flatten(1).norm(dim=1).topk(count).indices.sort().values
    return first[kept], second[:, kept]
    ### END SOLUTION


# %% test id=cut_channels points=3
first = torch.arange(4.0).view(4, 1, 1, 1) + 1
second = torch.tensor([[3.0, 0.1, -5.0, 1.0]]).view(1, 4, 1, 1)
found = cut_channels(first, second, 2)
lessons.expect(
    found,
    (first[[0, 2]], second[:, [0, 2]]),
    {
        "these channels are the first ones, and not those that matter most": (first[:2], second[:, :2]),
        "the channels are ranked from small to large here: keep the *largest* norms": (
            first[[1, 3]],
            second[:, [1, 3]],
        ),
        "−5 is read strongly: a norm has no sign": (first[[0, 3]], second[:, [0, 3]]),
        "keep them in their old order; nothing else has to be sorted then": (first[[2, 0]], second[:, [2, 0]]),
        "the second layer still reads channels that are gone: cut its inputs too": (first[[0, 2]], second),
    },
    what="cut_channels(first, second, 2)",
)
### BEGIN HIDDEN TESTS
drawn = torch.Generator().manual_seed(0)
wide, narrow = torch.randn(8, 3, 3, 3, generator=drawn), torch.randn(5, 8, 3, 3, generator=drawn)
narrow[:, 6] = 0.0
outer, inner = cut_channels(wide, narrow, 7)
image = torch.randn(2, 3, 9, 9, generator=drawn)
through = torch.nn.functional.conv2d
lessons.expect(
    through(through(image, outer), inner),
    through(through(image, wide), narrow),
    what="what both layers give, where only a channel went that nobody reads",
)
### END HIDDEN TESTS


# %% wrong id=cut_channels says="the first ones"
def cut_channels(first, second, count):
    return first[:count], second[:, :count]


# %% wrong id=cut_channels says="cut its inputs too"
def cut_channels(first, second, count):
    return first[second.transpose(0, 1).flatten(1).norm(dim=1).topk(count).indices.sort().values], second


# %% [markdown]
# ## How much arithmetic goes?

# %%
lesson.predict("macs")

# %% [markdown]
# ### Your turn: `conv_macs`
#
# **Approach.** Each value of the output is a sum over all input channels and all places of the kernel. How many values are
# there, and how many products does each take?


# %% solution id=conv_macs
def conv_macs(inputs: int, outputs: int, kernel: int, height: int, width: int) -> int:
    """Return the multiply-accumulates of a convolution for one sample.

    Args:
        inputs: Channels that enter.
        outputs: Channels that leave.
        kernel: Side of the kernel.
        height: Of the output.
        width: Of the output.
    """
    ### BEGIN SOLUTION
    return inputs * outputs * kernel**2 * height * width
    ### END SOLUTION


# %% test id=conv_macs points=2
lessons.expect(
    conv_macs(16, 32, 3, 10, 8),
    368640,
    {
        "a kernel of side 3 has 9 places": 122880,
        "these are the weights; each is used at every place of the output": 4608,
        "every output channel sums over *all* input channels": 23040,
    },
    what="the MACs of 16 → 32 channels, 3 × 3, to 10 × 8",
)
### BEGIN HIDDEN TESTS
lessons.expect(conv_macs(3, 5, 1, 7, 2), 210, what="the MACs of 3 → 5 channels, 1 × 1, to 7 × 2")
### END HIDDEN TESTS


# %% wrong id=conv_macs says="9 places"
def conv_macs(inputs, outputs, kernel, height, width):
    return inputs * outputs * kernel * height * width


# %% wrong id=conv_macs says="these are the weights"
def conv_macs(inputs, outputs, kernel, height, width):
    return inputs * outputs * kernel**2


# %%
whole, narrow = conv_macs(64, 64, 3, 8, 8), conv_macs(45, 45, 3, 8, 8)
print(f"a layer of 64 channels: {whole:,} MACs; of 45, 30 % fewer: {narrow:,}, which is {narrow / whole:.0%}")
cut = session.apply(wb.PruneChannels(amount=0.3))
part = 100 * cut.macs / session.baseline.macs
lesson.reveal("macs", lessons.counted(part, f"{part:.1f} %"), linear=lessons.counted(70.0))

# %% [markdown]
# ## And the time?

# %%
lesson.predict("time")

# %%
lesson.reveal("time", lessons.fewer_seconds(cut.latency["onnxruntime"]))

# %% [markdown]
# ## Odd widths
#
# 30 % of 16 channels leaves 11, of 32 leaves 22. Kernels work on 8 or 16 channels at a time. `round_to=8` removes only so
# many that a multiple of 8 stays: fewer go, and more arithmetic stays.

# %%
lesson.predict("odd")

# %%
session.reset()
rounded = session.apply(wb.PruneChannels(amount=0.3, round_to=8))
print(
    f"arithmetic left: {cut.macs / session.baseline.macs:.0%} with any width, {rounded.macs / session.baseline.macs:.0%} in eights"
)
lesson.reveal(
    "odd",
    {
        "any": lessons.times_faster(cut.latency["onnxruntime"]),
        "eights": lessons.times_faster(rounded.latency["onnxruntime"]),
    },
)

# %% [markdown]
# ## What does it cost?

# %%
lesson.predict("score")

# %%
accuracy = cut.score
lesson.reveal(
    "score", lessons.Measured(100 * accuracy.value, 100 * accuracy.low, 100 * accuracy.high, f"{accuracy.value:.1%}")
)

# %% [markdown]
# It comes back with training (lesson 7): run `session.apply(wb.FineTune(epochs=1))` on the rounded net if you have a minute.
#
# ## Break it
#
# Prune 30 % of the channels of `layer3.*` alone, then of `layer1.*` alone. Which saves more bytes, which more arithmetic, which
# more time? Guess first.
#
# ## What you know now
#
# Channels go in groups. Arithmetic falls with the square of the width, because inputs and outputs both get fewer. Time falls
# with what a kernel does at once: keep to multiples of 8, and measure.
#
# In [the panel](../workbench.ipynb): *Prune channels*, *Cut channels*, the map with its coupled groups, *Structure*.

# %%
session.close()

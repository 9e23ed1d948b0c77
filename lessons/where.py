# %% [markdown]
# # 1. Where are the bytes, where is the time?
#
# Before anything is compressed, look. Where a net keeps its bytes and where it spends its arithmetic are two places, and most
# people guess both wrong.
#
# How to work: each section asks you something **before** it measures it. Say what you think, then run the cells. A wrong
# guess costs nothing; it is how you find out what you believed. Every number is measured here, now, on your machine.

# %% setup
import workbench as wb
from workbench import lessons

subject = wb.load("digits-resnet")

# %%
from widgets.lesson import CourseNotebook

lesson = CourseNotebook("where")
session = wb.Session(subject, wb.Settings(seconds=0.5, runtimes=("eager", "onnxruntime")))
layers = {layer.name: layer for layer in session.layers}

# %% [markdown]
# `digits-resnet` is a residual net in three stages. From stage to stage the image gets half as high and half as wide, and
# the number of channels doubles: 16, 32, 64.
#
# ## The bytes

# %%
lesson.predict("bytes")


# %%
def stage(name: str, fact: str) -> int:
    return sum(getattr(layer, fact) for key, layer in layers.items() if key.startswith(name))


stages = ("layer1", "layer2", "layer3")
whole = sum(layer.params for layer in layers.values())
lesson.reveal(
    "bytes",
    lessons.counted(100 * stage("layer3", "params") / whole, f"{stage('layer3', 'params') / whole:.0%}"),
    third=lessons.counted(100 / 3),
)

# %% [markdown]
# ## The arithmetic
#
# A multiply-accumulate (MAC) is one product that is added to a sum. Nearly all of a net's arithmetic is made of them.

# %%
lesson.predict("macs")

# %%
for name in stages:
    print(f"{name}: {stage(name, 'params'):>8,} weights, {stage(name, 'macs'):>11,} MACs")
lesson.reveal("macs", {name: lessons.counted(stage(name, "macs"), f"{stage(name, 'macs'):,}") for name in stages})

# %% [markdown]
# ### Your turn: `conv_costs`
#
# **Approach.** A convolution has a kernel × kernel square of weights for every pair of an input and an output channel. Each
# weight is used once at every place of the output.


# %% solution id=conv_costs
def conv_costs(inputs: int, outputs: int, kernel: int, side: int) -> tuple[int, int]:
    """Return the weights and the multiply-accumulates of a convolution without bias.

    Args:
        inputs: Channels that enter.
        outputs: Channels that leave.
        kernel: Side of the kernel.
        side: Of the output, which is square.
    """
    ### BEGIN SOLUTION
    weights = inputs * outputs * kernel**2
    return weights, weights * side**2
    ### END SOLUTION


# %% test id=conv_costs points=3
lessons.expect(
    conv_costs(16, 32, 3, 10),
    (4608, 460800),
    {
        "a kernel of side 3 has 9 places": (1536, 153600),
        "an output of side 10 has 100 places": (4608, 46080),
        "every output channel has a kernel for *each* input channel": (288, 28800),
    },
    what="conv_costs(16, 32, 3, 10)",
)
### BEGIN HIDDEN TESTS
lessons.expect(conv_costs(64, 64, 3, 8), (36864, 2359296), what="conv_costs(64, 64, 3, 8)")
lessons.expect(conv_costs(1, 16, 3, 32), (144, 147456), what="conv_costs(1, 16, 3, 32)")
### END HIDDEN TESTS


# %% wrong id=conv_costs says="100 places"
def conv_costs(inputs, outputs, kernel, side):
    weights = inputs * outputs * kernel**2
    return weights, weights * side


# %% wrong id=conv_costs says="9 places"
def conv_costs(inputs, outputs, kernel, side):
    return inputs * outputs * kernel, inputs * outputs * kernel * side**2


# %%
print(
    "stage 1:", conv_costs(16, 16, 3, 32), " stage 2:", conv_costs(32, 32, 3, 16), " stage 3:", conv_costs(64, 64, 3, 8)
)

# %% [markdown]
# Twice as many channels on both sides are four times the weights; half the height and width are a quarter of the places. The
# product stays.
#
# ## The time

# %%
lesson.predict("runtimes")

# %%
base = session.baseline
eager, compiled = base.latency["eager"].median, base.latency["onnxruntime"].median
print(f"eager PyTorch {1000 * eager:.2f} ms, ONNX Runtime {1000 * compiled:.2f} ms, {base.macs:,} MACs")
reach = max(one.spread / one.median for one in base.latency.values())
times = eager / compiled
lesson.reveal(
    "runtimes",
    lessons.Measured(
        times, times / (1 + reach), times * (1 + reach), f"{times:.1f} × (half of all runs within {reach:.0%})"
    ),
)

# %% [markdown]
# ## The file

# %%
lesson.predict("file")

# %%
expected = 4 * base.params
extra = 100 * (base.bytes.total - expected) / expected
print(f"{base.params:,} parameters of 4 bytes are {expected:,}; the file has {base.bytes.total:,} bytes")
lesson.reveal("file", lessons.counted(extra, f"{extra:.1f} % more"))

# %% [markdown]
# ## Another net
#
# `digits-transformer` does the same job. Where are *its* bytes? Look at the layers and find the four kinds.

# %%
for layer in wb.Session(wb.load("digits-transformer"), autosave=None).layers:
    print(f"{layer.name:26} {layer.kind:8} {layer.params:>7,} weights {layer.macs:>9,} MACs")

# %% [markdown]
# ## Break it
#
# Find a change of a convolution's shape that doubles its weights and leaves its arithmetic as it is. Then one that does the
# opposite. Which of the two makes the file smaller, which the net faster?
#
# ## What you know now
#
# Bytes lie where channels are many, arithmetic where places are many too. Time is neither of the two: the same arithmetic takes
# several times as long where it is done one operator at a time. So say first what is to be small.
#
# In [the panel](../workbench.ipynb): the strip of numbers, and the map with its colours *bytes*, *MACs* and *time*.

# %%
session.close()

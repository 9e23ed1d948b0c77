# %% [markdown]
# # 6. Integers that run
#
# Weights on 8 bits make a small file. For a *fast* net what flows between the layers has to be whole numbers too, so that the
# processor multiplies bytes. In this lesson you fold a norm, multiply in whole numbers, and find out when that is worth it.

# %% setup
import torch
from torch import Tensor

import workbench as wb
from workbench import lessons

subject = wb.load("digits-resnet")

# %%
from widgets.lesson import CourseNotebook

lesson = CourseNotebook("integers")
session = wb.Session(subject, wb.Settings(seconds=1.0, runtimes=("onnxruntime",)))

# %% [markdown]
# ## First the norms go
#
# A batch norm after a convolution multiplies each channel by a number and adds another. Both can be put into the convolution
# beforehand; then there is one layer to quantize where there were two.

# %%
lesson.predict("fold")

# %% [markdown]
# ### Your turn: `fold_norm`
#
# A norm gives `gamma * (y - mean) / sqrt(variance + eps) + beta`, with y = weight · x + bias of the layer before.
#
# **Approach.** Multiply out: what stands before x is the new weight, the rest the new bias. Each number is one for each output
# channel, the first dimension of the weight.
#
# **Hints.** `factor.view(-1, *[1] * (weight.ndim - 1))` brings [C] to the shape of any weight.


# %% solution id=fold_norm
def fold_norm(
    weight: Tensor, bias: Tensor, gamma: Tensor, beta: Tensor, mean: Tensor, variance: Tensor, eps: float = 1e-5
) -> tuple[Tensor, Tensor]:
    """Return weight and bias of one layer that does what layer and norm did.

    Args:
        weight: [C, ...], of the layer.
        bias: [C].
        gamma: [C], of the norm; what it multiplies by.
        beta: [C]; what it adds.
        mean: [C], running.
        variance: [C], running.
        eps: Added to the variance.
    """
    ### BEGIN SOLUTION
    factor = gamma / (variance + eps).sqrt()
    return weight * factor.view(-1, *[1] * (weight.ndim - 1)), (bias - mean) * factor + beta
    ### END SOLUTION


# %% test id=fold_norm points=4
drawn = torch.Generator().manual_seed(5)
layer, norm = torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2).eval()
for value in (*layer.parameters(), norm.weight, norm.bias, norm.running_mean):
    value.data.copy_(torch.randn(value.shape, generator=drawn))
norm.running_var.copy_(torch.tensor([4.0, 0.25]))
parts = (norm.weight.data, norm.bias.data, norm.running_mean, norm.running_var)
factor = norm.weight.data / (norm.running_var + norm.eps).sqrt()
found = fold_norm(layer.weight.data, layer.bias.data, *parts)
right = layer.weight.data * factor[:, None], (layer.bias.data - norm.running_mean) * factor + norm.bias.data
lessons.expect(
    found,
    right,
    {
        "divide by the *root* of the variance": (
            layer.weight.data * (norm.weight.data / (norm.running_var + norm.eps))[:, None],
            (layer.bias.data - norm.running_mean) * norm.weight.data / (norm.running_var + norm.eps) + norm.bias.data,
        ),
        "the layer's own bias goes through the norm too: its mean is taken off and it is scaled": (
            right[0],
            layer.bias.data + norm.bias.data - norm.running_mean * factor,
        ),
    },
    what="the folded layer",
)
### BEGIN HIDDEN TESTS
conv = torch.randn(2, 3, 3, 3, generator=drawn)
lessons.expect(
    fold_norm(conv, torch.zeros(2), *parts)[0],
    conv * factor.view(2, 1, 1, 1),
    what="the folded weight of a convolution",
)
### END HIDDEN TESTS


# %% wrong id=fold_norm says="root"
def fold_norm(weight, bias, gamma, beta, mean, variance, eps=1e-5):
    factor = gamma / (variance + eps)
    return weight * factor.view(-1, *[1] * (weight.ndim - 1)), (bias - mean) * factor + beta


# %% wrong id=fold_norm says="own bias"
def fold_norm(weight, bias, gamma, beta, mean, variance, eps=1e-5):
    factor = gamma / (variance + eps).sqrt()
    return weight * factor.view(-1, *[1] * (weight.ndim - 1)), bias + beta - mean * factor


# %%
folded = session.apply(wb.FoldNorms())
lesson.reveal("fold", lessons.points_lost(folded.score))

# %% [markdown]
# ## A layer in whole numbers
#
# ### Your turn: `integer_linear`
#
# Inputs are codes with a scale and a zero point, weights are codes with a scale (symmetric, so their zero point is 0). The sum of
# products is to be made of **whole numbers** alone; only at its end comes one multiplication by both scales.
#
# **Approach.** Take the zero point off, as int32; multiply the matrices; then scale.
#
# **Hints.** Codes come as int8 or uint8: 200 · 100 does not fit there. `.to(torch.int32)` first.


# %% solution id=integer_linear
def integer_linear(codes: Tensor, scale: float, zero_point: int, weight_codes: Tensor, weight_scale: float) -> Tensor:
    """Return what a linear layer gives, as floats [N, outputs].

    Args:
        codes: uint8 [N, inputs]; values are scale * (code - zero_point).
        scale: Of the inputs.
        zero_point: Of the inputs.
        weight_codes: int8 [outputs, inputs]; values are weight_scale * code.
        weight_scale: Of the weights.
    """
    ### BEGIN SOLUTION
    sums = (codes.to(torch.int32) - zero_point) @ weight_codes.to(torch.int32).T
    return sums * (scale * weight_scale)
    ### END SOLUTION


# %% test id=integer_linear points=3
codes = torch.tensor([[200, 10], [128, 255]], dtype=torch.uint8)
weight_codes = torch.tensor([[100, -20], [3, 127]], dtype=torch.int8)
whole = torch.tensor([[9560.0, -14770.0], [-2540.0, 16129.0]])
lessons.expect(
    integer_linear(codes, 0.5, 128, weight_codes, 0.1),
    whole * 0.05,
    {
        "the zero point is missing: code 128 means 0": torch.tensor([[19800.0, 1870.0], [7700.0, 32769.0]]) * 0.05,
        "these are the whole numbers; multiply them by both scales": whole,
        "one of the scales is missing": whole * 0.5,
    },
    what="integer_linear(codes, 0.5, 128, weight_codes, 0.1)",
)
### BEGIN HIDDEN TESTS
many = torch.full((1, 500), 255, dtype=torch.uint8)
lessons.expect(
    integer_linear(many, 1.0, 0, torch.full((1, 500), 127, dtype=torch.int8), 1.0), torch.tensor([[16192500.0]]),
    what="a sum of 500 large products (int8 and int16 are too small for it)",
)  # fmt: skip
### END HIDDEN TESTS


# %% wrong id=integer_linear says="zero point is missing"
def integer_linear(codes, scale, zero_point, weight_codes, weight_scale):
    return (codes.int() @ weight_codes.int().T) * (scale * weight_scale)


# %% wrong id=integer_linear says="differs"
def integer_linear(codes, scale, zero_point, weight_codes, weight_scale):
    return ((codes - zero_point).to(torch.int8) @ weight_codes.T) * (scale * weight_scale)


# %% [markdown]
# ### Your turn: `bias_codes`
#
# A bias is added to those whole sums, so it has to be a whole number of the *same* unit: of both scales multiplied.
#
# **Hints.** Divide, round, and hand it over as int32: 8 bits are far too few for it.


# %% solution id=bias_codes
def bias_codes(bias: Tensor, scale: float, weight_scale: float) -> Tensor:
    """Return a bias as int32 codes that can be added to sums of code products [outputs].

    Args:
        bias: [outputs], as floats.
        scale: Of the inputs.
        weight_scale: Of the weights.
    """
    ### BEGIN SOLUTION
    return torch.round(bias / (scale * weight_scale)).to(torch.int32)
    ### END SOLUTION


# %% test id=bias_codes points=2
found = bias_codes(torch.tensor([1.0, -20.03]), 0.5, 0.1)
lessons.expect(
    found,
    torch.tensor([20.0, -401.0]),
    {
        "this is in units of the inputs alone; the sums are in units of both scales": torch.tensor([2.0, -40.0]),
        "this is in units of the weights alone; the sums are in units of both scales": torch.tensor([10.0, -200.0]),
        "the digits were cut off: round": torch.tensor([20.0, -400.0]),
        "multiplied where it is to be divided: a code is a value *by* its unit": torch.tensor([0.0, -1.0]),
        "these do not fit into 8 bits, and wrapped around": torch.tensor([20.0, 111.0]),
    },
    what="bias_codes([1, -20.03], 0.5, 0.1)",
)
assert not found.dtype.is_floating_point, "codes are whole numbers: `.to(torch.int32)`"
### BEGIN HIDDEN TESTS
lessons.expect(bias_codes(torch.tensor([2000.0]), 0.01, 0.01), torch.tensor([20_000_000.0]), what="a large bias")
### END HIDDEN TESTS


# %% wrong id=bias_codes says="inputs alone"
def bias_codes(bias, scale, weight_scale):
    return torch.round(bias / scale).to(torch.int32)


# %% wrong id=bias_codes says="wrapped around"
def bias_codes(bias, scale, weight_scale):
    return torch.round(bias / (scale * weight_scale)).to(torch.int32).to(torch.int8)


# %% [markdown]
# ## The whole net
#
# To quantize what flows between layers one needs to know its range. That is *calibration*: run some train images, and look.

# %%
lesson.predict("loss")
lesson.predict("time")

# %%
session.reset()
integers = session.apply(wb.Quantize(bits=8, activations=8))
lesson.reveal("loss", lessons.points_lost(integers.score))

# %%
lesson.reveal("time", lessons.fewer_seconds(integers.latency["onnxruntime"]))

# %% [markdown]
# ## Weights alone

# %%
lesson.predict("alone")

# %%
session.reset()
alone = session.apply(wb.Quantize(bits=8))
lesson.reveal("alone", lessons.fewer_seconds(alone.latency["onnxruntime"]))

# %% [markdown]
# ## Break it
#
# `wb.Quantize(bits=8, activations=3)`: with `activation_ranges="min-max"` and with `"mse"`. Which survives, and why do activations have
# outliers where weights have few? Then do the same to `digits-transformer`: is int8 faster there? Its layers are small, and every
# conversion between floats and codes takes time as well.
#
# ## What you know now
#
# Norms fold away. Codes multiply in whole numbers, and one scale at the end makes values of them. Weights alone make a small
# file, weights and activations a fast net; where layers are small, conversions eat what bytes win.
#
# In [the panel](../workbench.ipynb): *Quantize* with activation bits, *Fold norms*, *Equalize*, *Smooth*, *Correct bias*.

# %%
session.close()

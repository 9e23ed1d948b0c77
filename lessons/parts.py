# %% [markdown]
# # 8. Fewer, smaller parts
#
# A layer is a matrix. If its rows resemble each other, two thin matrices can do the work of one thick one. You find out how
# much a real layer resembles itself, where that begins to pay, and why fewer multiplications need not be faster.

# %% setup
import torch
from torch import Tensor

import workbench as wb
from workbench import lessons

subject = wb.load("digits-transformer")
weight = subject.model.get_parameter("blocks.1.mlp.0.weight").detach()

# %%
from widgets.lesson import CourseNotebook
from widgets.lesson.tools import RankTool

lesson = CourseNotebook("parts")
session = wb.Session(subject, wb.Settings(seconds=1.0, runtimes=("onnxruntime",)))

# %% [markdown]
# ## How much does a layer resemble itself?
#
# The layer has 192 rows and 64 columns, so its rank is at most 64. Its *energy* is the sum of its squared weights, which is
# the sum of its squared singular values.

# %%
lesson.predict("energy")

# %%
squared = torch.linalg.svdvals(weight) ** 2
kept = 100 * (squared[:16].sum() / squared.sum()).item()
lesson.reveal("energy", lessons.counted(kept, f"{kept:.1f} %"), share=lessons.counted(25.0))

# %% [markdown]
# Move the rank. At which one do you see no difference any more, and how many numbers does it take?

# %%
lesson.show(RankTool(weight, "blocks.1.mlp.0"))

# %% [markdown]
# ## Where does it pay?

# %%
lesson.predict("break_even")

# %% [markdown]
# ### Your turn: `two_factors`
#
# **Approach.** 1. `torch.linalg.svd(weight, full_matrices=False)` gives U, S and V with weight = U · diag(S) · V. 2. Keep the
# first `rank` columns of U, values of S and rows of V. 3. Give each factor the root of S, so that both are of like size.
#
# **Hints.** The first factor that an input meets is [rank, columns], the second [rows, rank]: `second @ first` is the weight.


# %% solution id=two_factors
def two_factors(weight: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Return (first, second) so that second @ first is the best approximation of a rank.

    Args:
        weight: [M, N].
        rank: At most min(M, N).
    """
    ### BEGIN SOLUTION
    u, s, v = torch.linalg.svd(weight, full_matrices=False)
    root = s[:rank].sqrt()
    return root[:, None] * v[:rank], u[:, :rank] * root
    ### END SOLUTION


# %% test id=two_factors points=4
trial = torch.tensor([[3.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
first, second = two_factors(trial, 2)
assert first.shape == (2, 3), f"the first factor should be [rank, columns] = (2, 3), and is {tuple(first.shape)}"
assert second.shape == (4, 2), f"the second factor should be [rows, rank] = (4, 2), and is {tuple(second.shape)}"
lessons.expect(
    second @ first,
    torch.diag(torch.tensor([3.0, 2.0, 0.0]))
    .new_zeros(4, 3)
    .index_put((torch.tensor([0, 1]), torch.tensor([0, 1])), torch.tensor([3.0, 2.0])),
    {
        "the singular values are missing: give each factor the root of them": torch.eye(4, 3)
        * torch.tensor([1.0, 1.0, 0.0]),
        "both factors have all of S, so it counts twice: give each the root": torch.eye(4, 3)
        * torch.tensor([9.0, 4.0, 0.0]),
        "these are the *smallest* singular values; keep the first, which are the largest": torch.eye(4, 3)
        * torch.tensor([0.0, 2.0, 1.0]),
    },
    what="second @ first",
)
### BEGIN HIDDEN TESTS
drawn = torch.randn(12, 7, generator=torch.Generator().manual_seed(0))
one, other = two_factors(drawn, 7)
lessons.expect(other @ one, drawn, what="the whole rank")
one, other = two_factors(drawn, 3)
lessons.expect(
    ((drawn - other @ one) ** 2).sum().item(),
    (torch.linalg.svdvals(drawn)[3:] ** 2).sum().item(),
    what="the error of rank 3",
)
### END HIDDEN TESTS


# %% wrong id=two_factors says="missing"
def two_factors(weight, rank):
    u, _, v = torch.linalg.svd(weight, full_matrices=False)
    return v[:rank], u[:, :rank]


# %% wrong id=two_factors says="counts twice"
def two_factors(weight, rank):
    u, s, v = torch.linalg.svd(weight, full_matrices=False)
    return s[:rank, None] * v[:rank], u[:, :rank] * s[:rank]


# %%
rows, columns = weight.shape
for rank in (8, 16, 32, 48, 64):
    first, second = two_factors(weight, rank)
    print(f"rank {rank:>2}: {first.numel() + second.numel():>6,} numbers for {weight.numel():,}")
even = rows * columns / (rows + columns)
lesson.reveal(
    "break_even", lessons.counted(even, f"{even:.0f}"), half=lessons.counted(32.0), full=lessons.counted(64.0)
)

# %% [markdown]
# ## What is worth keeping?
#
# The best approximation of a *weight* is not the best of what a layer *gives*: directions that hardly ever come in need not
# be kept. `whitened` weighs them by what really enters, on a few hundred images.

# %%
lesson.predict("whitened")

# %%
plain = session.apply(wb.Factorize(amount=0.5, whitened=False))
session.reset()
white = session.apply(wb.Factorize(amount=0.5))
lesson.reveal("whitened", {"plain": lessons.points_lost(plain.score), "white": lessons.points_lost(white.score)})

# %% [markdown]
# ## And the time?

# %%
lesson.predict("time")

# %%
print(f"multiply-accumulates: {white.macs:,} of {session.baseline.macs:,}")
lesson.reveal("time", lessons.fewer_seconds(white.latency["onnxruntime"]))

# %% [markdown]
# ## One weight for several layers
#
# The net has three blocks of one form, each with weights of its own. `TieLayers` stores one block, the average of the three, and
# runs it three times: a bit more than a third of the bytes. Nothing is trained afterwards.

# %%
lesson.predict("tied")

# %%
session.reset()
tied = session.apply(wb.TieLayers())
print(f"{tied.bytes.total:,} bytes of {session.baseline.bytes.total:,}")
lesson.reveal("tied", lessons.points_lost(tied.score))

# %% [markdown]
# ## A smaller picture
#
# Nothing in a convolutional net has to get smaller for it to compute less: half of the height and half of the width leave a
# quarter of the multiplications. `digits-resnet` was trained on 32 × 32 pixels.

# %%
lesson.predict("resized")

# %%
pictures = wb.Session(wb.load("digits-resnet"), wb.Settings(seconds=0.2, runtimes=("eager",)))
half = pictures.apply(wb.ResizeInput(scale=0.5))
print(f"multiply-accumulates: {half.macs:,} of {pictures.baseline.macs:,}; bytes of a picture: {half.input_bytes:,}")
lesson.reveal("resized", lessons.points_lost(half.score))

# %% [markdown]
# ## Break it
#
# Train what you have just broken: `pictures.apply(wb.FineTune(epochs=1))` is half a minute. Where is the score then, and what does
# that say about the question before? Then see how few bits a pixel needs: `wb.ReduceInputBits(bits=2)` after `pictures.reset()`.
#
# Factorize at `amount=0.9`, then let `Reconstruct` fit the last factor to what each layer gave. How much of the loss comes
# back without any training? And what does `round_to=16` do to the time?
#
# ## What you know now
#
# Two thin layers pay where the rank is below rows × columns / (rows + columns). Keep what a layer gives, not what it is. And
# two small kernels have two overheads: count multiplications to know what is possible, measure to know what is. Layers that
# look alike do not do the same, and a net knows the size at which it was trained: both come back with training.
#
# In [the panel](../workbench.ipynb): *Factorize*, *Merge factors*, *Tie layers*, *Swap activations*, the shelf *Input*, the spectrum
# under *Structure*.

# %%
session.close()
pictures.close()

# %% [markdown]
# # 9. All together
#
# Deep Compression (Han, Mao and Dally, 2016) made nets 35 to 49 times smaller by three steps one after the other: prune,
# share, code. You do the same here by hand, find out in which order, and read where each byte is.

# %% setup
import math

import workbench as wb
from workbench import lessons

subject = wb.load("digits-transformer")

# %%
from widgets.lesson import CourseNotebook
from widgets.lesson.tools import HuffmanTool

lesson = CourseNotebook("together")
session = wb.Session(subject, wb.Settings(seconds=0.2, runtimes=("onnxruntime",)))
whole = session.baseline.bytes.total

# %% [markdown]
# ## Do savings multiply?
#
# Half of the weights pruned gives a file of about 55 %. Sixteen shared values (4 bits) give one of about 15 %.

# %%
lesson.predict("product")

# %%
pruned = session.apply(wb.Prune(amount=0.5)).bytes.total / whole
both = session.apply(wb.ShareWeights(bits=4))
session.reset()
shared = session.apply(wb.ShareWeights(bits=4)).bytes.total / whole
print(f"pruned {pruned:.1%}, shared {shared:.1%}, the product {pruned * shared:.1%}")
part = 100 * both.bytes.total / whole
lesson.reveal(
    "product",
    lessons.counted(part, f"{part:.1f} %: {both.bytes.total:,} bytes"),
    product=lessons.counted(100 * pruned * shared),
)

# %% [markdown]
# ## Which order?

# %%
lesson.predict("order")

# %%
session.reset()
session.apply(wb.ShareWeights(bits=4))
turned = session.apply(wb.Prune(amount=0.5))
lesson.reveal(
    "order",
    {
        "prune": lessons.counted(both.bytes.total, f"{both.bytes.total:,} bytes"),
        "share": lessons.counted(turned.bytes.total, f"{turned.bytes.total:,} bytes"),
    },
)

# %% [markdown]
# ## Fewer bits for what is frequent
#
# Sixteen codes of 4 bits each: but they are not equally frequent. Here are the eight codes of a layer on 3 bits. In each
# step a Huffman code joins the two rarest parts, until one tree is left; the way down to a code is its bit string.

# %%
weight = subject.model.get_parameter("blocks.1.mlp.0.weight").detach()
step = (weight.abs().max() / 4).item()
codes = (weight / step).round().clamp(-4, 3).int()
counts = {f"{value:+d}": (codes == value).sum().item() for value in range(-4, 4) if (codes == value).any()}
lesson.predict("bits")

# %%
tool = HuffmanTool(counts, "Codes of blocks.1.mlp.0 on an even grid of 3 bits")
lesson.show(tool)

# %% [markdown]
# ### Your turn: `entropy`
#
# No code can be shorter, in the mean, than the entropy: the sum over all symbols of −p · log2 p.
#
# **Hints.** `p` is a count divided by the sum of all. What occurs never has nothing to add, and no logarithm.


# %% solution id=entropy
def entropy(counts: dict[str, float]) -> float:
    """Return the entropy in bits a symbol.

    Args:
        counts: How often each symbol occurs.
    """
    ### BEGIN SOLUTION
    total = sum(counts.values())
    return -sum(count / total * math.log2(count / total) for count in counts.values() if count)
    ### END SOLUTION


# %% test id=entropy points=2
lessons.expect(
    entropy({"a": 2, "b": 1, "c": 1}),
    1.5,
    {
        "this is in nats: take log2": 1.5 * math.log(2),
        "the sign: logarithms of parts below one are negative": -1.5,
        "this is the mean over symbols; weight each by how often it occurs": 5 / 3,
    },
    what="the entropy of 2, 1, 1",
)
lessons.expect(entropy({"a": 5, "b": 0}), 0.0, what="the entropy of what is always the same")
### BEGIN HIDDEN TESTS
lessons.expect(entropy({str(n): 7 for n in range(16)}), 4.0, what="the entropy of 16 equally frequent symbols")
### END HIDDEN TESTS


# %% wrong id=entropy says="take log2"
def entropy(counts):
    total = sum(counts.values())
    return -sum(count / total * math.log(count / total) for count in counts.values() if count)


# %% wrong id=entropy says="ValueError"
def entropy(counts):
    total = sum(counts.values())
    return -sum(count / total * math.log2(count / total) for count in counts.values())


# %% [markdown]
# ### Your turn: `code_lengths`
#
# **Approach.** Keep a list of parts: each a count and the symbols in it. Join the two with the smallest counts; every symbol
# in them gets one bit longer. Go on until one part is left.
#
# **Hints.** `sorted(parts)` puts the smallest counts first, if a part is a tuple that begins with its count.


# %% solution id=code_lengths
def code_lengths(counts: dict[str, float]) -> dict[str, int]:
    """Return the length of each symbol's Huffman code.

    Args:
        counts: How often each symbol occurs; at least two symbols, all above zero.
    """
    ### BEGIN SOLUTION
    lengths = dict.fromkeys(counts, 0)
    parts = [(count, [symbol]) for symbol, count in counts.items()]
    while len(parts) > 1:
        first, second, *rest = sorted(parts)
        joined = first[1] + second[1]
        for symbol in joined:
            lengths[symbol] += 1
        parts = [*rest, (first[0] + second[0], joined)]
    return lengths
    ### END SOLUTION


# %% test id=code_lengths points=4
trial = {"a": 50.0, "b": 26.0, "c": 14.0, "d": 10.0}
found = code_lengths(trial)
assert found.get("a") == 1, (
    f"the most frequent symbol should have 1 bit, and has {found.get('a')}: are the *rarest* joined first?"
)
assert found == {"a": 1, "b": 2, "c": 3, "d": 3}, (
    f"{found}: each join makes all symbols in it one bit longer, not only its two ends"
)
### BEGIN HIDDEN TESTS
even = code_lengths({str(n): 1.0 for n in range(8)})
assert set(even.values()) == {3}, "eight equally frequent symbols have 3 bits each"
### END HIDDEN TESTS


# %% wrong id=code_lengths says="rarest"
def code_lengths(counts):
    ordered = sorted(counts, key=counts.get)
    return {symbol: min(place + 1, len(counts) - 1) for place, symbol in enumerate(ordered)}


# %% wrong id=code_lengths says="all symbols in it"
def code_lengths(counts):
    ordered = sorted(counts, key=counts.get, reverse=True)
    return {symbol: place + 1 for place, symbol in enumerate(ordered)}


# %%
lengths = code_lengths(counts)
mean = sum(counts[symbol] * lengths[symbol] for symbol in counts) / sum(counts.values())
print(f"entropy {entropy(counts):.3f}, your code {mean:.3f} bits a weight")
lesson.reveal(
    "bits",
    lessons.counted(mean, f"{mean:.2f} bits, where the entropy is {entropy(counts):.2f}"),
    fixed=lessons.counted(3.0),
)

# %% [markdown]
# ## The whole chain
#
# Prune, share, code; and one epoch of training after the first two, through the shared values.

# %%
lesson.predict("chain")

# %%
session.reset()
for one in (wb.Prune(amount=0.5), wb.ShareWeights(bits=3), wb.TrainQuantized(epochs=1), wb.EntropyCode()):
    now = session.apply(one)
    print(
        f"{one.title:24} {now.score.value:.2%}  {now.bytes.total:>8,} bytes, {whole / now.bytes.total:4.1f} × smaller"
    )
times = whole / now.bytes.total
lesson.reveal("chain", lessons.counted(times, f"{times:.1f} ×: {now.bytes.total:,} bytes"))

# %% [markdown]
# Where is each byte? The ledger adds up to the file, to the byte.

# %%
for what, count in now.bytes.ledger:
    print(f"{what:36} {count:>+9,}")
print(f"{'the file':36} {now.bytes.total:>9,}")

# %% [markdown]
# ## Break it
#
# Put `EntropyCode` first and `ShareWeights` after it. What does the workbench say? Then try 2 bits, with and without the
# epoch of training: which of the two limits the chain, the bits or the score?
#
# ## What you know now
#
# Savings do not quite multiply, because what each step adds (masks, codebooks, headers) does not shrink with the others.
# Order matters: what comes later may undo what came before. And entropy is the floor of all codes.
#
# In [the panel](../workbench.ipynb): *Presets and plans*, *Entropy-code*, and the waterfall under *Compare*.

# %%
session.close()

# %% [markdown]
# # 10. Search and judge
#
# Many nets were tried; which one is to be handed in? This lesson is about choosing without fooling oneself: which candidates
# are worth looking at, who pays for a mean, and whether a difference is one.

# %% setup
import torch
from torch import Tensor

import workbench as wb
from workbench import lessons

subject = wb.load("digits-transformer")

# %%
from widgets.lesson import CourseNotebook

lesson = CourseNotebook("judge")
session = wb.Session(subject, wb.Settings(seconds=0.1, runtimes=("onnxruntime",)))

# %% [markdown]
# ## Candidates

# %%
steps = {
    "8 bits": wb.Quantize(bits=8), "4 bits": wb.Quantize(bits=4), "3 bits": wb.Quantize(bits=3),
    "2 bits": wb.Quantize(bits=2), "8 values": wb.ShareWeights(bits=3), "4 values": wb.ShareWeights(bits=2),
    "30 % pruned": wb.Prune(amount=0.3), "50 % pruned": wb.Prune(amount=0.5),
}  # fmt: skip
tried = {}
for name, step in steps.items():
    session.reset()
    tried[name] = session.apply(step)
    print(f"{name:12} {tried[name].bytes.total:>8,} bytes, accuracy {tried[name].score.value:.2%}")

# %% [markdown]
# One candidate *dominates* another if it is not worse in anything and better in something. What nobody dominates is the **Pareto
# front**: the rest need not be looked at.

# %%
lesson.predict("front")

# %% [markdown]
# ### Your turn: `pareto_front`
#
# **Hints.** For each candidate ask whether any other has at most its bytes *and* at least its score, and one of the two strictly.
# Two equal ones do not dominate each other.


# %% solution id=pareto_front
def pareto_front(candidates: dict[str, tuple[float, float]]) -> set[str]:
    """Return the names of those that no other dominates.

    Args:
        candidates: (bytes, score) by name; fewer bytes and a higher score are better.
    """

    ### BEGIN SOLUTION
    def dominated(size: float, score: float) -> bool:
        return any(s <= size and a >= score and (s < size or a > score) for s, a in candidates.values())

    return {name for name, (size, score) in candidates.items() if not dominated(size, score)}
    ### END SOLUTION


# %% test id=pareto_front points=3
trial = {"small": (1, 0.5), "good": (9, 0.9), "poor": (9, 0.8), "twin": (1, 0.5), "middle": (5, 0.7)}
found = pareto_front(trial)
assert "poor" not in found, "'poor' has as many bytes as 'good' and a lower score: it is dominated, though not in both"
assert {"small", "twin"} <= found, (
    "two equal candidates do not dominate each other: one has to be strictly better in something"
)
assert found == {"small", "good", "twin", "middle"}, (
    f"{sorted(found)}: what is best in neither can still be undominated"
)
### BEGIN HIDDEN TESTS
assert pareto_front({"a": (1, 1.0), "b": (2, 0.9), "c": (3, 0.8)}) == {"a"}
assert pareto_front({}) == set()
### END HIDDEN TESTS


# %% wrong id=pareto_front says="though not in both"
def pareto_front(candidates):
    return {
        name
        for name, (size, score) in candidates.items()
        if not any(s < size and a > score for s, a in candidates.values())
    }


# %% wrong id=pareto_front says="equal candidates"
def pareto_front(candidates):
    return {
        name
        for name, (size, score) in candidates.items()
        if not any(s <= size and a >= score for other, (s, a) in candidates.items() if other != name)
    }


# %%
front = pareto_front({name: (one.bytes.total, one.score.value) for name, one in tried.items()})
print("on the front:", ", ".join(name for name in tried if name in front))
lesson.reveal("front", lessons.counted(len(front)), all=lessons.counted(len(tried)))

# %% [markdown]
# ## Who pays?
#
# Half of the weights pruned costs about two points in the mean. A mean is over ten digits.

# %%
lesson.predict("class")


# %%
def right_by_class(weights: dict[str, Tensor]) -> Tensor:
    """Return which part of each digit's images is read rightly."""
    inputs, labels = subject.task.split("validation").batch(list(range(2400)))
    labels = torch.as_tensor(labels)
    with torch.inference_mode():
        outputs = torch.func.functional_call(subject.model, weights, inputs)
    right = (outputs.argmax(1) == labels).double()
    return torch.stack([right[labels == digit].mean() for digit in range(10)])


session.reset()
session.apply(wb.Prune(amount=0.5))
pruned = {name: value.detach() for name, value in session.state.model.named_parameters()}
fall = 100 * (right_by_class({}) - right_by_class(pruned))
for digit, points in enumerate(fall.tolist()):
    print(f"{digit}: {points:5.1f} points {'█' * max(0, round(points * 2))}")
worst, mean = fall.max().item(), fall.mean().item()
lesson.reveal(
    "class",
    lessons.counted(worst, f"{worst:.1f} points, digit {fall.argmax().item()}; the mean is {mean:.1f}"),
    mean=lessons.counted(mean),
)

# %% [markdown]
# ## Is it a difference?
#
# Both models see the same images. So do not compare two accuracies: compare image by image. Of most images both say the same,
# and only the others count.
#
# ### Your turn: `paired_interval`
#
# **Approach.** For each image take the difference of the two (1, 0 or −1); the mean of these is the change, and its standard
# error their standard deviation divided by √n. The 95 % interval is the mean ± 1.96 of it.


# %% solution id=paired_interval
def paired_interval(before: Tensor, after: Tensor) -> tuple[float, float]:
    """Return the 95 % interval of the change in accuracy.

    Args:
        before: 1.0 where the first model is right, else 0.0, for each image [N].
        after: The same of the second, for the same images.
    """
    ### BEGIN SOLUTION
    change = after - before
    mean, reach = change.mean().item(), 1.96 * change.std().item() / len(change) ** 0.5
    return mean - reach, mean + reach
    ### END SOLUTION


# %% test id=paired_interval points=3
one = torch.tensor([1.0, 1.0, 0.0, 1.0] * 100)
other = one.clone()
other[:6] = 0.0
change = other - one
mean, error = change.mean().item(), change.std().item() / 20
alone = (one.var() / 400 + other.var() / 400).sqrt().item()
lessons.expect(
    paired_interval(one, other),
    (mean - 1.96 * error, mean + 1.96 * error),
    {
        "this treats the two as different images, so the interval is far too wide: take the difference image by image": (
            mean - 1.96 * alone, mean + 1.96 * alone,
        ),
        "divide the standard deviation by √n: this is the spread of one image, not of the mean": (
            mean - 1.96 * error * 20, mean + 1.96 * error * 20,
        ),
        "the sign: the change is after minus before": (-mean - 1.96 * error, -mean + 1.96 * error),
    },
    what="the interval",
)  # fmt: skip
### BEGIN HIDDEN TESTS
lessons.expect(paired_interval(one, one), (0.0, 0.0), what="the interval of a model against itself")
### END HIDDEN TESTS


# %% wrong id=paired_interval says="image by image"
def paired_interval(before, after):
    mean = (after.mean() - before.mean()).item()
    reach = 1.96 * (before.var() / len(before) + after.var() / len(after)).sqrt().item()
    return mean - reach, mean + reach


# %% wrong id=paired_interval says="divide the standard deviation"
def paired_interval(before, after):
    change = after - before
    return change.mean().item() - 1.96 * change.std().item(), change.mean().item() + 1.96 * change.std().item()


# %%
lesson.predict("sure")

# %%
score = tried["4 bits"].score
print(
    f"4 bits: {100 * score.change:+.2f} points on these 2,400 images, [{100 * score.population_low:+.2f}, {100 * score.population_high:+.2f}] on others"
)
loss = lessons.points_lost(score)
# Both ends of the interval above zero: it loses. One: nobody knows. None: it gains.
lesson.reveal("sure", lessons.counted((loss.low > 0) + (loss.high > 0), loss.text))

# %% [markdown]
# ## Hand it in
#
# `session.report("report.html")` writes up what was done, with every number and its interval; `session.export("out/")` the net.
# The test split is scored then, once: whoever chooses by it has used it up.
#
# ## Break it
#
# Take any twenty seeds of `importance="random"` at 1 %, and hand in the best of them. How much better than the untouched net does it look,
# and what is it on the test split? That is what choosing among many does.
#
# ## What you know now
#
# Look at the front, and at who pays. Compare pairs. A difference whose interval holds zero is not known, and the best of
# many is worse than it looks.
#
# In [the panel](../workbench.ipynb): *Compare*, *Who pays*, *Export*, the report.

# %%
session.close()

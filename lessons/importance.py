# %% [markdown]
# # 4. Which weights matter?
#
# Magnitude is the first thing one thinks of. It is not the best that is known. In this lesson you work out three criteria by
# hand, on a net of four weights whose every answer can be checked, and then let them compete on a real one.

# %% setup
import itertools
from collections.abc import Callable

import torch
from torch import Tensor

import workbench as wb
from workbench import lessons

subject = wb.load("digits-transformer")

# %%
from widgets.lesson import CourseNotebook

lesson = CourseNotebook("importance")
session = wb.Session(subject, wb.Settings(seconds=0.1, runtimes=("onnxruntime",)))

# %% [markdown]
# ## A net of four weights
#
# y = W x, with a 2 × 2 matrix W. Four samples, a squared error. The inputs are not alike: the first is large, the second small.

# %%
inputs = torch.tensor([[3.0, 0.1], [-2.0, 0.2], [1.0, -0.1], [-3.0, 0.15]])
weight = torch.tensor([[0.3, 2.0], [-0.5, 1.0]])
targets = inputs @ weight.T


def error(changed: Tensor) -> float:
    return ((inputs @ changed.T - targets) ** 2).sum(1).mean().item()


print(weight)

# %%
lesson.predict("tiny")

# %%
without = {}
for row, column in itertools.product(range(2), range(2)):
    changed = weight.clone()
    changed[row, column] = 0
    without[f"w{row}{column}"] = lessons.counted(error(changed), f"{error(changed):.4f}")
lesson.reveal("tiny", without)

# %% [markdown]
# ### Your turn: `taylor_importance`
#
# Removing a weight w changes the loss by about −g · w, where g is the gradient (Molchanov et al., 2017). How important a weight is
# says the size of that.
#
# ### And `obd_importance`
#
# At a minimum g is zero, and the next term counts: ½ · h · w², with the second derivative h (Optimal Brain Damage: LeCun,
# Denker and Solla, 1990).


# %% solution id=taylor_importance
def taylor_importance(weight: Tensor, gradient: Tensor) -> Tensor:
    """Return by how much the loss changes without each weight, to first order; never below zero."""
    ### BEGIN SOLUTION
    return (weight * gradient).abs()
    ### END SOLUTION


# %% test id=taylor_importance points=2
w, g = torch.tensor([2.0, -1.0, 0.5]), torch.tensor([0.1, -3.0, -1.0])
lessons.expect(
    taylor_importance(w, g),
    torch.tensor([0.2, 3.0, 0.5]),
    {
        "a change of either sign matters: take the magnitude": w * g,
        "with the sign of the change that is -g·w; its size is what counts": -w * g,
        "this is the gradient alone; a weight near zero has little to lose": g.abs(),
        "this is the magnitude alone": w.abs(),
    },
    what="the importance of 2, -1, 0.5",
)
### BEGIN HIDDEN TESTS
lessons.expect(taylor_importance(torch.zeros(2), torch.ones(2)), torch.zeros(2), what="the importance of zeros")
### END HIDDEN TESTS


# %% wrong id=taylor_importance says="either sign"
def taylor_importance(weight, gradient):
    return weight * gradient


# %% wrong id=taylor_importance says="gradient alone"
def taylor_importance(weight, gradient):
    return gradient.abs()


# %% solution id=obd_importance
def obd_importance(weight: Tensor, curvature: Tensor) -> Tensor:
    """Return by how much the loss rises without each weight, to second order, at a minimum.

    Args:
        weight: At a minimum of the loss.
        curvature: Second derivative of the loss by each weight.
    """
    ### BEGIN SOLUTION
    return curvature * weight**2 / 2
    ### END SOLUTION


# %% test id=obd_importance points=2
w, h = torch.tensor([2.0, -1.0]), torch.tensor([0.5, 4.0])
lessons.expect(
    obd_importance(w, h),
    torch.tensor([1.0, 2.0]),
    {
        "the ½ of Taylor's series is missing": torch.tensor([2.0, 4.0]),
        "the weight counts squared": h * w.abs() / 2,
        "the curvature is missing": w**2 / 2,
    },
    what="the importance of 2 and -1",
)
### BEGIN HIDDEN TESTS
curvature = 2 * (inputs_ := torch.tensor([[3.0, 0.1], [-2.0, 0.2], [1.0, -0.1], [-3.0, 0.15]])).square().mean(0)
exact = torch.tensor([0.3, 2.0]) ** 2 * inputs_.square().mean(0)
lessons.expect(obd_importance(torch.tensor([0.3, 2.0]), curvature), exact, what="on a squared error, where it is exact")
### END HIDDEN TESTS


# %% wrong id=obd_importance says="½"
def obd_importance(weight, curvature):
    return curvature * weight**2


# %% wrong id=obd_importance says="squared"
def obd_importance(weight, curvature):
    return curvature * weight.abs() / 2


# %%
curvature = (2 * inputs.square().mean(0)).expand(2, 2)
print("what is lost:", {name: round(found.value, 4) for name, found in without.items()})
print("OBD says:    ", obd_importance(weight, curvature).flatten().tolist())

# %% [markdown]
# On a squared error of a linear layer OBD is exact. In a deep net it is not, and h has to be estimated.
#
# ## Units that work together
#
# Four units, of which any coalition makes a score. What is each one's share? Shapley (1953): its contribution, averaged over
# all orders in which the units can come in.
#
# ### Your turn: `shapley`
#
# **Approach.** For each order (`itertools.permutations`), let the units come in one after the other; each gets what the score
# rises by when it comes.


# %% solution id=shapley
def shapley(score: Callable[[frozenset[str]], float], units: list[str]) -> dict[str, float]:
    """Return the share of each unit; together they make score(all) - score(none).

    Args:
        score: Of a set of units.
        units: All of them.
    """
    ### BEGIN SOLUTION
    orders = list(itertools.permutations(units))
    share = dict.fromkeys(units, 0.0)
    for order in orders:
        for place, unit in enumerate(order):
            before = frozenset(order[:place])
            share[unit] += (score(before | {unit}) - score(before)) / len(orders)
    return share
    ### END SOLUTION


# %% test id=shapley points=4
def team(present: frozenset[str]) -> float:
    return 10.0 * ("a" in present) + 6.0 * ({"b", "c"} <= present) + 4.0 * bool({"a", "d"} & present)


found = shapley(team, ["a", "b", "c", "d"])
assert abs(sum(found.values()) - 20) < 1e-6, (
    f"the shares add up to {sum(found.values()):g} and should be 20, what all make together: each unit's share depends on who came before"
)
lessons.expect(found["b"], 3.0, {"b is worth nothing without c: average over all orders": 0.0}, what="the share of b")
lessons.expect((found["a"], found["d"]), (12.0, 2.0), what="the shares of a and d, which can stand in for each other")
### BEGIN HIDDEN TESTS
lessons.expect(shapley(lambda present: float(len(present)), list("xyz"))["y"], 1.0, what="a share among equals")
### END HIDDEN TESTS


# %% wrong id=shapley says="add up to"
def shapley(score, units):
    return {unit: score(frozenset([unit])) - score(frozenset()) for unit in units}


# %% wrong id=shapley says="add up to"
def shapley(score, units):
    everyone = frozenset(units)
    return {unit: score(everyone) - score(everyone - {unit}) for unit in units}


# %% [markdown]
# ## The contest
#
# 60 % of the weights of every layer go, chosen by five criteria.

# %%
lesson.predict("contest")

# %%
kept = {}
for name in ("magnitude", "taylor", "obs", "wanda", "random"):
    session.reset()
    kept[name] = lessons.points(session.apply(wb.Prune(amount=0.6, importance=name)).score)
lesson.reveal("contest", kept)

# %%
lesson.predict("chance")

# %%
lesson.reveal("chance", kept["random"])

# %% [markdown]
# ## Break it
#
# Let the criteria compete at 30 % and at 80 %. Is the order the same? What does `compensation="columns"` do, where the weights that
# stay make up for those that go? In the panel, *Sensitivity* has a contest of all criteria on the same channels.
#
# ## What you know now
#
# A weight matters by what is lost without it, which is its size *and* what comes in. Second-order criteria know that, on data.
# Units that stand in for each other each look useless alone: hence Shapley. And a plausible theory has to win its contest.
#
# In [the panel](../workbench.ipynb): *importance* in *Prune weights* and *Prune channels*, the contest under *Sensitivity*.

# %%
session.close()

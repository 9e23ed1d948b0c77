# %% [markdown]
# # 7. Recovery and distillation
#
# What compression took, training gives back, or most of it. In this lesson you ruin a net, bring it back in a minute, and
# find out what a teacher knows that labels do not.

# %% setup
import torch
from torch import Tensor
from torch.nn import functional as F

import workbench as wb
from workbench import lessons

subject = wb.load("digits-transformer")

# %%
from widgets.lesson import CourseNotebook
from widgets.lesson.tools import TemperatureTool

lesson = CourseNotebook("recovery")
session = wb.Session(subject, wb.Settings(seconds=0.1, runtimes=("onnxruntime",)))

# %% [markdown]
# ## Back from the cliff
#
# 70 % of the weights pruned, without training: about half of the accuracy is gone (lesson 2). Now one pass over the 9,576
# train images, during which pruned weights stay zero.

# %%
lesson.predict("back")

# %%
ruined = session.apply(wb.Prune(amount=0.7)).score
tuned = session.apply(wb.FineTune(epochs=1)).score
print(f"pruned {ruined.value:.2%}, after one epoch {tuned.value:.2%}, untouched {session.baseline.score.value:.2%}")
lesson.reveal("back", lessons.points_lost(tuned), ruined=lessons.points_lost(ruined))

# %% [markdown]
# ### Your turn: `masked_step`
#
# What keeps pruned weights at zero while one trains?
#
# **Approach.** One step of gradient descent, `weight - rate * gradient`, and then the mask. With momentum or decay a masked
# *gradient* would not be enough: the weight itself has to be masked.


# %% solution id=masked_step
def masked_step(weight: Tensor, gradient: Tensor, mask: Tensor, rate: float) -> Tensor:
    """Return the weight after one step; what the mask holds at zero is zero.

    Args:
        weight: Before the step; not changed.
        gradient: Of the loss, of the same shape.
        mask: 1 where a weight stays, 0 where it was pruned.
        rate: Step size.
    """
    ### BEGIN SOLUTION
    return (weight - rate * gradient) * mask
    ### END SOLUTION


# %% test id=masked_step points=2
before = torch.tensor([1.0, 0.0, -2.0])
lessons.expect(
    masked_step(before, torch.tensor([1.0, 1.0, 1.0]), torch.tensor([1.0, 0.0, 1.0]), 0.5),
    torch.tensor([0.5, 0.0, -2.5]),
    {
        "the pruned weight grew back: mask it": torch.tensor([0.5, -0.5, -2.5]),
        "a step goes *against* the gradient": torch.tensor([1.5, 0.0, -1.5]),
        "the step size is missing": torch.tensor([0.0, 0.0, -3.0]),
    },
    what="the weight after the step",
)
lessons.expect(before, torch.tensor([1.0, 0.0, -2.0]), what="the weight that was given (make a new one)")
### BEGIN HIDDEN TESTS
lessons.expect(
    masked_step(torch.ones(2), torch.zeros(2), torch.tensor([0.0, 1.0]), 0.1),
    torch.tensor([0.0, 1.0]),
    what="a weight that is to be zero and was not yet",
)
### END HIDDEN TESTS


# %% wrong id=masked_step says="grew back"
def masked_step(weight, gradient, mask, rate):
    return weight - rate * gradient


# %% wrong id=masked_step says="was not yet"
def masked_step(weight, gradient, mask, rate):
    return weight - rate * gradient * mask


# %% [markdown]
# ## What does a teacher know?
#
# A label says: this is a 7. A trained net says: a 7, but it might be a 1, and never an 8. The image below is one that the
# net finds hard. Raise the temperature: what was hidden behind 99 % comes out.

# %%
inputs, labels = subject.task.split("train").batch(list(range(600)))
with torch.inference_mode():
    logits = subject.model(*inputs)
doubtful = logits.softmax(1).max(1).values.argsort()[5].item()
lesson.show(
    TemperatureTool(logits[doubtful], subject.task.classes, f"One train image, labelled {int(labels[doubtful])}")
)

# %%
lesson.predict("temperature")

# %%
cold, warm = (logits[doubtful].div(t).softmax(0) for t in (1.0, 4.0))
lesson.reveal(
    "temperature",
    lessons.counted(
        100 * (1 - warm.max().item()), f"{1 - warm.max().item():.1%}, where it was {1 - cold.max().item():.1%}"
    ),
)

# %% [markdown]
# ### Your turn: `soft_loss`
#
# Hinton, Vinyals and Dean (2015): the student's softened outputs should be the teacher's. The loss is the Kullback-Leibler
# divergence of the two at a temperature T, times T².
#
# **Hints.** `F.kl_div(log_probabilities_of_student, probabilities_of_teacher, reduction="batchmean")`. Without T² the
# gradient would shrink by T² as the temperature rises.


# %% solution id=soft_loss
def soft_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Return the loss of softened outputs, a mean over the batch.

    Args:
        student: Logits [N, C].
        teacher: Logits [N, C].
        temperature: What both are divided by.
    """
    ### BEGIN SOLUTION
    own = F.log_softmax(student / temperature, 1)
    wanted = F.softmax(teacher / temperature, 1)
    return F.kl_div(own, wanted, reduction="batchmean") * temperature**2
    ### END SOLUTION


# %% test id=soft_loss points=4
drawn = torch.Generator().manual_seed(4)
student, teacher = torch.randn(6, 5, generator=drawn), 3 * torch.randn(6, 5, generator=drawn)
lessons.expect(soft_loss(teacher, teacher, 3.0).item(), 0.0, what="the loss of a student that is the teacher")
right = (F.softmax(teacher / 3, 1) * (F.log_softmax(teacher / 3, 1) - F.log_softmax(student / 3, 1))).sum(
    1
).mean().item() * 9
lessons.expect(
    soft_loss(student, teacher, 3.0).item(),
    right,
    {
        "the factor T² is missing": right / 9,
        "this is a mean over all numbers; use reduction='batchmean'": right / 5,
        "teacher and student have changed places: the teacher says what is wanted": (
            F.softmax(student / 3, 1) * (F.log_softmax(student / 3, 1) - F.log_softmax(teacher / 3, 1))
        )
        .sum(1)
        .mean()
        .item()
        * 9,
    },
    what="soft_loss(student, teacher, 3)",
)
### BEGIN HIDDEN TESTS
lessons.expect(
    soft_loss(student + 7, teacher - 2, 2.0).item(),
    soft_loss(student, teacher, 2.0).item(),
    what="the loss of shifted logits",
)
### END HIDDEN TESTS


# %% wrong id=soft_loss says="T² is missing"
def soft_loss(student, teacher, temperature):
    return F.kl_div(F.log_softmax(student / temperature, 1), F.softmax(teacher / temperature, 1), reduction="batchmean")


# %% wrong id=soft_loss says="changed places"
def soft_loss(student, teacher, temperature):
    own, wanted = F.softmax(student / temperature, 1), F.log_softmax(teacher / temperature, 1)
    return F.kl_div(wanted, own, reduction="batchmean") * temperature**2


# %% [markdown]
# ## Labels or a teacher?

# %%
lesson.predict("teacher")

# %%
session.reset()
session.apply(wb.Prune(amount=0.7))
taught = session.apply(wb.Distill(epochs=1)).score
lesson.reveal("teacher", {"labels": lessons.points(tuned), "teacher": lessons.points(taught)})

# %% [markdown]
# ## Through the rounding
#
# 2 bits ruined the net in lesson 5. Quantization-aware training lets the loss see the rounded weights, and moves the ones
# behind them.

# %%
lesson.predict("aware")

# %%
session.reset()
rounded = session.apply(wb.Quantize(bits=2)).score
aware = session.apply(wb.TrainQuantized(epochs=1)).score
print(f"2 bits {rounded.value:.2%}, after one epoch {aware.value:.2%}")
lesson.reveal("aware", lessons.points_lost(aware), rounded=lessons.points_lost(rounded))

# %% [markdown]
# ### Your turn: `codebook_gradient`
#
# Shared values (lesson 5) can be trained too. A value stands in many places of the weight; what is its own gradient?
#
# **Approach.** Moving a shared value moves every weight that has its code. So its gradient is the *sum* of theirs.
#
# **Hints.** `gradient[codes == place]` are those of one value. A value that no weight has stays where it is.


# %% solution id=codebook_gradient
def codebook_gradient(gradient: Tensor, codes: Tensor, count: int) -> Tensor:
    """Return the gradient of each shared value [count].

    Args:
        gradient: Of the weights, of any shape.
        codes: Which value each weight has, whole numbers of the same shape.
        count: Of shared values.
    """
    ### BEGIN SOLUTION
    return torch.stack([gradient[codes == place].sum() for place in range(count)])
    ### END SOLUTION


# %% test id=codebook_gradient points=3
gradient = torch.tensor([[1.0, 2.0], [3.0, -4.0]])
codes = torch.tensor([[0, 2], [0, 2]])
lessons.expect(
    codebook_gradient(gradient, codes, 3),
    torch.tensor([4.0, 0.0, -2.0]),
    {
        "this is the mean: a value in two places has the effect of both, so sum": torch.tensor([2.0, 0.0, -1.0]),
        "a value that no weight has became nan: the mean of nothing": torch.tensor([2.0, float("nan"), -1.0]),
        "each value took the gradient of one of its weights; sum over all that have it": torch.tensor([3.0, 0.0, -4.0]),
    },
    what="codebook_gradient(gradient, codes, 3)",
)
### BEGIN HIDDEN TESTS
values = torch.randn(5, generator=torch.Generator().manual_seed(1)).requires_grad_()
places = torch.randint(5, (4, 6), generator=torch.Generator().manual_seed(2))
weight = values[places]
weight.retain_grad()
(weight**3).sum().backward()
lessons.expect(codebook_gradient(weight.grad, places, 5), values.grad, what="what torch says of the same values")
### END HIDDEN TESTS


# %% wrong id=codebook_gradient says="mean of nothing"
def codebook_gradient(gradient, codes, count):
    return torch.stack([gradient[codes == place].mean() for place in range(count)])


# %% wrong id=codebook_gradient says="sum over all that have it"
def codebook_gradient(gradient, codes, count):
    found = torch.zeros(count)
    found[codes.flatten()] = gradient.flatten()
    return found


# %% [markdown]
# ## Break it
#
# Prune 95 % and fine-tune. Does it come back? Now in two halves: 80 %, an epoch, 95 %, an epoch. Why is that better? And
# what does a step size of 0.1 do?
#
# ## What you know now
#
# A cliff without training is a slope with it: say which of the two a number is of. A teacher tells more than a label, most of
# it in its wrong answers, and temperature brings them out. Rounding can be trained through.
#
# In [the panel](../workbench.ipynb): *Fine-tune*, *Distill*, *Train quantized*, *Reconstruct*.

# %%
session.close()

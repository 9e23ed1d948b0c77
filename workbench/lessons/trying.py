"""Scoring a model with weights that a learner made, sample by sample against the untouched one."""

from __future__ import annotations

from collections.abc import Mapping
from weakref import WeakKeyDictionary

from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.measure import Score
from workbench.measure.evaluator import Evaluator
from workbench.measure.sequential import score
from workbench.session.session import Session
from workbench.steps import State

# What enters the layers is kept from one trial of a lesson to the next.
_EVALUATORS: WeakKeyDictionary[Session, Evaluator] = WeakKeyDictionary()


def score_weights(session: Session, weights: Mapping[str, Tensor]) -> Score:
    """Return the exact validation score of a session's subject with other weights.

    Args:
        session: Whose subject it is; nothing in it changes.
        weights: New values by the names of parameters, such as "fc.weight"; the others stay as they are.

    Raises:
        WorkbenchError: There is no such parameter, or the values have another shape.
    """
    state = State.of(session.subject)
    known = dict(state.model.named_parameters(remove_duplicate=False))
    for name, value in weights.items():
        if name not in known:
            raise WorkbenchError(f"{session.subject.name} has no parameter {name!r}")
        if value.shape != known[name].shape:
            shapes = tuple(value.shape), tuple(known[name].shape)
            raise WorkbenchError(f"{name} has the shape {shapes[1]}, and these values have {shapes[0]}")
    reference = session.reference()
    evaluator = _EVALUATORS.setdefault(session, Evaluator(reference.samples))
    values = {name: value.detach().to(known[name].dtype) for name, value in weights.items()}
    return score(evaluator.prepare(state, values), reference)

"""The tree of states: undo, redo, branches, and its JSON."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import WorkbenchError
from workbench.steps import Prune, Quantize
from workbench.steps.history import History

A, B, C = Prune(amount=0.1), Prune(amount=0.2), Quantize(bits=4)


def steps(history, number=None):
    return history.recipe(0, number).steps


def test_undo_and_redo_walk_the_branch():
    history = History().apply(A).apply(B)
    assert steps(history) == (A, B)
    assert steps(history.undo()) == (A,)
    assert steps(history.undo().undo()) == ()
    assert history.undo().undo().redo().redo() == history
    assert [node.step for node in history.undo().undo().ahead] == [A, B]


def test_there_is_an_end_on_both_sides():
    with pytest.raises(WorkbenchError, match="nothing to undo"):
        History().undo()
    with pytest.raises(WorkbenchError, match="nothing to redo"):
        History().apply(A).redo()


def test_another_step_after_undo_leaves_what_was_tried():
    history = History().apply(A).apply(B).undo().apply(C)
    assert steps(history) == (A, C)
    assert [node.step for node in history.nodes] == [None, A, B, C]
    assert steps(history, 2) == (A, B)
    assert history.ahead == ()


def test_the_same_step_again_is_the_same_state():
    history = History().apply(A).apply(B)
    assert history.undo().apply(B) == history


def test_branches_keep_their_ends():
    history = History().apply(A).fork("int4").apply(C).apply(B)
    assert steps(history) == (A, C, B)
    back = history.switch("main")
    assert steps(back) == (A,)
    assert steps(back.switch("int4")) == (A, C, B)
    assert steps(back.switch("int4").undo().switch("main").switch("int4")) == (A, C, B)


@pytest.mark.parametrize("name", ["", "  ", "main"])
def test_a_branch_needs_a_new_name(name):
    with pytest.raises(WorkbenchError, match="needs a new name"):
        History().fork(name)


def test_unknown_branches_and_states_are_refused():
    with pytest.raises(WorkbenchError, match="no branch 'x'; there are main"):
        History().switch("x")
    for number in (-1, 1):
        with pytest.raises(WorkbenchError, match=f"no state {number}; there are 0 to 0"):
            History().go(number)


def test_going_anywhere_puts_redo_on_a_branch_that_comes_by():
    history = History().apply(A).fork("other").apply(C)
    assert history.go(1).branch == "main"
    assert history.go(2).branch == "other"
    lost = history.undo().apply(B).go(2)
    assert steps(lost) == (A, C)
    assert lost.tip == lost.at


moves = st.lists(
    st.one_of(
        st.sampled_from([A, B, C]),
        st.sampled_from(["undo", "redo"]),
        st.tuples(st.just("go"), st.integers(0, 6)),
        st.tuples(st.just("fork"), st.sampled_from("xyz")),
        st.tuples(st.just("switch"), st.sampled_from(["main", "x", "y"])),
    ),
    max_size=14,
)


@given(moves)
def test_whatever_is_done_it_stays_a_tree_that_comes_back_from_json(made):
    history = History()
    for move in made:
        before = history
        try:
            if isinstance(move, str):
                history = getattr(history, move)()
            elif isinstance(move, tuple):
                history = getattr(history, move[0])(move[1])
            else:
                history = history.apply(move)
                assert steps(history) == (*steps(before), move)
        except WorkbenchError:
            assert history == before
        assert [node.number for node in history.nodes] == list(range(len(history.nodes)))
        assert all(node.parent is None or node.parent < node.number for node in history.nodes)
        assert history.nodes[: len(before.nodes)] == before.nodes
        assert history.branch in dict(history.branches)
        assert history.path()[0].number == 0
        assert not history.ahead or history.ahead[-1].number == history.tip
    assert History.read(json.loads(json.dumps(history.facts()))) == history

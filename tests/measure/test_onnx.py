"""The graphs that ONNX Runtime is timed with are those that files hold, so they take any number of samples."""

import onnx
import pytest
import torch
from torch import nn

import workbench as wb
from workbench.errors import WorkbenchError
from workbench.measure.runtimes import onnx as runtime
from workbench.measure.runtimes.onnx import convert, open_graph, prepare
from workbench.model.subject import Subject
from workbench.steps import State
from workbench.steps.recipe import Recipe, run
from workbench.task.task import Task


class Speller(nn.Module):
    """Tells three letters, each from the one before: the given one, or where there is none its own."""

    def __init__(self):
        super().__init__()
        self.embed, self.cell, self.fc = nn.Embedding(7, 6), nn.GRUCell(6, 6), nn.Linear(6, 7)

    def forward(self, word, said):
        state = self.embed(word).mean(1)
        last, logits = said[:, 0], []
        for place in range(3):
            last = torch.where(said[:, place] == 0, last, said[:, place])
            state = self.cell(self.embed(last), state)
            logits.append(self.fc(state))
            last = logits[-1].argmax(1)
        return torch.stack(logits, 1)


def test_a_graph_of_one_sample_takes_several():
    model = Speller().eval()
    word, said = torch.randint(1, 7, (5, 4)), torch.zeros(5, 3, dtype=torch.int64)
    said[:, 0] = 2
    forward = prepare(State(model), (word[:1], said[:1]))
    with torch.no_grad():
        torch.testing.assert_close(forward((word, said)), model(word, said))
    graph = convert(State(model), (word[:1], said[:1])).graph
    for value in (*graph.input, *graph.output):
        assert value.type.tensor_type.shape.dim[0].dim_param, value.name


class Single(nn.Module):
    """Works with one sample, and no other number of them."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(6, 2)

    def forward(self, x):
        if len(x) != 1:
            raise ValueError("one at a time")
        return self.fc(x)


def test_a_model_of_one_sample_at_a_time_has_such_a_graph():
    model, x = Single().eval(), torch.randn(1, 6)
    with torch.no_grad():
        torch.testing.assert_close(prepare(State(model), (x,))((x,)), model(x))


class Bag(nn.Module):
    """A bag of embeddings, whose graph holds a choice and a loop."""

    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.EmbeddingBag(50, 12, mode="mean"), nn.Linear(12, 4)

    def forward(self, x):
        return self.head(self.embed(x))


def test_a_graph_with_loops_in_it_is_opened_and_its_weights_are_integers():
    torch.manual_seed(0)
    words = torch.randint(0, 50, (40, 6))
    model = Bag().eval()
    task = Task(train=(words, model(words).detach()), validation=(words, model(words).detach()), metric="mse")
    subject = Subject("bag", model, task)
    for recipe in (Recipe(()), Recipe((wb.Quantize(bits=8),)), Recipe((wb.Quantize(bits=4),))):
        state = run(subject, recipe)
        graph = convert(state, (words[:2],))
        onnx.checker.check_model(graph)
        torch.testing.assert_close(
            torch.as_tensor(open_graph(graph.SerializeToString())((words,))), state.model(words), rtol=1e-4, atol=1e-5
        )


def test_a_graph_that_takes_the_process_along_is_refused(monkeypatch):
    monkeypatch.setattr(runtime, "OPENING", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    monkeypatch.setattr(runtime, "_graphs", type(runtime._graphs)())
    with pytest.raises(WorkbenchError, match="ONNX Runtime crashes when it opens"):
        prepare(State(Bag().eval()), (torch.zeros(2, 6, dtype=torch.int64),))

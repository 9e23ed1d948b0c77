"""What is kept under a digest is found again only where the code is the same."""

import copy
import functools
import os
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from workbench.task.identity import code_digest


class Net(nn.Module):
    def __init__(self, act=F.relu, factor=1.0):
        super().__init__()
        self.act, self.factor = act, factor
        self.fc = nn.Linear(2, 2)

    def forward(self, x):
        return self.act(self.fc(x)) * self.factor


def metric(factor):
    return lambda outputs, targets: factor * (outputs.argmax(1) == targets)


def edited(source):
    """Return a function as a cell of a notebook defines it."""
    scope = {"__name__": "__main__", "torch": torch}
    exec(source, scope)  # noqa: S102  # what a notebook does
    return scope["score"]


DIFFERENT = {
    "activation as a function": (Net(F.relu), Net(torch.tanh)),
    "activation as a module": (nn.Sequential(nn.Linear(2, 2), nn.ReLU()), nn.Sequential(nn.Linear(2, 2), nn.Tanh())),
    "a number": (Net(factor=1e-5), Net(factor=-1e-5)),
    "a lambda's body": (Net(lambda x: x * 2), Net(lambda x: x * 3)),
    "a setting of a layer": (nn.LeakyReLU(0.1), nn.LeakyReLU(0.2)),
    "a closure": (metric(1.0), metric(100.0)),
    "an argument of a partial": (functools.partial(F.leaky_relu, negative_slope=0.1), functools.partial(F.leaky_relu)),
    "an edited cell": (
        edited("def score(o, t):\n    return (o.argmax(1) == t).double()"),
        edited("def score(o, t):\n    return 100 * (o.argmax(1) == t).double()"),
    ),
    "an edited helper": (
        edited("def help(x):\n    return x\ndef score(o, t):\n    return help(o)"),
        edited("def help(x):\n    return -x\ndef score(o, t):\n    return help(o)"),
    ),
    "a global number": (
        edited("LIMIT = 1\ndef score(o, t):\n    return o > LIMIT"),
        edited("LIMIT = 2\ndef score(o, t):\n    return o > LIMIT"),
    ),
    "a default": (
        edited("def score(o, t, k=1):\n    return o * k"),
        edited("def score(o, t, k=2):\n    return o * k"),
    ),
    "a tensor that is no buffer": (Net(torch.ones(2).mul), Net(torch.zeros(2).mul)),
}


@pytest.mark.parametrize("pair", DIFFERENT.values(), ids=DIFFERENT)
def test_other_code_has_another_digest(pair):
    one, other = pair
    assert code_digest(one) != code_digest(other)
    assert code_digest(one) == code_digest(one)


def test_an_attribute_is_no_global_of_its_name():
    source = "fc = {}\ndef score(o, t):\n    return o.fc"
    assert code_digest(edited(source.format(1))) == code_digest(edited(source.format(2)))


def test_copies_runs_and_modes_change_nothing():
    net = Net()
    digest = code_digest(net)
    assert code_digest(copy.deepcopy(net)) == digest
    net.train()(torch.zeros(1, 2))
    assert code_digest(net) == digest
    with torch.no_grad():
        net.fc.weight.zero_()
    assert code_digest(net) == digest, "weights are told by their values, elsewhere"


def test_a_hook_counts():
    net = Net()
    digest = code_digest(net)
    handle = net.register_forward_hook(lambda *_: None)
    assert code_digest(net) != digest
    handle.remove()
    assert code_digest(net) == digest


def test_hooks_go_by_what_they_do_and_not_by_when_they_were_put_on():
    def hook(*_):
        return None

    nets = [Net(), Net()]
    for net in nets:
        net.register_forward_pre_hook(hook)
    assert code_digest(nets[0]) == code_digest(nets[1])


def test_another_process_gives_the_same():
    values = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU()), {"a": {1, 2, "x", "y"}}
    code = (
        "import torch.nn as nn; from workbench.task.identity import code_digest;"
        "print(code_digest(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU()), {'a': {1, 2, 'x', 'y'}}))"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == code_digest(*values)

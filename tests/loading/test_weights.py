"""Checkpoints as others wrote them: data, never code, and a clear word where they do not fit."""

import pickle
import random
from contextlib import suppress

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import workbench as wb
from tests import nets
from workbench.errors import WorkbenchError
from workbench.loading.weights import load_weights, state_dict


@pytest.fixture
def model():
    return nets.build("mlp", seed=1)[0]


WANTED = nets.build("mlp")[0].state_dict()


def equal(model):
    return all(torch.equal(value, WANTED[name]) for name, value in model.state_dict().items())


def under(prefix):
    return {f"{prefix}{name}": value for name, value in WANTED.items()}


@pytest.mark.parametrize(
    "content",
    [
        WANTED,
        {"state_dict": WANTED, "epoch": 7},
        {"state_dict": under("module."), "best_prec1": 92.6},
        {"best_prec1": torch.tensor(92.6), "state_dict": under("module.")},
        under("module."),
        under("_orig_mod."),
        under("module._orig_mod."),
        {"model": under("model."), "optimizer": {"lr": 0.1, "state": {}}},
        {"model": {"state_dict": WANTED}},
        {name: value for name, value in WANTED.items() if "num_batches_tracked" not in name},
    ],
    ids=range(10),
)
def test_the_forms_that_people_save_are_read(model, tmp_path, content):
    torch.save(content, tmp_path / "w.pt")
    assert not equal(model)
    load_weights(model, tmp_path / "w.pt")
    assert all(
        torch.equal(value, WANTED[name]) for name, value in model.state_dict().items() if "num_batches" not in name
    )


def test_the_old_format_of_torch_is_read(model, tmp_path):
    torch.save({"state_dict": WANTED}, tmp_path / "w.th", _use_new_zipfile_serialization=False)
    load_weights(model, tmp_path / "w.th")
    assert equal(model)


def test_safetensors_are_read(model, tmp_path):
    save_file(under("module."), tmp_path / "w.safetensors")
    load_weights(model, tmp_path / "w.safetensors")
    assert equal(model)


def refused(model, path, said):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(WorkbenchError, match=said):
        load_weights(model, path)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_missing_and_unexpected_names_are_listed(model, tmp_path):
    content = {name: value for name, value in WANTED.items() if name != "3.bias"} | {"fc.weight": torch.ones(2)}
    torch.save(content, tmp_path / "w.pt")
    refused(model, tmp_path / "w.pt", r"Missing: 3\.bias\. Unexpected: fc\.weight\.")


def test_long_lists_are_cut_short(model, tmp_path):
    torch.save({f"x{n}": torch.ones(1) for n in range(30)}, tmp_path / "w.pt")
    refused(model, tmp_path / "w.pt", r"x7 and 22 more")


def test_another_shape_is_named_with_both(model, tmp_path):
    torch.save({**WANTED, "0.weight": torch.ones(3, 10)}, tmp_path / "w.pt")
    refused(model, tmp_path / "w.pt", r"0\.weight is \(3, 10\), the model has \(16, 10\)")


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(model, tmp_path, bad):
    torch.save({**WANTED, "0.bias": torch.full((16,), bad)}, tmp_path / "w.pt")
    refused(model, tmp_path / "w.pt", r"NaN or infinite values in 0\.bias")


class Evil:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (open, (str(self.target), "w"))


def test_a_pickle_with_code_is_refused_and_runs_nothing(model, tmp_path):
    content = {"state_dict": WANTED, "extra": Evil(tmp_path / "ran")}
    torch.save(content, tmp_path / "w.pt")
    refused(model, tmp_path / "w.pt", r"could run code of whoever made it.*torch\.save\(model\.state_dict\(\)")
    (tmp_path / "w.pkl").write_bytes(pickle.dumps(content))
    refused(model, tmp_path / "w.pkl", r"w\.pkl")
    assert not (tmp_path / "ran").exists()


def test_a_whole_pickled_model_is_refused(model, tmp_path):
    torch.save(nn.Linear(2, 2), tmp_path / "w.pt")
    refused(model, tmp_path / "w.pt", r"holds more than tensors.*convert it")


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04", b"\x80\x02"])
@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
def test_a_broken_file_is_refused(model, tmp_path, content, name):
    (tmp_path / name).write_bytes(content)
    refused(model, tmp_path / name, name)


@pytest.mark.parametrize("part", [0.1, 0.5, 0.95])
def test_a_truncated_file_is_refused(model, tmp_path, part):
    torch.save(WANTED, tmp_path / "w.pt")
    whole = (tmp_path / "w.pt").read_bytes()
    (tmp_path / "w.pt").write_bytes(whole[: int(part * len(whole))])
    refused(model, tmp_path / "w.pt", r"w\.pt")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"epoch": 3}, "holds no state dict; its keys are epoch"),
        ([1, 2], "holds a list, not a state dict"),
        ({}, "holds no state dict"),
        (torch.ones(3), "holds a Tensor"),
        ({"state_dict": {}}, "holds no state dict"),
    ],
)
def test_what_is_no_state_dict_is_refused(model, tmp_path, content, said):
    torch.save(content, tmp_path / "w.pt")
    refused(model, tmp_path / "w.pt", said)


def test_a_missing_file_or_a_folder_is_refused(tmp_path):
    for path in (tmp_path / "none.pt", tmp_path):
        with pytest.raises(WorkbenchError, match="there is no checkpoint"):
            state_dict(path)


def holds_itself():
    made = {"state_dict": dict(WANTED)}
    made["state_dict"]["model"] = made
    return made


NESTED = "ignore:The PyTorch API of nested tensors:UserWarning"


@pytest.mark.filterwarnings(NESTED, "ignore:.*quantize:UserWarning")
@pytest.mark.parametrize(
    ("value", "said"),
    [
        (lambda: torch.ones(16, 10).to_sparse(), "a sparse tensor"),
        (lambda: torch.empty(16, 10, device="meta"), "a tensor without values"),
        (lambda: torch.quantize_per_tensor(torch.ones(16, 10), 0.1, 0, torch.qint8), "a quantized tensor"),
        (lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]), "a nested tensor"),
        (lambda: torch.ones(16, 10).to(torch.float8_e4m3fn), "float8_e4m3fn"),
        (lambda: torch.ones(16, 10, dtype=torch.complex64), "complex64"),
    ],
)
def test_tensors_that_are_no_dense_numbers_are_named(model, tmp_path, value, said):
    torch.save({**WANTED, "0.weight": value()}, tmp_path / "w.pt")
    refused(model, tmp_path / "w.pt", said)


def test_a_dict_that_holds_itself_is_refused(model, tmp_path):
    torch.save(holds_itself(), tmp_path / "w.pt")
    refused(model, tmp_path / "w.pt", "dicts within dicts")


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_pickle_is_refused_or_read(model, tmp_path, seed):
    rng = random.Random(seed)  # noqa: S311  # the same damage every time
    torch.save({"state_dict": WANTED}, tmp_path / "w.pt", _use_new_zipfile_serialization=seed % 2 == 0)
    data = bytearray((tmp_path / "w.pt").read_bytes())
    for _ in range(3):
        data[rng.randrange(min(len(data), 1500))] = rng.randrange(256)
    (tmp_path / "w.pt").write_bytes(bytes(data))
    with suppress(WorkbenchError):
        load_weights(model, tmp_path / "w.pt")


def found_in_the_wild(weights):
    """Checkpoints as training scripts, wrappers and averaging leave them, with what is left out of each."""
    later = {name: value + 1 if value.is_floating_point() else value for name, value in weights.items()}
    return {
        "parallel": ({f"module.{name}": value for name, value in weights.items()}, ""),
        "averaged": (
            {"n_averaged": torch.tensor(3), **{f"module.{name}": value for name, value in weights.items()}},
            "n_averaged",
        ),
        "with criterion and metric": (
            {
                "state_dict": {
                    **{f"net.model.{name}": value for name, value in weights.items()},
                    "criterion.weight": torch.ones(3), "metric.total": torch.ones(1),
                },
                "epoch": 3,
            },
            "criterion.weight, metric.total",
        ),
        "wrapped inside": ({name.replace("0.", "0.module.", 1): value for name, value in weights.items()}, ""),
        "compiled": ({f"_orig_mod.{name}": value for name, value in weights.items()}, ""),
        "one of two": ({"model": later, "ema": weights}, ""),
    }  # fmt: skip


WILD = ("parallel", "averaged", "with criterion and metric", "wrapped inside", "compiled", "one of two")


def small():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))


@pytest.mark.parametrize("name", WILD)
def test_checkpoints_as_they_are_found_are_taken(name, tmp_path):
    weights = small().state_dict()
    content, foreign = found_in_the_wild(weights)[name]
    path = tmp_path / "weights.pth"
    torch.save(content, path)
    model = small()
    if name == "one of two":
        with pytest.raises(WorkbenchError, match=r"say which one: weights\.pth\[model\], weights\.pth\[ema\]"):
            load_weights(model, path)
        path = tmp_path / "weights.pth[ema]"
    left_out = load_weights(model, path)
    assert left_out.endswith(foreign)
    assert bool(left_out) == bool(foreign)
    assert all(torch.equal(value, weights[key]) for key, value in model.state_dict().items())


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_programs_and_quantized_nets_are_refused_with_the_way_out(tmp_path):
    scripted = torch.jit.script(small().eval())
    scripted.save(str(tmp_path / "scripted.pt"))
    with pytest.raises(WorkbenchError, match="is a TorchScript program, which is code"):
        load_weights(small(), tmp_path / "scripted.pt")
    data = torch.randn(8, 3, 3, 3), torch.zeros(8).long()
    with pytest.raises(WorkbenchError, match="is a TorchScript program, whose layers cannot be replaced"):
        wb.Subject("scripted", scripted, wb.Task(validation=data))

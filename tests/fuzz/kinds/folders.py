"""Folders that export wrote, changed by somebody who makes the checksums anew."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import random
import shutil
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import torch

import workbench as wb
from tests.fuzz.kind import Kind
from tests.fuzz.values import NUMBERS, TEXTS, anything, damaged, places, surgery, text_of
from workbench.errors import WorkbenchError
from workbench.graph.reader.catalogue import PURE, WRITES

FOLDERS = Path(__file__).parents[2] / "loading" / "folders"
GRAPH, WEIGHTS = "program.json.gz", "model.safetensors"
OPERATORS = [f"torch.ops.aten.{name}" for name in (*PURE.split(), *WRITES.split())]
EXPRESSIONS = ("Symbol", "Integer", "Add", "Mul", "Pow", "Mod", "FloorDiv", "s0", "'s1'", "1", "99", "(", ")", ",",
"=", "+", "-", "*", "**",
               "//", "positive", "True", "lambda", "eval", "__import__", ".", "[", "u0")  # fmt: skip


class Folder(Kind):
    name: ClassVar[str] = "folder"

    def prepare(self, home: Path) -> None:
        self.good = sorted(path for path in FOLDERS.iterdir() if path.is_dir())
        self.inputs = {path.name: json.loads(path.with_suffix(".json").read_text())["inputs"] for path in self.good}
        for path in self.good:
            self.last = path.name
            self.use(wb.load_model(path))

    def mutant(self, rng: random.Random, place: Path) -> str:
        good = rng.choice(self.good)
        shutil.copytree(good, place)
        self.last = good.name
        change = rng.choice(CHANGES)
        done = f"{good.name}: {change(rng, place)}"
        if change is not _files and rng.random() < 0.98:
            rehash(place)
        return done

    def read(self, place: Path) -> Any:
        return wb.load_model(place)

    def use(self, made: Any) -> None:
        """Run the model; its weights must be what they were."""
        before = {name: value.clone() for name, value in made.state_dict().items()}
        # A graph may ask for what kernels refuse, and then runs as little as any model given such inputs.
        refused = (WorkbenchError, RuntimeError, TypeError, ValueError, IndexError, NotImplementedError)
        with torch.no_grad(), suppress(*refused):
            made(torch.tensor(self.inputs[self.last]))
        for name, value in made.state_dict().items():
            if value.numel() and not torch.equal(
                before[name].flatten().view(torch.uint8), value.flatten().view(torch.uint8)
            ):
                raise AssertionError(f"running the model changed {name}")


def rehash(folder: Path) -> None:
    """Make the checksums anew, as whoever changes a folder would."""
    listed = [path for path in sorted(folder.iterdir()) if path.name != "checksums.txt" and path.is_file()]
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}" for path in listed]
    (folder / "checksums.txt").write_text("\n".join(lines) + "\n")


def read_graph(folder: Path) -> Any:
    return json.loads(gzip.decompress((folder / GRAPH).read_bytes()))


def write_graph(folder: Path, facts: Any) -> None:
    (folder / GRAPH).write_bytes(gzip.compress(text_of(facts).encode(), 1))


def read_header(folder: Path) -> tuple[Any, bytes]:
    """Return the header of a folder's weights and the bytes after it."""
    whole = (folder / WEIGHTS).read_bytes()
    (length,) = struct.unpack("<Q", whole[:8])
    return json.loads(whole[8 : 8 + length]), whole[8 + length :]


def write_header(folder: Path, header: Any, rest: bytes) -> None:
    text = text_of(header).encode()
    text += b" " * (-len(text) % 8)
    (folder / WEIGHTS).write_bytes(struct.pack("<Q", len(text)) + text + rest)


def _surgery(rng: random.Random, folder: Path) -> str:
    facts = read_graph(folder)
    done = [
        surgery(rng, facts["graph_module"] if rng.random() < 0.9 else facts) for _ in range(rng.choice((1, 1, 2, 4)))
    ]
    write_graph(folder, facts)
    return "; ".join(done)


def _names(rng: random.Random, folder: Path) -> str:
    """Rename values, arguments, parameters and the like, everywhere or at one place."""
    facts = read_graph(folder)
    texts = [(part, key) for part, key in places(facts) if isinstance(part[key], str)]
    part, key = rng.choice(texts)
    old, new = part[key], rng.choice(TEXTS)
    for other, name in texts if rng.random() < 0.6 else [(part, key)]:
        if other[name] == old:
            other[name] = new
    if rng.random() < 0.3:
        tensors = facts["graph_module"]["graph"]["tensor_values"]
        if old in tensors:
            tensors[new] = tensors.pop(old)
    write_graph(folder, facts)
    return f"renamed {old!r:.40} to {new!r:.40}"


def _operators(rng: random.Random, folder: Path) -> str:
    """Let nodes call something else, with arguments of other kinds and values."""
    facts = read_graph(folder)
    nodes = facts["graph_module"]["graph"]["nodes"]
    done = []
    for _ in range(rng.choice((1, 1, 2, 3))):
        node = rng.choice(nodes)
        how = rng.randrange(5)
        if how == 0:
            node["target"] = rng.choice(OPERATORS) if rng.random() < 0.7 else rng.choice(TEXTS)
        elif how == 1 and node["inputs"]:
            rng.choice(node["inputs"])["arg"] = _argument(rng, nodes)
        elif how == 2:
            node["inputs"].append(
                {"name": rng.choice(ARGUMENTS), "arg": _argument(rng, nodes), "kind": rng.choice((1, 2))}
            )
        elif how == 3:
            _constant(rng, nodes)
        else:
            nodes.insert(rng.randrange(len(nodes)), dict(rng.choice(nodes), name="twice"))
        done.append(f"{how} {node['target']}")
    write_graph(folder, facts)
    return "operators " + ", ".join(done)


ARGUMENTS = ("self", "input", "other", "dim", "size", "shape", "dtype", "device", "train", "training", "alpha",
"value", "stride", "padding",
             "dilation", "groups", "mode", "approximate", "equation", "pin_memory", "layout", "memory_format",
             "generator", "out")  # fmt: skip


def _argument(rng: random.Random, nodes: list[Any]) -> Any:
    value = rng.choice(nodes)["name"]
    number = rng.choice(NUMBERS)
    return rng.choice((
        {"as_tensor": {"name": value}}, {"as_tensors": [{"name": value}] * rng.choice((0, 1, 3))}, {"as_int": number},
        {"as_ints": [rng.choice(NUMBERS) for _ in range(rng.choice((0, 1, 2, 4, 30)))]}, {"as_float": number},
        {"as_bool": rng.choice((True, False, 1))}, {"as_string": rng.choice(TEXTS)},
        {"as_scalar_type": rng.randrange(40)},
        {"as_sym_int": {"as_name": value}}, {"as_sym_ints": [{"as_int": number}, {"as_name": value}]},
        {"as_none": True},
        {"as_device": {"type": rng.choice(("cpu", "cuda", "meta")), "index": None}}, {"as_layout": rng.randrange(9)},
        {"as_memory_format": rng.randrange(6)}, {"as_graph": {"name": "g", "graph": {}}},
        {"as_custom_obj": {"name": "c", "class_fqn": "os"}},
        {"as_operator": rng.choice(TEXTS)}, anything(rng),
    ))  # fmt: skip


def _constant(rng: random.Random, nodes: list[Any]) -> None:
    """Add a node that makes a tensor of numbers, and let another read it."""
    sizes = [rng.choice((0, 1, 2, 3, 8, 2**10, 2**16, 2**30, 2**62)) for _ in range(rng.randrange(4))]
    name = rng.choice(("ones", "zeros", "empty", "full", "arange", "eye", "linspace"))
    overload = "memory_format" if name == "empty" else "default"
    arg = {"as_ints": sizes} if name in ("ones", "zeros", "empty", "full") else {"as_int": rng.choice(NUMBERS)}
    inputs = [{"name": {"arange": "end", "eye": "n", "linspace": "start"}.get(name, "size"), "arg": arg, "kind": 1}]
    if name in ("full", "linspace"):
        inputs.append({"name": "fill_value" if name == "full" else "end", "arg": {"as_float": 1.0}, "kind": 1})
    if name == "linspace":
        inputs.append({"name": "steps", "arg": {"as_int": rng.choice(NUMBERS)}, "kind": 1})
    target = f"torch.ops.aten.{name}.{overload}"
    nodes.insert(
        0,
        {
            "target": target,
            "inputs": inputs,
            "outputs": [{"as_tensor": {"name": "made"}}],
            "metadata": {},
            "name": "made",
        },
    )
    reads = [part for node in nodes[1:] for part in node["inputs"] if "as_tensor" in part["arg"]]
    if reads and rng.random() < 0.7:
        rng.choice(reads)["arg"] = {"as_tensor": {"name": "made"}}


def _sizes(rng: random.Random, folder: Path) -> str:
    """Write other size expressions and sizes."""
    facts = read_graph(folder)
    every = places(facts["graph_module"]["graph"])
    wanted = [(p, k) for p, k in every if k in ("expr_str", "as_int", "as_ints", "hint", "sizes", "dtype")]
    for part, key in rng.sample(wanted, min(len(wanted), rng.choice((1, 2, 5)))):
        if key == "expr_str":
            part[key] = " ".join(rng.choice(EXPRESSIONS) for _ in range(rng.choice((1, 3, 8, 200))))
        else:
            part[key] = (
                rng.choice(NUMBERS)
                if key != "sizes"
                else [{"as_int": rng.choice(NUMBERS)} for _ in range(rng.randrange(5))]
            )
    write_graph(folder, facts)
    return "sizes"


def _specs(rng: random.Random, folder: Path) -> str:
    """Change signatures, tree specs and the table of tied tensors."""
    facts = read_graph(folder)
    module = facts["graph_module"]
    how = rng.randrange(5)
    if how == 0:
        surgery(rng, module["signature"])
    elif how == 1:
        own = module["module_call_graph"][0]["signature"]
        own["forward_arg_names"] = [rng.choice(TEXTS) for _ in range(2)]
        own["in_spec"] = json.dumps(
            [
                1,
                {
                    "type": rng.choice(TEXTS),
                    "context": json.dumps({"__enum__": True, "fqn": "evil_mod:E"}),
                    "children_spec": [],
                },
            ]
        )
    elif how == 2:
        names = [
            spec[kind][f"{kind}_name"]
            for spec in module["signature"]["input_specs"]
            for kind in ("parameter", "buffer")
            if kind in spec
        ]
        facts["aliases"] = {rng.choice([*names, *TEXTS]): rng.choice([*names, *TEXTS]) for _ in range(4)}
    elif how == 3:
        spec = rng.choice(module["signature"]["input_specs"])
        kind = next(iter(spec))
        spec[rng.choice(("token", "custom_obj", "constant_input", "tensor_constant", "buffer", "user_input"))] = (
            spec.pop(kind)
        )
    else:
        facts["guards_code"] = [rng.choice(TEXTS)]
    write_graph(folder, facts)
    return f"specs {how}"


def _header(rng: random.Random, folder: Path) -> str:
    """Change what the weights' header says, the workbench's entry or the container's."""
    header, rest = read_header(folder)
    own = json.loads(header["__metadata__"]["workbench"])
    if rng.random() < 0.75 and own["packed"]:
        facts = rng.choice(list(own["packed"].values()))
        if rng.random() < 0.6:
            key = rng.choice(
                (
                    *facts,
                    "bits",
                    "shape",
                    "axis",
                    "low",
                    "high",
                    "groups",
                    "layout",
                    "entropy",
                    "dtype",
                    "coding",
                    "format",
                )
            )
            facts[key] = rng.choice((rng.choice(NUMBERS), [rng.choice(NUMBERS)] * rng.choice((1, 2, 3)), anything(rng)))
        else:
            surgery(rng, own)
        header["__metadata__"]["workbench"] = text_of(own)
    else:
        surgery(rng, header)
    write_header(folder, header, rest)
    return "header"


def _bytes(rng: random.Random, folder: Path) -> str:
    name = rng.choice((GRAPH, WEIGHTS, "measurement.json", "recipe.json", "checksums.txt"))
    data = (folder / name).read_bytes()
    if name == GRAPH and rng.random() < 0.7:
        data = gzip.compress(damaged(rng, gzip.decompress(data)), 1)
    else:
        data = damaged(rng, data)
    (folder / name).write_bytes(data)
    return f"bytes of {name}"


def _files(rng: random.Random, folder: Path) -> str:
    """Put something else than a plain file in the place of one."""
    name = rng.choice((GRAPH, WEIGHTS, "measurement.json"))
    path = folder / name
    how = rng.randrange(7)
    data = path.read_bytes()
    path.unlink()
    if how == 0:
        os.mkfifo(path)
    elif how == 1:
        path.symlink_to("/dev/zero")
    elif how == 2:
        path.mkdir()
    elif how == 3:
        path.symlink_to(path)
    elif how == 4:
        path.write_bytes(gzip.compress(b" " * rng.choice((1 << 20, 1 << 24)), 9))
    elif how == 5:
        with path.open("wb") as file:
            file.truncate(1 << 36)
    else:
        (folder / "inner").write_bytes(data)
        path.symlink_to("inner")
    if how in (0, 1, 3, 5):  # what cannot be read, or not to its end
        rehash_but(folder, name)
    else:
        rehash(folder)
    return f"file {name} {how}"


def rehash_but(folder: Path, name: str) -> None:
    """Leave a line for a file that cannot be read."""
    path = folder / name
    path.rename(folder.with_suffix(".aside"))
    rehash(folder)
    folder.with_suffix(".aside").rename(path)
    with (folder / "checksums.txt").open("a") as file:
        file.write(f"{'0' * 64}  {name}\n")


def _record(rng: random.Random, folder: Path) -> str:
    facts = json.loads((folder / "measurement.json").read_text())
    facts["subject"] = anything(rng) if rng.random() < 0.5 else {"name": anything(rng), "source": anything(rng)}
    (folder / "measurement.json").write_text(text_of(facts))
    return "record"


CHANGES = (
    _surgery,
    _surgery,
    _names,
    _names,
    _operators,
    _operators,
    _operators,
    _sizes,
    _specs,
    _header,
    _header,
    _bytes,
    _record,
    _files,
)

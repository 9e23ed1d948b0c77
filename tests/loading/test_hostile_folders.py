"""A folder may come from anybody, with checksums that fit: what it says is refused, or does no harm."""

import gzip
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import workbench as wb
from tests.fuzz.kinds.folders import (
    FOLDERS,
    GRAPH,
    WEIGHTS,
    read_graph,
    read_header,
    rehash,
    rehash_but,
    write_graph,
    write_header,
)
from tests.fuzz.watch import watched
from workbench.errors import WorkbenchError

CODE = "__import__('os').system('true')"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def crafted(tmp_path):
    """Return a function that gives a folder whose graph was changed."""

    def make(change, good="residual"):
        folder = tmp_path / "crafted"
        shutil.copytree(FOLDERS / good, folder)
        facts = read_graph(folder)
        change(facts)
        write_graph(folder, facts)
        rehash(folder)
        return folder

    return make


def nodes(facts):
    return facts["graph_module"]["graph"]["nodes"]


def signature(facts):
    return facts["graph_module"]["signature"]


def own_signature(facts):
    return facts["graph_module"]["module_call_graph"][0]["signature"]


def output(facts, name):
    """Let a value be what the model gives."""
    signature(facts)["output_specs"][0]["user_output"]["arg"]["as_tensor"]["name"] = name


def call(target, *inputs, name="made"):
    given = [{"name": key, "arg": {kind: value}, "kind": 1} for key, kind, value in inputs]
    return {
        "target": f"torch.ops.aten.{target}",
        "inputs": given,
        "outputs": [{"as_tensor": {"name": name}}],
        "name": name,
    }


def renamed(facts, old, new):
    """Give a value another name wherever it is read or made."""
    text = json.dumps(facts)
    facts.clear()
    facts.update(json.loads(text.replace(json.dumps(old), json.dumps(new))))


def parameter(facts, number=0):
    return [spec["parameter"] for spec in signature(facts)["input_specs"] if "parameter" in spec][number]


# Each does no harm: what it changes is never read, or is mapped to a name of our own.
HARMLESS = {
    "code as an argument's name": lambda f: own_signature(f).update(forward_arg_names=[f"x={CODE}, y"]),
    "a tree that names a module": lambda f: own_signature(f).update(
        in_spec=json.dumps([1, {"type": "evil", "context": json.dumps({"fqn": "evil_mod:E"}), "children_spec": []}])
    ),
    "a tree out of a library": lambda f: own_signature(f).update(out_spec='[1, {"type": "ctypes.CDLL"}]'),
    "code as a value's name": lambda f: renamed(f, "conv2d", f"a\n{CODE}"),
    "code as an input's name": lambda f: renamed(f, "x", f"x):\n    {CODE}\n    return (0"),
    "a keyword as a value's name": lambda f: renamed(f, "conv2d", "lambda"),
    "code in a stack trace": lambda f: [node.update(metadata={"stack_trace": CODE,
    "nn_module_stack": CODE}) for node in nodes(f)],
    "a name that the class has": lambda f: f["graph_module"].update(metadata={"__class__": CODE}),
    "a class of named tuples": lambda f: (
        f["graph_module"].update(treespec_namedtuple_fields={"os.system": {"field_names": ["x"]}})
    ),
}  # fmt: skip


@pytest.mark.parametrize("change", HARMLESS.values(), ids=HARMLESS)
def test_names_and_trees_are_never_interpreted(crafted, change):
    folder = crafted(change)
    wb.load_model(FOLDERS / "residual")
    with watched() as happened:
        model = wb.load_model(folder)
    assert happened == []
    known = json.loads((FOLDERS / "residual.json").read_text())
    with torch.no_grad():
        torch.testing.assert_close(model(torch.tensor(known["inputs"])), torch.tensor(known["outputs"]))


def make_writes_weight(facts):
    nodes(facts).insert(
        0,
        call(
            "mul_.Tensor", ("self", "as_tensor", {"name": parameter(facts)["arg"]["name"]}), ("other", "as_float", 2.0)
        ),
    )
    output(facts, "made")


def make_writes_view(facts):
    weight = parameter(facts)["arg"]["name"]
    nodes(facts)[:0] = [
        call("view.default", ("self", "as_tensor", {"name": weight}), ("size", "as_ints", [-1]), name="seen"),
        call("zero_.default", ("self", "as_tensor", {"name": "seen"})),
    ]


def make_constant(target, *inputs):
    def change(facts):
        nodes(facts).insert(0, call(target, *inputs))
        output(facts, "made")

    return change


def read_early(facts):
    nodes(facts)[0]["inputs"][0]["arg"] = {"as_tensor": {"name": nodes(facts)[-1]["name"]}}


def grow(facts):
    """Multiply a size with itself, again and again."""
    last = "sym"
    nodes(facts).insert(0, {"target": "torch.ops.aten.sym_size.int", "inputs": [
        {"name": "self", "arg": {"as_tensor": {"name": "x"}}, "kind": 1}, {"name": "dim", "arg": {"as_int": 0},
        "kind": 1}],
        "outputs": [{"as_sym_int": {"as_name": "sym"}}], "name": "sym"})  # fmt: skip
    for number in range(1, 60):
        given = [{"name": key, "arg": {"as_sym_int": {"as_name": last}}, "kind": 1} for key in "ab"]
        last = f"sym_{number}"
        nodes(facts).insert(
            number,
            {"target": "_operator.mul", "inputs": given, "outputs": [{"as_sym_int": {"as_name": last}}], "name": last},
        )


def expression(text):
    return lambda f: f["graph_module"]["graph"]["sym_int_values"].update(s={"as_expr": {"expr_str": text}})


def spec(table, **added):
    return lambda f: signature(f)[table].append(added)


def wide_weight(facts):
    facts["graph_module"]["graph"]["tensor_values"]["p_fc_weight"]["sizes"].append({"as_int": 2**40})


def tie_name(name):
    return lambda f: parameter(f).update(parameter_name=name)


REFUSED = {
    "a target that reads files": (make_constant("from_file.default", ("filename", "as_string", "/etc/passwd")),
    "may not"),
    "a target that writes files": (lambda f: nodes(f)[0].update(target="torch.ops.aten.save.default"), "may not"),
    "a target from elsewhere": (lambda f: nodes(f)[0].update(target="os.system"), "may not"),
    "a target that is a tensor's name": (lambda f: nodes(f)[0].update(target=parameter(f)["parameter_name"]),
    "may not"),
    "a target under another overload": (lambda f: nodes(f)[0].update(target="torch.ops.aten.conv2d.out"), "may not"),
    "random numbers": (make_constant("randn.default", ("size", "as_ints", [2])), "may not"),
    "memory as it lies": (make_constant("as_strided.default", ("self", "as_tensor", {"name": "x"}), ("size",
    "as_ints", [99]), ("stride", "as_ints", [9])), "may not"),
    "a resize": (make_constant("resize_.default", ("self", "as_tensor", {"name": "x"}), ("size", "as_ints",
    [2**40])), "may not"),
    "a write into a weight": (make_writes_weight, "writes into the memory of a tensor that the model holds"),
    "a write into a weight's view": (make_writes_view, "writes into the memory of a tensor that the model holds"),
    "four gigabytes of ones": (make_constant("ones.default", ("size", "as_ints", [2**30])), "MiB"),
    "ones that are repeated": (make_constant("repeat.default", ("self", "as_tensor", {"name": "x"}), ("repeats",
    "as_ints", [1, 1, 2**15, 2**15])), "MiB"),
    "a picture that is padded": (make_constant("constant_pad_nd.default", ("self", "as_tensor", {"name": "x"}),
    ("pad", "as_ints", [2**30, 2**30])), "MiB"),
    "a tensor in a billion parts": (make_constant("unbind.int", ("self", "as_tensor", {"name": "x"}), ("dim",
    "as_int", 2)), "parts"),
    "training": (make_constant("dropout.default", ("input", "as_tensor", {"name": "x"}), ("p", "as_float", 0.5),
    ("train", "as_bool", True)), "training"),
    "an argument that is not one": (lambda f: nodes(f)[0]["inputs"].append({"name": f"x={CODE}",
    "arg": {"as_int": 1}, "kind": 2}), "not one of its arguments"),
    "an argument of another kind": (lambda f: nodes(f)[0]["inputs"][0].update(arg={"as_string": CODE}),
    "does not take"),
    "an equation with code": (make_constant("einsum.default", ("equation", "as_string", CODE), ("tensors",
    "as_tensors", [{"name": "x"}])), "does not take"),
    "an operator as an argument": (lambda f: nodes(f)[0]["inputs"][0].update(arg={"as_operator": "os.system"}),
    "may not"),
    "an object of a class": (lambda f: nodes(f)[0]["inputs"][0].update(arg={"as_custom_obj": {"name": "x",
    "class_fqn": "os"}}), "may not"),
    "another device": (make_constant("ones.default", ("size", "as_ints", [2]), ("device", "as_device",
    {"type": "cuda", "index": 0})), "device"),
    "a value before it is made": (read_early, "before it is computed"),
    "two values of one name": (lambda f: nodes(f).insert(0, dict(nodes(f)[0])), "to two values"),
    "an expression with code": (expression(CODE), "no size expression"),
    "an expression without end": (expression("(" * 900), "no size expression"),
    "guards": (lambda f: f.update(guards_code=[CODE]), "guards"),
    "a size that grows": (grow, "more than 64 bits"),
    "a number without end": (lambda f: nodes(f)[0]["inputs"][-1].update(arg={"as_int": 10**400}), "more than 64 bits"),
    "a shape that is not there": (wide_weight, "the file has|has a tensor of the sizes"),
    "a name without end": (tie_name("a." * 5000), "names a tensor"),
    "a tensor twice": (lambda f: parameter(f).update(parameter_name=parameter(f, 1)["parameter_name"]), "twice"),
    "a tensor that holds tensors": (
        lambda f: f.update(aliases={"fc": "fc.weight"}) or parameter(f).update(parameter_name="fc"),
        "what holds one",
    ),
    "tied tensors in a ring": (lambda f: f.update(aliases={"fc.weight": "a", "a": "fc.weight"}), "not in the file"),
    "an output that changes the model": (
        lambda f: signature(f)["output_specs"].append({"buffer_mutation": {"arg": {"name": "x"}, "buffer_name": "b"}}),
        "output",
    ),
    "an input of a class": (lambda f: signature(f)["input_specs"].append({"custom_obj": {"arg": {"name": "x",
    "class_fqn": "os"}, "custom_obj_name": "o"}}), "input"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "said"), REFUSED.values(), ids=REFUSED)
def test_what_a_graph_may_not_say_is_refused(crafted, change, said):
    folder = crafted(change)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with watched() as happened, pytest.raises(WorkbenchError, match=said) as refused:
        wb.load_model(folder)
    assert [what for what in happened if not what.startswith("compile")] == []  # pytest compiles what it matches
    assert len(str(refused.value).splitlines()) == 1
    assert str(folder) in str(refused.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10


NAMES = ['a"]; import os #', "a'b", "a\\", "a\nb", "lambda", "__class__", "_modules", "forward", "training",
"weight\x00",
         "ﬁ", "", " ", "{0}", "größe", "a:b", "_steps", "T" * 300, "__import__('os')"]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_layer_may_have_any_name_and_gets_a_plain_one(tmp_path, name):
    """Rename the layer in the graph and in the weights; then load, run, trace and write the model again."""
    folder = tmp_path / "named"
    shutil.copytree(FOLDERS / "residual", folder)
    facts = read_graph(folder)
    for spec in signature(facts)["input_specs"]:
        for inner in spec.values():
            for key in ("parameter_name", "buffer_name"):
                if key in inner:
                    inner[key] = inner[key].replace("conv.", f"{name}.")
    write_graph(folder, facts)
    header, rest = read_header(folder)
    header = {key.replace("conv.", f"{name}."): value for key, value in header.items()}
    write_header(folder, header, rest)
    rehash(folder)
    model = wb.load_model(folder)
    inputs = torch.tensor(json.loads((FOLDERS / "residual.json").read_text())["inputs"])
    wanted = wb.load_model(FOLDERS / "residual")
    with torch.no_grad():
        assert torch.equal(model(inputs), wanted(inputs))
    assert len(model.state_dict()) == len(wanted.state_dict())
    torch.export.export(model, (inputs,), strict=False).module()(inputs)
    if name in ("größe", "a:b"):
        assert f"{name}.weight" in model.state_dict()


def test_writes_of_the_graph_itself_are_kept_apart_from_inputs(crafted):
    """The input is written to and then read: it stays what the caller gave."""

    def change(facts):
        nodes(facts).insert(0, call("mul_.Tensor", ("self", "as_tensor", {"name": "x"}), ("other", "as_float", 2.0)))
        output(facts, "made")

    model = wb.load_model(crafted(change))
    inputs = torch.ones(2, 1, 6, 6)
    assert torch.equal(model(inputs), torch.full((2, 1, 6, 6), 2.0))
    assert inputs.sum() == 72


def header_change(**changes):
    def change(own):
        next(iter(own["packed"].values())).update(changes)

    return change


HEADERS = {
    "bits": header_change(bits=10**9),
    "bits as text": header_change(bits="4"),
    "no bits": header_change(bits=True),
    "many values": header_change(shape=[2**20, 2**20], layout="index"),
    "more than there are": header_change(shape=[2**62, 2**62]),
    "a negative size": header_change(shape=[-4, -1, 3, 3]),
    "no layout": header_change(layout="zeros"),
    "no coding": header_change(coding="os.system"),
    "no axis": header_change(axis=7),
    "many groups": header_change(groups=[[1, 2**40]], axis=0),
    "a type": header_change(dtype="F8_E4M3"),
    "a list of descriptions": lambda own: own.update(packed=[]),
    "a description that is none": lambda own: own.update(packed={"x": 5}),
    "a tensor that is not there": lambda own: own["packed"].update(x={"shape": [2]}),
    "depth": lambda own: own.update(packed=json.loads("[" * 300 + "]" * 300)),
}  # fmt: skip


@pytest.mark.parametrize("change", HEADERS.values(), ids=HEADERS)
def test_what_a_header_may_not_say_is_refused_before_memory_is_taken(tmp_path, change):
    folder = tmp_path / "crafted"
    shutil.copytree(FOLDERS / "four_bits", folder)
    header, rest = read_header(folder)
    own = json.loads(header["__metadata__"]["workbench"])
    change(own)
    header["__metadata__"]["workbench"] = json.dumps(own)
    write_header(folder, header, rest)
    rehash(folder)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(WorkbenchError, match=r"model\.safetensors"):
        wb.load_model(folder)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10


@pytest.fixture
def copied(tmp_path):
    shutil.copytree(FOLDERS / "conv", tmp_path / "copied")
    return tmp_path / "copied"


@pytest.mark.parametrize("text", [b" " * (1 << 28), b"[" + b"[]," * (1 << 20), b"[" * (1 << 20), b"\xff" * 100])
def test_a_graph_that_unpacks_to_too_much_is_refused(copied, text):
    (copied / GRAPH).write_bytes(gzip.compress(text, 9))
    rehash(copied)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(WorkbenchError, match=r"program\.json\.gz"):
        wb.load_model(copied)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10


@pytest.mark.parametrize("name", [GRAPH, WEIGHTS, "recipe.json"])
@pytest.mark.parametrize("what", ["pipe", "device", "folder", "ring", "outside", "hole"])
def test_only_plain_files_of_the_folder_are_opened(copied, tmp_path, name, what):
    path, data = copied / name, (copied / name).read_bytes()
    path.unlink()
    if what == "pipe":
        os.mkfifo(path)
    if what == "device":
        path.symlink_to("/dev/zero")
    if what == "folder":
        path.mkdir()
    if what == "ring":
        path.symlink_to(path)
    if what == "outside":
        (tmp_path / "secret").write_bytes(data)
        path.symlink_to(tmp_path / "secret")
    if what == "hole":
        with path.open("wb") as file:
            file.truncate(1 << 36)
    rehash_but(copied, name)
    began = time.monotonic()
    with pytest.raises(WorkbenchError, match=name.replace(".", r"\.")):
        wb.load_model(copied)
    assert time.monotonic() - began < 5


def test_a_link_within_the_folder_is_followed(copied):
    (copied / GRAPH).rename(copied / "graph")
    (copied / GRAPH).symlink_to("graph")
    rehash(copied)
    wb.load_model(copied)


@pytest.mark.parametrize("subject", [5, [], {"name": 5, "source": ["digits-resnet"]}, {"name": "a\nb"}, "x", None])
def test_the_record_may_say_anything(copied, subject):
    (copied / "measurement.json").write_text(json.dumps({"subject": subject}))
    rehash(copied)
    task = wb.Task(validation=(torch.randn(4, 1, 6, 6), torch.zeros(4, dtype=torch.long)))
    assert wb.load(copied, task=task).name == "copied"


def test_loading_reaches_no_code_in_a_process_of_its_own(tmp_path):
    """One folder names code as an argument, the other a module that lies in the current folder."""
    for number, change in enumerate((HARMLESS["code as an argument's name"], HARMLESS["a tree that names a module"])):
        folder = tmp_path / str(number)
        shutil.copytree(FOLDERS / "conv", folder)
        facts = read_graph(folder)
        change(facts)
        write_graph(folder, facts)
        (folder / "evil_mod.py").write_text("open('ran', 'w')\n")
        rehash(folder)
    code = f"import os, sys; sys.path[:0] = [{str(ROOT)!r}, '.']\nimport workbench as wb\n"
    code += "for name in '01':\n    os.chdir(name)\n    wb.load_model('.')\n    os.chdir('..')"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=120)
    assert not list(tmp_path.rglob("ran"))

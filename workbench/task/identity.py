"""What a model, a metric or a loss computes, as hex digits that change with its code.

Weights alone do not tell models apart, nor does a name tell metrics: a Tanh net may hold a ReLU net's weights, and a
function that is edited in its cell keeps its name. Whatever is kept for later is therefore keyed by the code as well:
byte code with its constants, defaults, closures, and the functions and values that it names, all the way down to
libraries, of which name and version count.
"""

from __future__ import annotations

import dis
import functools
import hashlib
import itertools
import sys
import sysconfig
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

PLAIN = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis), torch.dtype, torch.device, slice, range)
LIBRARIES = tuple(str(Path(path).resolve()) for path in {*sysconfig.get_paths().values()} if path)
# What of a module is no code: tensors are told by their values elsewhere, and the mode is set by whoever runs it.
TENSORS = ("_parameters", "_buffers", "_modules", "training")
DEEPEST = 30
MOST_PARTS = 1_000_000  # a function may name a whole session; what comes after so much is not looked at


def code_digest(*values: Any) -> str:
    """Return hex digits that tell apart what these objects compute: modules, functions, and the values they hold.

    Parameters and buffers of a module do not count; other tensors do.
    """
    digest = hashlib.sha256(f"{torch.__version__}".encode())
    for part in itertools.islice(_parts(values, {}, 0), MOST_PARTS):
        digest.update(part.encode() if isinstance(part, str) else part)
        digest.update(b"\0")
    return digest.hexdigest()


def tensor_bytes(value: Tensor) -> bytes:
    """Return the bytes of a tensor's values, one after the other."""
    return value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes()


def _parts(value: Any, seen: dict[int, tuple[int, Any]], depth: int) -> Iterator[str | bytes]:
    """Yield what an object is made of; one that was met before by its number, so that cycles end."""
    if isinstance(value, PLAIN):
        yield repr(value)
        return
    if id(value) in seen or depth > DEEPEST:
        yield f"seen {seen.get(id(value), (-1,))[0]}"
        return
    # Held, since an object that is gone leaves its id to the next.
    seen[id(value)] = len(seen), value
    yield type(value).__qualname__
    inner: Any = ()
    if isinstance(value, Tensor | np.ndarray):
        array = value if isinstance(value, Tensor) else torch.from_numpy(np.ascontiguousarray(value))
        yield f"{array.dtype} {tuple(array.shape)}"
        yield tensor_bytes(array)
    elif isinstance(value, tuple | list):
        inner = value
    elif isinstance(value, set | frozenset):
        inner = sorted(value, key=repr)
    elif isinstance(value, Mapping):
        inner = [part for key, held in value.items() for part in (key, held)]
    elif isinstance(value, types.CodeType):
        inner = (value.co_code, value.co_names, value.co_varnames[: value.co_argcount], value.co_consts)
    elif isinstance(value, types.ModuleType):
        yield _library_name(value)
    elif isinstance(value, functools.partial):
        inner = (value.func, value.args, value.keywords)
    elif isinstance(value, types.MethodType):
        inner = (value.__func__, value.__self__)
    elif isinstance(value, types.FunctionType | type):
        if _is_library(value.__module__):
            yield f"{value.__module__}.{value.__qualname__} {_version(value.__module__)}"
        else:
            inner = _function(value) if isinstance(value, types.FunctionType) else _class(value)
    else:
        inner = _instance(value)
    for part in inner:
        yield from _parts(part, seen, depth + 1)


def _function(function: types.FunctionType) -> list[Any]:
    cells = []
    for cell in function.__closure__ or ():
        try:
            cells.append(cell.cell_contents)
        except ValueError:  # a name that is not bound yet
            continue
    names = sorted(_names(function.__code__))
    held = [function.__globals__[name] for name in names if name in function.__globals__]
    return [function.__code__, function.__defaults__, function.__kwdefaults__, cells, held]


@functools.lru_cache(4096)
def _names(code: types.CodeType) -> frozenset[str]:
    """Return the names that the code looks up in its module; those of attributes are others."""
    own = {str(one.argval) for one in dis.get_instructions(code) if one.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    inner = (const for const in code.co_consts if isinstance(const, types.CodeType))
    return frozenset(own.union(*(_names(const) for const in inner)))


def _class(kind: type) -> list[Any]:
    own = {name: held for name, held in vars(kind).items() if not name.startswith("__") or callable(held)}
    skipped = ("__module__", "__dict__", "__weakref__", "__doc__", "__annotations__", "__annotate_func__")
    unwrapped = {name: getattr(held, "__func__", getattr(held, "fget", held)) for name, held in own.items()}
    return [kind.__qualname__, *kind.__bases__, {n: held for n, held in unwrapped.items() if n not in skipped}]


def _instance(value: Any) -> list[Any]:
    held = getattr(value, "__dict__", None)
    if held is None:
        # A builtin function, an operator, or an object without attributes of its own.
        name = getattr(value, "__qualname__", "") or getattr(value, "__name__", "")
        owner = getattr(value, "__self__", None)  # a tensor's method holds the tensor
        return [type(value), str(getattr(value, "__module__", "")), str(name), owner if name else repr(value)]
    if isinstance(value, nn.Module):
        state = {name: one for name, one in held.items() if name not in TENSORS and one is not None and one != {}}
        if isinstance(value, torch.fx.GraphModule):
            # Its class is made anew for each, and its code says all.
            return ["GraphModule", value.code, *value.named_children()]
        # Private names of library classes are caches and book-keeping; hooks are not.
        state = {
            name: one
            for name, one in state.items()
            if not name.startswith("_") or "hooks" in name or not _is_library(type(value).__module__)
        }
        # Hooks go by numbers that torch counts up for the whole process.
        state = {
            name: [*one.values()] if "hooks" in name and isinstance(one, dict) else one for name, one in state.items()
        }
        return [type(value), state, *value.named_children()]
    return [type(value), held]


@functools.cache
def _is_library(name: str | None) -> bool:
    """Return whether a module came with Python or was installed, so that its version tells its code."""
    if not name or name == "__main__":
        return False
    module = sys.modules.get(name.partition(".")[0])
    if name.partition(".")[0] in sys.builtin_module_names:
        return True
    file = getattr(module, "__file__", None)
    return file is not None and any(str(Path(file).resolve()).startswith(path) for path in LIBRARIES)


def _version(name: str) -> str:
    return str(getattr(sys.modules.get(name.partition(".")[0]), "__version__", ""))


def _library_name(module: types.ModuleType) -> str:
    return f"{module.__name__} {_version(module.__name__)}"

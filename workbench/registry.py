"""What others can add: steps, criteria, roundings, codings, runtimes and charts, from a notebook or a package.

`register` puts a class into the registry of its kind. From then on it is in forms, recipes, the command line, scans and
the contract test, without an edit anywhere else. A package names its modules under the entry point `workbench.steps`.
"""

from __future__ import annotations

import importlib
import logging
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from workbench.errors import WorkbenchError

ENTRY_POINTS = "workbench.steps"
T = TypeVar("T")
C = TypeVar("C", bound=type)
_registries: list[Registry[Any]] = []
_loaded = False


class Registry(Mapping[str, T], Generic[T]):
    """Things of one kind by their `kind`, in the order in which people see them. It grows as things are registered.

    Args:
        name: What one of them is called, for messages.
        base: Their base class.
        instances: Whether an instance of a registered class is held, and not the class itself.
        order: Sorts them; those that are equal stay in the order of registration.
    """

    def __init__(
        self, name: str, base: type, *, instances: bool = False, order: Callable[[Any], Any] | None = None
    ) -> None:
        self.name, self.base, self._instances = name, base, instances
        self._order = order or (lambda entry: getattr(entry, "position", 0))
        self._entries: dict[str, T] = {}
        _registries.append(self)

    def add(self, cls: type) -> None:
        """Take a class in.

        Raises:
            WorkbenchError: It has no kind or title, is abstract, or its kind is another's.
        """
        kind, title = getattr(cls, "kind", ""), getattr(cls, "title", "")
        where = f"{cls.__module__}.{cls.__qualname__}"
        if not isinstance(kind, str) or not kind or not (title or not self._instances):
            raise WorkbenchError(f"{where} cannot be registered: a {self.name} needs a kind, and a title for people")
        if missing := sorted(getattr(cls, "__abstractmethods__", ())):
            raise WorkbenchError(f"{where} cannot be registered: it lacks {', '.join(missing)}")
        held = self._entries.get(kind)
        before = held if isinstance(held, type) else type(held)
        # A cell that runs again defines the same class anew.
        if held is not None and (before.__module__, before.__qualname__) != (cls.__module__, cls.__qualname__):
            raise WorkbenchError(f"{where} cannot be registered: {before.__qualname__} is of the kind {kind!r} already")
        entry: Any = cls() if self._instances else cls
        self._entries = dict(sorted({**self._entries, kind: entry}.items(), key=lambda item: self._order(item[1])))

    def remove(self, kind: str) -> None:
        """Forget what was registered under a kind, as a test does with its own."""
        self._entries = {name: entry for name, entry in self._entries.items() if name != kind}

    def only(self, test: Callable[[T], bool]) -> Mapping[str, T]:
        """Return a view of those that pass a test, which grows along."""
        return _View(self, test)

    def __getitem__(self, kind: str) -> T:
        if kind not in self._entries:
            load_plugins()
        return self._entries[kind]

    def __iter__(self) -> Iterator[str]:
        load_plugins()
        return iter(self._entries)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class _View(Mapping[str, T]):
    def __init__(self, whole: Registry[T], test: Callable[[T], bool]) -> None:
        self._whole, self._test = whole, test

    def __getitem__(self, kind: str) -> T:
        entry = self._whole[kind]
        if not self._test(entry):
            raise KeyError(kind)
        return entry

    def __iter__(self) -> Iterator[str]:
        return (kind for kind, entry in self._whole.items() if self._test(entry))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def register(cls: C) -> C:
    """Put a class into the registry of its kind, and return it: a decorator for a step, criterion, and so on.

    Raises:
        WorkbenchError: It is of no kind that can be registered, or its kind is taken by another class.
    """
    for registry in _registries:
        if isinstance(cls, type) and issubclass(cls, registry.base):
            registry.add(cls)
            return cls
    kinds = ", ".join(registry.base.__name__ for registry in _registries)
    raise WorkbenchError(f"{cls!r} cannot be registered: it must be a class that derives from one of {kinds}")


def discover(name: str, path: Iterable[str]) -> None:
    """Import every module of a package, so that what they register is known: a new file needs no list to be in."""
    for module in pkgutil.walk_packages(path, f"{name}."):
        importlib.import_module(module.name)


def load_plugins() -> None:
    """Import what installed packages name under the entry point. One that fails is told in the log and left out."""
    global _loaded
    if _loaded:
        return
    _loaded = True
    for point in entry_points(group=ENTRY_POINTS):
        try:
            point.load()
        except Exception:  # a stranger's package may raise anything, and must not take the workbench down
            logging.getLogger(__name__).exception("%s of the package %s was left out", point.name, point.value)

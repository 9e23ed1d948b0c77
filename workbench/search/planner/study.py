"""What is tried next: Optuna's sampler by ask and tell, and its journal, from which a later search goes on.

Akiba et al.: "Optuna: A Next-generation Hyperparameter Optimization Framework", 2019. The sampler is the
tree-structured Parzen estimator (Bergstra et al.: "Algorithms for Hyper-Parameter Optimization", 2011), or, where that
is asked for, an evolutionary one (Deb et al.: "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II", 2002).
Both have the loss as a constraint: what loses too much is worse than all that does not, by how much it loses.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import WorkbenchError, first_line

# A knob is a range of numbers, or a choice of values.
Knob = tuple[float, float] | tuple[str, ...]
STARTUP = 6  # trials by chance or by what was asked for before the sampler's model counts
CANDIDATE = "candidate"
SAMPLERS = ("tpe", "evolutionary")
POPULATION = 12  # of a generation: a search looks at some dozens of candidates


@dataclass(frozen=True)
class Asked:
    """Knobs that are to be tried, and the sampler's own record of them."""

    knobs: Mapping[str, float | str]
    trial: Any


class Journal:
    """Keeps what samplers were told, in a file or for as long as the search goes on.

    Args:
        folder: Where the file is, None to keep nothing. One that cannot be read is set aside and begun anew.
        sampler: One of `SAMPLERS`; what one was told the other knows.

    Raises:
        WorkbenchError: There is no such sampler.
    """

    def __init__(self, folder: Path | None, sampler: str = SAMPLERS[0]) -> None:
        import optuna  # slow to import, and seldom needed

        check_sampler(sampler)
        self._kind = sampler
        optuna.logging.set_verbosity(logging.WARNING)
        self.note = ""
        self._storage: Any = None
        if folder is not None:
            try:
                self._storage = self._opened(folder / "journal.log")
            except OSError as error:
                self.note = f"the search is not kept: {first_line(error)}"
        if self._storage is None:
            self._storage = optuna.storages.InMemoryStorage()

    def _opened(self, path: Path) -> Any:
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        path.parent.mkdir(parents=True, exist_ok=True)
        mend(path)
        try:
            return JournalStorage(JournalFileBackend(str(path)))
        except OSError:
            raise
        except Exception as error:  # a damaged journal fails wherever its reader happens to stumble
            path.replace(path.with_suffix(".damaged"))
            self.note = f"the journal of earlier searches could not be read and was set aside: {first_line(error)}"
            return JournalStorage(JournalFileBackend(str(path)))

    def known(self) -> list[Any]:
        """Return the facts of all candidates that earlier searches looked at."""
        import optuna

        found = []
        for study in optuna.study.get_all_study_names(self._storage):
            loaded = optuna.load_study(study_name=study, storage=self._storage)
            found += [trial.user_attrs[CANDIDATE] for trial in loaded.get_trials(deepcopy=False)
                      if CANDIDATE in trial.user_attrs]  # fmt: skip
        return found

    def sampler(self, name: str, knobs: Mapping[str, Knob], objectives: int, seed: int) -> Sampler:
        """Return a sampler of some knobs; one of the same name goes on where it was."""
        import optuna

        study = optuna.create_study(
            study_name=name,
            storage=self._storage,
            sampler=optuna.samplers.NSGAIISampler(seed=seed, population_size=POPULATION)
            if self._kind == "evolutionary"
            else optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP),
            directions=["minimize"] * objectives,
            load_if_exists=True,
        )
        # Trials that are under way may be those of another process, and those of a killed one count for nothing.
        return Sampler(study, knobs)


def check_sampler(name: str) -> None:
    """Refuse a sampler that there is not.

    Raises:
        WorkbenchError: It is none of `SAMPLERS`.
    """
    if name not in SAMPLERS:
        raise WorkbenchError(f"there is no sampler {name!r}; there are {', '.join(SAMPLERS)}")


class Sampler:
    """Knobs to try, one set after the other."""

    def __init__(self, study: Any, knobs: Mapping[str, Knob]) -> None:
        self._study, self._knobs = study, knobs

    @property
    def name(self) -> str:
        """The study's name."""
        return str(self._study.study_name)

    @property
    def told(self) -> int:
        """How many it was told of, earlier searches included."""
        return sum(1 for trial in self._study.get_trials(deepcopy=False) if trial.values is not None)

    def ask(self, wanted: Mapping[str, float | str] | None = None) -> Asked:
        """Return knobs to try: those that are wanted, or the sampler's own idea."""
        try:
            trial = self._trial(wanted)
        except (KeyError, OSError):  # the journal is gone or cannot be written: it goes on in memory
            import optuna

            self._study = optuna.create_study(sampler=self._study.sampler, directions=self._study.directions)
            trial = self._trial(wanted)
        knobs: dict[str, float | str] = {}
        for name, knob in self._knobs.items():
            if isinstance(knob[0], str):
                knobs[name] = trial.suggest_categorical(name, knob)
            else:
                knobs[name] = trial.suggest_float(name, *knob)
        return Asked(knobs, trial)

    def _trial(self, wanted: Mapping[str, float | str] | None) -> Any:
        if wanted is not None:
            self._study.enqueue_trial(dict(wanted))
        return self._study.ask()

    def tell(
        self, asked: Asked, values: Sequence[float] | None, excess: float, candidate: Mapping[str, Any] | None = None
    ) -> None:
        """Say what came of knobs.

        Args:
            asked: The knobs.
            values: What is to be small; None where it could not be done.
            excess: How much more than allowed is lost, at most 0 where it is not more.
            candidate: Facts that a later search starts from.
        """
        import optuna

        # A journal that somebody removed, a full disk, or a trial that another process ended costs what it held.
        with suppress(KeyError, OSError, RuntimeError):
            if candidate is not None:
                asked.trial.set_user_attr(CANDIDATE, dict(candidate))
            if values is None:
                self._study.tell(asked.trial, state=optuna.trial.TrialState.FAIL, skip_if_finished=True)
                return
            asked.trial.set_constraint("lose", float(excess))
            self._study.tell(asked.trial, list(values), skip_if_finished=True)


def mend(path: Path) -> None:
    """Cut off a line that a kill left without its end: what was before it counts, and others can be added."""
    if not path.exists():
        return
    with path.open("rb+") as file:
        data = file.read()
        if data and not data.endswith(b"\n"):
            file.truncate(data.rfind(b"\n") + 1)

"""The lessons there are, in their order, and which methods each is about."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from workbench.errors import WorkbenchError


@dataclass(frozen=True)
class Lesson:
    """One lesson.

    Attributes:
        number: Its place.
        key: Its name in files.
        title: What people read.
        minutes: Of a learner, about.
        aims: What can be done after it.
        kinds: Of the steps that it explains.
    """

    number: int
    key: str
    title: str
    minutes: int
    aims: str
    kinds: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name of its notebook, without the ending."""
        return f"{self.number:02}-{self.key}"


LESSONS = (
    Lesson(
        1, "where", "Where are the bytes, where is the time?", 25,
        "Read a layer's parameters, multiply-accumulates and bytes; say why the layer with the most bytes need not be "
        "the one that computes most.",
    ),
    Lesson(
        2, "pruning", "Pruning single weights", 40,
        "Prune by magnitude, with a threshold found by the k-th value; read a sensitivity scan; share one budget among "
        "layers.",
        ("prune", "prune_gradually", "find_ticket"),
    ),
    Lesson(
        3, "channels", "Whole channels", 35,
        "Say which channels are coupled; say why 30 % of them are half of the arithmetic and not half of the time.",
        ("prune_channels", "cut_channels", "prune_channels_iteratively", "prune_heads", "prune_blocks"),
    ),
    Lesson(
        4, "importance", "Which weights matter?", 40,
        "Rank by magnitude, by Taylor and by second order, by hand on a net of four weights; compute Shapley values of "
        "four units.",
    ),
    Lesson(
        5, "grids", "Grids", 40,
        "Write scale and zero point; place levels by hand; say what channels, k-means and powers of two change.",
        ("quantize", "share_weights", "quantize_logarithmic", "keep_signs", "shorten_floats"),
    ),
    Lesson(
        6, "integers", "Integers that run", 35,
        "Fold a batch norm; calibrate activations; compute a layer in whole numbers; say when int8 is slower.",
        ("fold_norms", "equalize", "smooth", "correct_bias", "reestimate_norms"),
    ),
    Lesson(
        7, "recovery", "Recovery and distillation", 40,
        "Win accuracy back on a budget; say what a teacher's wrong classes tell, and what temperature does.",
        ("fine_tune", "distill", "train_quantized", "reconstruct", "replace_head"),
    ),
    Lesson(
        8, "parts", "Fewer, smaller parts", 40,
        "Write a layer as two of low rank; count where that pays; say why fewer multiplications need not be faster.",
        (
            "factorize", "merge_factors", "tie_layers", "swap_activations",
            "resize_input", "grey_input", "reduce_input_bits", "byte_input",
        ),
    ),
    Lesson(
        9, "together", "All together", 40,
        "Prune, share and code a net by hand; build a Huffman code; put steps into an order that works; read a ledger.",
        ("entropy_code",),
    ),
    Lesson(
        10, "judge", "Search and judge", 35,
        "Read a trade-off; find who pays for a mean; say how sure a difference is; hand in a report.",
    ),
    Lesson(
        11, "capstone", "The leaderboard", 60,
        "Say what is known of a target: possible, impossible or open; put all methods together for an entry in the "
        "class's table.",
    ),
)  # fmt: skip


PACKAGE = Path(__file__).parents[1]


def find_notebook(name: str, here: Path) -> Path | None:
    """Return where a notebook lies, of the panel or a lesson, None for nowhere.

    A copy in the current folder comes first, since a learner writes there; then a checkout's, then the package's.

    Args:
        name: Without the ending, such as "05-grids" or "workbench".
        here: The current folder.
    """
    file = f"{name}.ipynb"
    above = PACKAGE.parent / "notebooks", PACKAGE / "notebooks"
    for folder in (here, here / "lessons", here.parent, *(one / inside for one in above for inside in ("", "lessons"))):
        if (folder / file).is_file():
            return (folder / file).resolve()
    return None


def lesson(name: str) -> Lesson:
    """Return the lesson of a name: "02-pruning", "pruning" or "2".

    Raises:
        WorkbenchError: There is none.
    """
    for one in LESSONS:
        if name in (one.name, one.key, str(one.number)):
            return one
    raise WorkbenchError(f"there is no lesson {name!r}; there are {', '.join(one.name for one in LESSONS)}")


def lesson_of(kind: str) -> Lesson | None:
    """Return the lesson that explains a kind of step, None where none does."""
    return next((one for one in LESSONS if kind in one.kinds), None)

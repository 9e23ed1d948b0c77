"""What can be said on the command line. Nothing here imports PyTorch, which takes seconds, unless a help is read."""

from __future__ import annotations

from argparse import Action, ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from workbench.cli.starting import LOOPBACK, say
from workbench.cli.values import amount, field_value, key_or_place, numbers, several, whole_number
from workbench.loading.named import EMBEDDED

EXIT_CODES = """exit codes:
  0    done
  1    refused: the one line on stderr says what was asked, why it cannot be, and what can
  2    wrong usage
  3    a defect in the program, with its traceback
  130  interrupted
"""
SUBJECT = (
    f"{', '.join(EMBEDDED)}, torchvision:NAME, timm:NAME, hf:FOLDER, path/to/nets.py:factory, "
    "or a folder that export wrote"
)
DATA = (
    "a .npz of images and labels, a part of one as data.npz[:5000], a folder with one folder of images or .wav files a "
    "class, or for hf:FOLDER a table of text (.csv, .tsv, .jsonl)"
)


class Parser(ArgumentParser):
    """A parser with helps that list what is registered: they are made when somebody reads them."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.late: dict[Action, Callable[[], str]] = {}

    def format_help(self) -> str:
        """Return the help, with what is known by now."""
        if self.late:
            say("looking up what can be named")
        for action, words in self.late.items():
            action.help = words()
        return super().format_help()


def parser() -> Parser:
    """Return the parser of all subcommands.

    Each sets `work` to the module of `workbench.cli` and the function that do it, `doing` to what is said meanwhile.
    """
    made = Parser(
        prog="workbench",
        description="Compress PyTorch models by hand, with every number measured.",
        epilog=EXIT_CODES,
        formatter_class=RawDescriptionHelpFormatter,
    )
    made.add_argument("--version", action="version", version=f"workbench {_version()}")
    commands_ = made.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, help: str) -> Parser:  # noqa: A002  # argparse's name for it
        return commands_.add_parser(
            name, help=help, description=help, epilog=EXIT_CODES, formatter_class=RawDescriptionHelpFormatter
        )

    _inspect(add("inspect", "Show a model's layers and coupled channel groups."))
    _scan(add("scan", "Try a step on each layer or group alone, at several strengths."))
    _search(add("search", "Search for recipes that lose at most so much and make something small."))
    _run(add("run", "Do a recipe, export the result, and report on it."))
    _steps(add("steps", "List the steps that a recipe can hold, with their fields."))
    _grade(add("grade", "Grade a folder of learners' notebooks of the course, into a table of points per question."))
    _clean(add("clean", "Show what lies here for convenience or was left by killed processes; remove it with --yes."))
    _lab(add("lab", "Open JupyterLab on the workbench's notebook. Further arguments go to jupyter lab."))
    _serve(add("serve", "Serve the panel as a page of its own, without notebook or code; or the lessons, to a class."))
    return made


def _version() -> str:
    try:
        return version("compression-workbench")
    except PackageNotFoundError:
        return "from its source, which is not installed"


def _inspect(made: Parser) -> None:
    made.add_argument("subject", help=SUBJECT)
    made.add_argument("--measure", action="store_true", help="measure the model too")
    _common(made)
    made.set_defaults(work=("commands", "inspect"), doing="inspecting {subject}")


def _scan(made: Parser) -> None:
    made.add_argument("subject", help=SUBJECT)
    made.add_argument("--step", required=True, metavar="STEP", help="what is tried; see `workbench steps`")
    made.add_argument(
        "--set",
        action="append",
        default=[],
        type=field_value,
        metavar="FIELD=VALUE",
        help="a field of the step; repeatable",
    )
    made.add_argument("--amounts", type=numbers, default=(), metavar="A,B,…", help="strengths to try")
    made.add_argument(
        "--limit",
        type=amount,
        metavar="SECONDS",
        help="time to spend, most of it on what is least certain",
    )
    _common(made)
    made.set_defaults(work=("commands", "scan"), doing="scanning {subject}", misused=made.error)


def _search(made: Parser) -> None:
    made.add_argument("subject", help=SUBJECT)
    goal = made.add_argument_group("the goal")
    goal.add_argument(
        "--lose", type=amount, default=0.5, metavar="POINTS", help="what the score may lose (default: 0.5)"
    )
    made.late[goal.add_argument("--least", type=several, default=("bytes",), metavar="A,B,…")] = _least
    goal.add_argument(
        "--seconds", dest="limit", type=amount, default=600.0, metavar="SECONDS", help="time to search (default: 600)"
    )
    goal.add_argument(
        "--most", action="append", default=[], type=field_value, metavar="NAME=VALUE",
        help="a limit besides, of any of these or of 'worst class' in points; repeatable",
    )  # fmt: skip
    how = made.add_argument_group("the way")
    how.add_argument("--methods", type=several, default=(), metavar="A,B,…", help="steps to try besides the usual ones")
    how.add_argument("--forbid", type=several, default=(), metavar="A,B,…", help="steps not to try, as globs")
    how.add_argument("--layers", default="*", help="layers that may be changed: names or globs")
    how.add_argument("--exclude", default="", help="layers that may not")
    how.add_argument("--improve", metavar="FILE", help="a recipe that is known to be good, looked at first")
    how.add_argument(
        "--sampler", choices=("tpe", "evolutionary"), default="tpe", help="what thinks of candidates (default: tpe)"
    )
    how.add_argument(
        "--workers", type=whole_number(1), default=1, help="processes that look at candidates (default: 1)"
    )
    how.add_argument("--scheduler", default="", metavar="ADDRESS", help="a Dask cluster that does instead: tcp://…")
    made.add_argument(
        "--out", metavar="FOLDER", help="where recipe.json and the verified files of the winner are written"
    )
    made.add_argument(
        "--formats", type=several, default=("safetensors", "onnx", "pt2"), metavar="A,B,…",
        help="files to export, of safetensors, onnx, pt2 (default: all)",
    )  # fmt: skip
    made.add_argument("--report", metavar="FILE", help="a report: .html, .ipynb, .md or .pdf")
    _common(made, "--latency-seconds")
    made.set_defaults(work=("commands", "search"), doing="searching recipes for {subject}")


def _run(made: Parser) -> None:
    made.add_argument("subject", nargs="?", help=SUBJECT)
    made.add_argument("--subject", dest="subject_option", metavar="SUBJECT", help="the same, as an option")
    made.add_argument("--recipe", required=True, metavar="FILE", help="the steps, as JSON")
    made.add_argument("--out", metavar="FOLDER", help="where the verified files are written")
    made.add_argument("--report", metavar="FILE", help="a report: .html, .ipynb, .md or .pdf")
    made.add_argument(
        "--formats", type=several, default=("safetensors", "onnx", "pt2"), metavar="A,B,…",
        help="files to export, of safetensors, onnx, pt2 (default: all)",
    )  # fmt: skip
    made.add_argument("--scan", action="store_true", help="scan sensitivity first, for the report")
    _common(made)
    made.set_defaults(work=("commands", "run"), doing="running {recipe}")


def _steps(made: Parser) -> None:
    made.add_argument("names", nargs="*", metavar="NAME", help="steps to show with all their fields; without, a list")
    made.add_argument("--json", action="store_true", help="print JSON on stdout and nothing else there")
    made.set_defaults(work=("commands", "steps"), doing="reading the declarations of the steps")


def _grade(made: Parser) -> None:
    made.add_argument("folder", metavar="FOLDER", help="with a folder for each learner, or all notebooks side by side")
    made.add_argument("--out", default="grades.csv", metavar="FILE", help="the table (default: grades.csv)")
    made.add_argument("--lessons", metavar="FOLDER", help="sources of the lessons (default: those of the checkout)")
    made.add_argument("--seconds", type=amount, default=20.0, help="for each cell of a learner (default: 20)")
    made.add_argument("--memory", type=amount, default=8.0, metavar="GB", help="for each learner (default: 8)")
    made.add_argument("--json", action="store_true", help="print JSON on stdout and nothing else there")
    made.add_argument("--quiet", action="store_true", help="no progress on stderr")
    made.add_argument("--page", metavar="FILE", help="the class at a glance, as HTML")
    board = made.add_argument_group("the leaderboard")
    board.add_argument(
        "--board", metavar="FILE", help="run the recipes of the capstone anew, into a table of this name"
    )
    board.add_argument(
        "--subject", choices=EMBEDDED, default="digits-transformer", help="of the recipes (default: digits-transformer)"
    )
    board.add_argument("--lose", type=amount, default=1.0, metavar="POINTS", help="what an entry may lose (default: 1)")
    board.add_argument("--entry-seconds", type=amount, default=600.0, help="for each recipe (default: 600)")
    made.set_defaults(work=("course", "grade_folder"), doing="grading {folder}")


def _clean(made: Parser) -> None:
    made.add_argument("folders", nargs="*", default=["."], metavar="FOLDER", help="where to look (default: here)")
    made.add_argument("--yes", action="store_true", help="remove what is shown; exports and reports are never touched")
    made.add_argument(
        "--older", type=amount, default=1.0, metavar="DAYS", help="only what is older than so many days (default: 1)"
    )
    made.add_argument("--sessions", action="store_true", help="saved sessions too, which can then not be restored")
    made.add_argument("--json", action="store_true", help="print JSON on stdout and nothing else there")
    made.set_defaults(work=("commands", "clean"), doing="looking for what can be removed")


def _lab(made: Parser) -> None:
    made.add_argument("--port", type=whole_number(1, 65535), help="port of the server")
    made.set_defaults(work=("lab", "open_lab"), doing="starting JupyterLab")


def _serve(made: Parser) -> None:
    made.add_argument("subject", nargs="?", default=EMBEDDED[0], help=f"{SUBJECT} (default: {EMBEDDED[0]})")
    page = made.add_argument_group("the page")
    page.add_argument("--host", default=LOOPBACK, help="address to listen at (default: this machine only)")
    page.add_argument("--port", type=whole_number(1, 65535), help="port to listen at (default: 8866, or one near it)")
    page.add_argument("--theme", choices=("light", "dark"), default="light")
    page.add_argument("--apart", action="store_true", help="a folder for each page's files, in visitors/")
    course_ = made.add_argument_group("the lessons")
    course_.add_argument(
        "--lessons",
        action="store_true",
        help="the course in JupyterLab instead; with --apart a server for each learner",
    )
    course_.add_argument("--learners", metavar="A,B,…", help="their names, or a file with one on each line")
    course_.add_argument("--folder", default="class", help="where the learners' folders are (default: class)")
    _subject(made)
    _measuring(made)
    made.set_defaults(work=("serve", "serve"), doing="starting a server")


def _common(made: Parser, seconds: str = "--seconds") -> None:
    """Add what every command on a subject takes; `seconds` is what the time of a latency is called."""
    _subject(made)
    _measuring(made, seconds)
    out = made.add_argument_group("the output")
    out.add_argument("--json", action="store_true", help="print JSON on stdout and nothing else there")
    out.add_argument("--quiet", action="store_true", help="no progress on stderr")


def _subject(made: Parser) -> None:
    data = made.add_argument_group("the subject")
    data.add_argument(
        "--checkpoint",
        metavar="FILE",
        help=".safetensors, the .safetensors.index.json of several, or .pt/.pth/.th that hold tensors only",
    )
    for split in ("validation", "train", "test"):
        data.add_argument(f"--{split}", metavar="DATA", help=DATA)
    data.add_argument("--mean", type=numbers, metavar="A,B,…", help="per channel, after division by 255")
    data.add_argument("--std", type=numbers, metavar="A,B,…", help="per channel")
    data.add_argument("--size", type=whole_number(1), default=224, metavar="PIXELS", help="side of a folder's images")
    data.add_argument(
        "--columns", type=several, default=(), metavar="A,B,…", help="columns of a table that enter the model"
    )
    data.add_argument(
        "--classes", type=several, default=(), metavar="A,B,…", help="class names, in order of the labels"
    )
    made.late[data.add_argument("--metric", default="accuracy")] = _metrics
    made.late[data.add_argument("--loss")] = _losses
    data.add_argument(
        "--output", type=key_or_place, metavar="KEY", help="what of the output is judged: a name or a place"
    )
    data.add_argument("--class-dim", type=int, metavar="N", help="dimension of the output that counts classes")
    data.add_argument("--ignored", type=int, metavar="LABEL", help="a label that does not count (default: -100)")
    data.add_argument("--pretrained", action="store_true", help="download the library's weights")
    data.add_argument("--name", default="", help="what to call the model")


def _measuring(made: Parser, seconds: str = "--seconds") -> None:
    how = made.add_argument_group("the measuring")
    how.add_argument("--batch", type=whole_number(1), default=1, help="samples in one pass, for latency and memory")
    how.add_argument("--tolerance", type=amount, help="half-width of a score's interval that is enough, such as 0.01")
    how.add_argument(seconds, dest="seconds", type=amount, default=1.0, help="time for each runtime's latency")
    made.late[how.add_argument("--runtimes", type=several, metavar="A,B,…")] = _runtimes
    how.add_argument("--seed", type=int, help="of all chance in steps")
    made.late[how.add_argument("--device", default="auto")] = _devices
    how.add_argument("--threads", type=whole_number(1), help="processor threads to use")


def _least() -> str:
    from workbench.search.goal import quantities

    return f"what is to be small: {', '.join(quantities())}; several give a front (default: bytes)"


def _metrics() -> str:
    from workbench.task.metric import NAMES

    return f"{', '.join(name for name in NAMES if name != 'top')}, or top3 and the like (default: accuracy)"


def _losses() -> str:
    from workbench.task.loss import LOSSES

    return f"{', '.join(LOSSES)} (default: what fits the metric)"


def _runtimes() -> str:
    from workbench.measure.runtimes import RUNTIMES

    return f"what latency is measured on: {', '.join(RUNTIMES)}"


def _devices() -> str:
    from workbench.task.device import FORMS

    return f"where models compute: {FORMS} (default: auto, the first CUDA device or the CPU)"

"""The door: arguments in, an exit code out, and every failure told in its own way."""

from __future__ import annotations

import os
import sys
import traceback
from argparse import Namespace
from collections.abc import Sequence
from importlib import import_module

from workbench.cli.arguments import parser
from workbench.cli.starting import check, say
from workbench.errors import WorkbenchError

DONE, REFUSED, DEFECT, INTERRUPTED = 0, 1, 3, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the arguments say (by default those of the process), and return the exit code.

    0 is done, 1 refused with one line on stderr, 3 a defect with its traceback, 130 interrupted. Wrong usage ends
    the process with 2, as argparse does.
    """
    argument_parser = parser()
    chosen, extra = argument_parser.parse_known_args(argv)
    if extra and chosen.command != "lab":
        argument_parser.error(f"unrecognized arguments: {' '.join(extra)}")
    chosen.extra = extra
    return _guarded(chosen)


def _guarded(chosen: Namespace) -> int:
    try:
        check(chosen)
        module, work = chosen.work
        if not getattr(chosen, "quiet", False):
            say(chosen.doing.format_map(vars(chosen)))
        getattr(import_module(f"workbench.cli.{module}"), work)(chosen)
        sys.stdout.flush()
    except WorkbenchError as error:
        print(f"workbench: error: {' '.join(str(error).split())}", file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:
        print("workbench: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has enough. Python would complain once more when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception:
        traceback.print_exc()
        return DEFECT
    return DONE

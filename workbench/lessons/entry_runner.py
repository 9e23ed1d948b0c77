"""The process that runs one recipe of the leaderboard: limits, then the recipe, then one line of what was measured.

It is started by `leaderboard` as `runner` is by `grading`. A recipe holds no code, but it may ask for more memory or
time than there is.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

LATENCY_SECONDS = 1.0
POINTS = 100


def measured(subject: str, facts: dict[str, Any]) -> dict[str, Any]:
    """Return bytes, points lost and speed of a recipe on a subject, or why there are none, as "said"."""
    # Only in this process: the table's own needs none of it.
    from workbench.errors import WorkbenchError
    from workbench.loading.load import load
    from workbench.session.session import Session
    from workbench.session.settings import Settings
    from workbench.steps.recipe import Recipe

    settings = Settings(seconds=LATENCY_SECONDS, runtimes=("onnxruntime",))
    try:
        recipe = Recipe.read(facts)
        session = Session(load(subject), settings, threaded=False, autosave=None)
        made = session.replay(recipe)
        test = session.test_score()
    except WorkbenchError as error:
        return {"said": str(error)}
    latency = made.latency.get("onnxruntime")
    if test is None or test.population_low is None or test.population_high is None:
        return {"said": f"{subject} has no test split with an interval"}
    if latency is None:
        return {"said": f"it cannot be timed: {made.unavailable.get('onnxruntime', 'ONNX Runtime did not run it')}"}
    return {
        "bytes": made.bytes.total,
        "lost": -test.change * POINTS,
        "low": -test.population_high * POINTS,
        "high": -test.population_low * POINTS,
        "validation": -made.score.change * POINTS,
        "faster": latency.ratio,
        "verdict": latency.verdict,
    }


def main() -> None:
    """Run what standard input says."""
    work = json.load(sys.stdin)
    out = os.fdopen(os.dup(1), "w")
    sys.path[:0] = work["path"]
    from workbench.lessons.runner import limit

    limit(work["memory"], work["processor_seconds"])
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    out.write(f"{work['secret']} {json.dumps(measured(work['subject'], work['recipe']))}\n")
    out.flush()


if __name__ == "__main__":
    main()

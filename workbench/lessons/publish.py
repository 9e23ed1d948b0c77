"""Makes the learners' notebooks from the sources: `python -m workbench.lessons.publish [SOURCES NOTEBOOKS]`."""

from __future__ import annotations

import sys
from pathlib import Path

from workbench.lessons.course import LESSONS
from workbench.lessons.source import publish

ROOT = Path(__file__).parents[2]


def main(arguments: list[str]) -> None:
    """Write them, and say where; by default from and to the folders of the checkout."""
    given = [Path(one) for one in arguments]
    sources, notebooks = given or [ROOT / "lessons", ROOT / "notebooks" / "lessons"]
    for folder, language in ((sources, "en"), (sources / "zh", "zh")):
        place = notebooks / ("" if language == "en" else language)
        for path in publish(folder, place, LESSONS, language):
            print(path)


if __name__ == "__main__":
    main(sys.argv[1:])

"""What a text names: a subject that comes along, a library's model, a factory in a Python file, an exported folder.

Nothing here imports PyTorch, so that a name that leads nowhere is refused at once.
"""

from __future__ import annotations

import re
from pathlib import Path

from workbench.checkpoint.folders import BEFORE, left_over
from workbench.errors import WorkbenchError, shown

# Those of `embedded.subjects`, in its order.
EMBEDDED = (
    "digits-resnet", "digits-transformer", "names-classifier", "names-language-model", "names-transliterator",
    "scattered-segmenter", "scattered-detector",
)  # fmt: skip
CHECKSUMS = "checksums.txt"
FACTORY = re.compile(r"(?P<file>.+\.py):(?P<factory>[A-Za-z_]\w*)")
LIBRARIES = {"torchvision": "resnet18", "timm": "mobilenetv3_small_100", "hf": "FOLDER"}
EXAMPLES = (
    *EMBEDDED, "a folder that export wrote", "path/to/nets.py:factory",
    *(f"{library}:{example}" for library, example in LIBRARIES.items()),
)  # fmt: skip


def is_file(path: Path) -> bool:
    """Return whether a file is there; a name that is too long for one is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def is_exported(text: str) -> bool:
    """Return whether a text is the path of a folder that `export` wrote."""
    return is_file(Path(text) / CHECKSUMS)


def is_factory(text: str) -> bool:
    """Return whether a text names a function in a Python file, which need not be there."""
    return FACTORY.fullmatch(text) is not None


def check_named(text: str) -> None:
    """Refuse what names nothing that could be loaded.

    Raises:
        WorkbenchError: Nothing is called so, or the file is missing.
    """
    if match := FACTORY.fullmatch(text):
        if not is_file(Path(match["file"])):
            raise WorkbenchError(f"there is no file {match['file']}")
        return
    if text in EMBEDDED or text.partition(":")[0] in LIBRARIES or is_exported(text):
        return
    if left_over(Path(text).absolute(), BEFORE):
        raise WorkbenchError(
            f"{text} was being replaced when its process was killed; `workbench clean --yes` in the folder above "
            "it, or the next export to it, puts the earlier one back"
        )
    raise WorkbenchError(f"{shown(repr(text), 200)} is not known; known are {', '.join(EXAMPLES)}")

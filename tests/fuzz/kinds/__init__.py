"""One file a kind of input."""

from tests.fuzz.kinds import arrays, checkpoints, folders

__all__ = ["arrays", "checkpoints", "folders"]

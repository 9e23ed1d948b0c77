"""One file a kind of input."""

from tests.fuzz.kinds import folders

__all__ = ["folders"]

"""How much a program's text may say, and how much memory its graph may ask for.

Every bound lies far above what a network's export needs, and far below what harms a machine.
"""

from __future__ import annotations

MIB = 1 << 20

# Text. A node takes about two kilobytes, and a text is believed to be large only beside large weights.
TEXT_BYTES = 4 * MIB
TEXT_PER_WEIGHT_BYTE = 4
TEXT_MOST = 256 * MIB
BYTES_PER_VALUE = 4  # the fewest bytes of text for each JSON value; export writes about twelve
NODES = 50_000
LIST = 4096  # entries of one argument or output
NAME = 512  # characters
DEPTH = 32  # modules within modules
INPUTS = 16
STORED_BYTES = 1 << 44  # of one tensor that is described; what is there is compared later
DIMENSIONS = 25  # of a tensor; some of torch's kernels take no more

# Memory, in bytes. `room` is what weights and example inputs take, of the inputs at most INPUT_ROOM.
INPUT_ROOM = 64 * MIB
INPUT_BYTES = 4096 * MIB
CONSTANT_BYTES, CONSTANT_FACTOR = 64 * MIB, 4  # all tensors made of nothing, such as masks
TENSOR_BYTES, TENSOR_FACTOR = 256 * MIB, 64  # the largest tensor
TOTAL_BYTES, TOTAL_FACTOR = 1024 * MIB, 1024  # everything that one run allocates, though most is freed in between


def text_limit(weight_bytes: int) -> int:
    """Return how long the text beside so many bytes of weights may be, in bytes."""
    return min(TEXT_BYTES + TEXT_PER_WEIGHT_BYTE * weight_bytes, TEXT_MOST)

"""Checkpoints in several files: an index that names the file of each tensor, as `*.safetensors.index.json` does."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from workbench.checkpoint.checkpoint import read
from workbench.checkpoint.facts import Facts, read_json, said
from workbench.errors import WorkbenchError, shown

INDEX = ".safetensors.index.json"
MOST = 10_000  # files of one checkpoint


def read_shards(path: Path) -> dict[str, Tensor]:
    """Return the tensors of all files that an index names, each from its file, in the index's order.

    Plain tensors stay memory-mapped: they are read from disk as they are used.

    Raises:
        WorkbenchError: The index is damaged, names a file beside its folder, or a tensor that its file does not hold.
    """
    files = dict(Facts(read_json(path), "an index of a checkpoint").within("weight_map").items())
    odd = next((name for name, shard in files.items() if not isinstance(shard, str)), None)
    if odd is not None:
        raise WorkbenchError(f"{path} names for {shown(odd)} no file, but {said(files[odd])}")
    shards = dict.fromkeys(files.values())
    if not files or len(shards) > MOST:
        raise WorkbenchError(f"{path} names {len(shards)} files; there are 1 to {MOST} of a checkpoint")
    for shard in shards:
        if Path(shard).name != shard or not shard.endswith(".safetensors"):
            raise WorkbenchError(f"{path} names {shown(shard)}, which is no .safetensors file beside it")
    held = {shard: read(path.with_name(shard))[0] for shard in shards}
    lost = next((name for name, shard in files.items() if name not in held[shard]), None)
    if lost is not None:
        raise WorkbenchError(f"{path}: {shown(files[lost])} does not hold {shown(lost)}")
    return {name: held[shard][name] for name, shard in files.items()}

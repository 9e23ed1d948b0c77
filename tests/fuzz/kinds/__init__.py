"""One file a kind of input."""

from tests.fuzz.kinds import arguments, arrays, checkpoints, folders, images, recipes, sessions, shards, trainings

__all__ = ["arguments", "arrays", "checkpoints", "folders", "images", "recipes", "sessions", "shards", "trainings"]

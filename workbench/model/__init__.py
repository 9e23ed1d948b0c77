"""A named model with its task: facts of its layers, and what runs it without anybody else noticing."""

"""Tensors as files: packed in safetensors, and nothing that runs."""

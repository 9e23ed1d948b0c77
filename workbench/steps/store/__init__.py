"""How tensors become bytes, without other values."""

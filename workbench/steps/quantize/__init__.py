"""Fewer bits: grids, codebooks, powers of two, short floats."""

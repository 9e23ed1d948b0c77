"""Fewer weights, channels, heads and blocks."""

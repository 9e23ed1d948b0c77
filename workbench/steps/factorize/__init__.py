"""Weights as products of smaller ones: low rank."""

"""Distributed, resumable featurisation of atomistic databases."""

__version__ = "0.1.0"

"""Symmetry of environments, molecules and crystals, and the motions it hides from fingerprints."""

from distdesc.symmetry.finder import find_symmetries, find_symmetry
from distdesc.symmetry.group import Symmetry

__all__ = ["Symmetry", "find_symmetries", "find_symmetry"]

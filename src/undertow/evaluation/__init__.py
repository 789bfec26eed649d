"""Measurements: policies on suites as tables, and convergence with the grid."""

from undertow._rooms import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)

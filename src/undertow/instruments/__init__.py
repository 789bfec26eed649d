"""Instruments for gradients: what travels back through an unroll, how large it is, and which way it points."""

from undertow._rooms import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)

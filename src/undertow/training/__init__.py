"""Optimisers, the trainer as a pure function of its state, and the loop around it.

An update that is not finite is skipped and counted, many in a row end the run with the place where it went wrong.
"""

from undertow._rooms import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)

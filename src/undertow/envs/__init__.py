"""Where physics meets the loop: conservation laws as environments with an agent at every cell face.

Objectives and rewards of learned schemes, batches of problems with their truth, and the fixed suites that policies are
tested on.
"""

from undertow._rooms import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)

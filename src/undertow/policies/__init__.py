"""What chooses the actions: small networks shared by all faces, and the classical schemes as policies without parameters.

Because WENO itself is a policy here, every baseline runs through the same loop as what is learned.
"""

from undertow._rooms import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)

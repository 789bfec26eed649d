"""From a law, a grid, a boundary and stencil weights to du/dt, and on to a solution in time: the plain WENO solver.

Conservative finite differences of formal order 3 to 13 with Lax-Friedrichs split fluxes. The weights come from outside:
Jiang-Shu's, WENO-Z's and linear ones are here, learned ones elsewhere. No learning in this room, and it is a useful
solver by itself.
"""

from undertow._rooms import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)

"""Fields on grids, without physics: cells, ghost cells, stencils around faces, Runge-Kutta methods, time steps, norms.

A field is `"chan *cells"`, point values at the cell centres of a uniform grid with any number of axes. Boundaries are
data, so one compiled program serves a batch of different ones.
"""

from undertow._rooms import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)

"""Pictures of what was measured. Figures are drawn without a display and without global state.

A function that draws a figure returns it, for a notebook to show, and writes it where a path is given: PNG, PDF or SVG by its
ending.
"""

from undertow.report._matplotlib import load

load()

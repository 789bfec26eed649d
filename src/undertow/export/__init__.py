"""Trained policies as folders that need nothing of this library: weights, a description, StableHLO programs, a numpy loader.

`portable.py` is the loader; it is also what every folder gets a copy of, and imports numpy alone.
"""

from undertow.export.artefact import Exported, export

__all__ = ["Exported", "export"]

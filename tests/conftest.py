"""What every test shares: double precision, and the way to recorded reference data."""

from __future__ import annotations

import os
from pathlib import Path

import jax
import pytest

# Orders of accuracy and exact solutions are told apart below single precision. The platform stays as it is found.
jax.config.update("jax_enable_x64", True)

REPOSITORY = Path(__file__).resolve().parents[1]
REFERENCE = Path(os.environ.get("UNDERTOW_REFERENCE", REPOSITORY.parent / "shared" / "reference"))


@pytest.fixture(scope="session")
def reference_dir() -> Path:
    """The folder of arrays recorded from other programs, beside the checkout or at $UNDERTOW_REFERENCE; else a skip."""
    if not REFERENCE.is_dir():
        pytest.skip(f"no reference data at {REFERENCE}; UNDERTOW_REFERENCE names another folder")
    return REFERENCE

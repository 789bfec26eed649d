"""What every test shares: double precision, and the way to recorded reference data."""

from __future__ import annotations

import os
from pathlib import Path

import jax
import numpy as np
import pytest
from hypothesis import settings

# Orders of accuracy and exact solutions are told apart below single precision. The platform stays as it is found.
jax.config.update("jax_enable_x64", True)

# The same examples in every run; the first one may compile.
settings.register_profile("repeatable", derandomize=True, deadline=None, database=None, max_examples=50)
settings.load_profile("repeatable")

REPOSITORY = Path(__file__).resolve().parents[1]
REFERENCE = Path(os.environ.get("UNDERTOW_REFERENCE", REPOSITORY.parent / "shared" / "reference"))


@pytest.fixture(scope="session")
def reference_dir() -> Path:
    """The folder of arrays recorded from other programs, beside the checkout or at $UNDERTOW_REFERENCE; else a skip."""
    if not REFERENCE.is_dir():
        pytest.skip(f"no reference data at {REFERENCE}; UNDERTOW_REFERENCE names another folder")
    return REFERENCE


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers, the same in every run and for every test."""
    return np.random.default_rng(0)

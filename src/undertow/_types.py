"""Aliases shared by every room."""

from __future__ import annotations

from typing import Any

import jax
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

Key = PRNGKeyArray
Scalar = Float[Array, ""]
Metrics = dict[str, Any]
ArrayLike = jax.typing.ArrayLike

__all__ = ["Array", "ArrayLike", "Float", "Key", "Metrics", "PRNGKeyArray", "PyTree", "Scalar"]

"""Policies: from observations to actions."""

from __future__ import annotations

from typing import Generic, TypeVar

import equinox as eqx

from undertow._types import Key

Obs = TypeVar("Obs")
Action = TypeVar("Action")


class AbstractPolicy(eqx.Module, Generic[Obs, Action]):
    """A memoryless map from an observation to an action. Its floating-point array leaves are what training moves."""

    def __call__(self, observation: Obs, *, key: Key | None = None) -> Action:
        """The action. `key` is given while training with exploration noise; deterministic policies ignore it."""
        raise NotImplementedError

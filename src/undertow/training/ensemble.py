"""Many trainings as one program: seeds, or learning rates, along a vmapped axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import equinox as eqx

from undertow._checks import NonFiniteError, require
from undertow._tree import stack, take
from undertow._types import Key, Metrics
from undertow.core.policy import AbstractPolicy
from undertow.training.trainer import Trainer, TrainState

Tree = TypeVar("Tree")


class Ensemble(eqx.Module):
    r"""Independent trainings of one task side by side: every member has its own weights, optimiser state, key and learning
    rate; problems, objective and estimator are shared.

    A member does what it would do alone, up to the order of sums in a batched matrix product. One that becomes non-finite
    skips its updates and does not disturb the others.

    **Arguments:** `trainer`.
    """

    trainer: Trainer

    def init(self, policies: Sequence[AbstractPolicy], keys: Sequence[Key], rates: Sequence[float] = ()) -> TrainState:
        """The stacked state before the first update.

        **Arguments:** `policies`: of the same structure, one per member; `keys`: as many; `rates`: factors on the learning
        rate, as many or none (1).

        **Raises:** `UndertowError` for no member, other counts, or policies that differ in structure.
        """
        count = len(policies)
        require(count >= 1, "an ensemble needs at least one member, got none")
        rates = rates or (1.0,) * count
        require(
            len(keys) == count and len(rates) == count,
            f"give one key and one rate per policy: {count} policies, {len(keys)} keys, {len(rates)} rates",
        )
        return stack([self.trainer.init(*member) for member in zip(policies, keys, rates, strict=True)])

    def update(self, states: TrainState) -> tuple[TrainState, Metrics]:
        """One update of every member; metrics have an axis of members."""
        return eqx.filter_vmap(self.trainer.update)(states)

    def diagnose(self, states: TrainState) -> NonFiniteError:
        """Where the first member becomes non-finite."""
        return self.trainer.diagnose(take(states, 0))

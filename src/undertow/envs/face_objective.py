r"""Objectives that are sums over steps of what every face of a grid is paid."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from jaxtyping import Array, Float

from undertow.core.objective import AbstractObjective, Problem
from undertow.core.policy import AbstractPolicy
from undertow.core.unroll import Trajectory


class AbstractFaceObjective(AbstractObjective):
    """Minus a sum over the steps of what the faces are paid for them: what games and reinforcement learning need to know.

    - `needs_weights`: whether it looks at the weights that were chosen.
    - `worst`: what a step costs that a blown-up solution does not take; None: nothing of its own.
    - `looks_back`: whether what is paid for a step depends on the state before it, too.
    - `follows`: whose trajectory has to be known: a comparator's, that of the exact solution (`truth`), or nobody's (None).
    """

    needs_weights: ClassVar[bool] = False

    @property
    def worst(self) -> float | None:
        return None

    @property
    def looks_back(self) -> bool:
        return False

    @property
    def follows(self) -> AbstractPolicy | Literal["truth"] | None:
        return None

    def compared(self) -> Self:
        """The same objective with the trajectory that it follows taken from the problem."""
        return self

    def last_rewards(self, trajectory: Trajectory, problem: Problem) -> tuple[Float[Array, "*faces"], ...]:
        """What is paid for the last step of a trajectory, one array per axis, or one number per axis that every face gets."""
        raise NotImplementedError

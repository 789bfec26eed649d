r"""Random conditions by number, so that no condition is trained on and tested on.

Number $i$ of a family is the condition drawn with the key `fold_in(key(0), i)`. The suites hold numbers from 0
on, a training with seed $s$ numbers from $10^6 (1 + s)$ on: they have none in common, by construction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from undertow._checks import lookup, require
from undertow._tree import concatenate, take
from undertow._types import Array, ArrayLike, Key
from undertow.envs.truth import exact_holds
from undertow.laws.burgers import Burgers
from undertow.laws.cases import Initial
from undertow.laws.catalogue import all_problems
from undertow.laws.conditions import RandomCondition

RANDOM_FAMILIES: dict[str, Callable[[Key], Initial]] = {
    problems.family: problems.random for _, problems in all_problems() if problems.random is not None
}
"""What draws a random condition from a key, by name."""

BLOCK = 1_000_000
"""Numbers per block: block 0 is the suites', block 1 + s that of the training with seed s."""
_SEEDS = 4_000  # numbers are 32-bit
_DRAWS = 256  # conditions drawn by one call of one program


@eqx.filter_jit
def _draw(family: str, numbers: Array) -> Initial:
    root = jax.random.key(0, impl="threefry2x32")
    return jax.vmap(lambda number: RANDOM_FAMILIES[family](jax.random.fold_in(root, number)))(numbers)


def draw(family: str, numbers: ArrayLike | Iterable[int]) -> Initial:
    """The conditions of a random family with these numbers, as one batch.

    Number $i$ is drawn with the key `jax.random.fold_in(jax.random.key(0), i)`. Single and double precision draw
    differently; within each the draws are always the same.

    **Arguments:** `family`: a name out of `RANDOM_FAMILIES`, such as `scalar`
    ([`random_condition`][undertow.laws.burgers_conditions.random_condition]) or `gas`
    ([`random_gas`][undertow.laws.gas_cases.random_gas]); `numbers`.

    **Raises:** `UndertowError` unless the numbers are integers from 0 to 2^32 - 1, at least one.
    """
    lookup("random family", family, RANDOM_FAMILIES)
    index = np.asarray(list(numbers) if isinstance(numbers, Iterable) else [numbers])
    good = index.ndim == 1 and index.size > 0 and index.dtype.kind in "iu"
    require(
        good and index.min() >= 0 and index.max() < 2**32, f"condition numbers are integers from 0 on, got {numbers!r}"
    )
    filled = np.minimum(np.arange(-(-len(index) // _DRAWS) * _DRAWS), len(index) - 1)
    parts = [_draw(family, jnp.asarray(index[part], jnp.uint32)) for part in filled.reshape(-1, _DRAWS)]
    return take(concatenate(parts), slice(len(index)))


def random_conditions(numbers: ArrayLike | Iterable[int], family: str = "scalar") -> RandomCondition:
    """The scalar conditions with these numbers; see `draw`."""
    conditions = draw(family, numbers)
    assert isinstance(conditions, RandomCondition)
    return conditions


def training_numbers(seed: int, n: int) -> np.ndarray:
    """The numbers of the `n` conditions that a training with `seed` may use. Seeds repeat after 4000."""
    require(0 < n <= BLOCK, f"a training takes 1 to {BLOCK} conditions, got {n}")
    return BLOCK * (1 + seed % _SEEDS) + np.arange(n)


def training_conditions(seed: int, n: int, *, end_time: float | None = None) -> RandomCondition:
    """The `n` conditions of a training with `seed`.

    With an `end_time` those whose exact solution does not hold until then (see `outflow_holds`) are left out, so that
    there may be fewer.
    """
    return _held(random_conditions(training_numbers(seed, n)), end_time)


def held_out_conditions(n: int = 256, *, end_time: float | None = None, family: str = "scalar") -> RandomCondition:
    """The first `n` conditions, which nobody trains on; `end_time` as in `training_conditions`; `family` of scalar ones."""
    require(0 < n <= BLOCK // 2, f"there are 1 to {BLOCK // 2} held-out conditions, got {n}")
    return _held(random_conditions(np.arange(n), family), end_time)


def _held(conditions: RandomCondition, end_time: float | None) -> RandomCondition:
    if end_time is None:
        return conditions
    kept = take(conditions, np.flatnonzero(exact_holds(Burgers(), conditions, end_time)))
    assert isinstance(kept, RandomCondition)
    return kept

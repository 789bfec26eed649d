r"""Policies on suites: every error of every policy on every case."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from undertow._checks import require
from undertow._limits import out_of_memory_told
from undertow._tree import take
from undertow.core.policy import AbstractPolicy
from undertow.envs.collection import Suite
from undertow.envs.march import final_values
from undertow.evaluation.results import Evaluation, Scores
from undertow.numerics.norms import l1, l2, linf, total_variation
from undertow.policies.classical import classical

__all__ = ["Evaluation", "Scores", "evaluate"]

_log = logging.getLogger(__name__)


@out_of_memory_told("fewer cases or cells")
def evaluate(policies: Mapping[str, AbstractPolicy], suite: Suite, *, baseline: str = "weno-js") -> Evaluation:
    r"""Run every policy on every case of a suite and compare the results with the truth and with a baseline.

    A case in which a policy's result is not finite is kept, as NaN, and counted.

    **Arguments:**

    - `policies`: by name. Policies of one structure (checkpoints of one run, seeds) share a compiled program.
    - `suite`: see [`suite`][undertow.envs.suites.suite].
    - `baseline`: whose errors the ratios divide by: a key of `policies`, or a name out of
        `undertow.policies.classical.CLASSICAL`, which is then run too and stands last.

    **Returns:** [`Evaluation`][undertow.evaluation.results.Evaluation].

    **Raises:** `UndertowError` without policies, for an unknown baseline, or a policy of another order than the suite.
    """
    require(len(policies) > 0, "evaluate needs at least one policy, got none")
    order = suite.discretised.order
    contestants = dict(policies)
    if baseline not in contestants:
        contestants[baseline] = classical(baseline, order)
    check_orders(contestants, order)
    runs = {name: _run(policy, suite) for name, policy in contestants.items()}
    truth, reference = suite.truth, runs[baseline][0]
    scored = suite.scored & ~(_norms(reference - truth, suite)["l1"] <= suite.rounding_level)
    scores = {}
    for name, (values, seconds, compile_seconds) in runs.items():
        scores[name] = _score(values, truth, reference, suite, seconds, compile_seconds)
        _log.info("%s on %s: %.2f s, compiled in %.2f s", name, suite.name, seconds, compile_seconds)
    return Evaluation(
        suite=suite,
        baseline=baseline,
        scores={name: score.over(scores[baseline], scored) for name, score in scores.items()},
        scored=scored,
        true_variation=np.asarray(_variation(truth, suite)),
    )


def check_orders(policies: Mapping[str, AbstractPolicy], order: int) -> None:
    """Raise `UndertowError` if a policy that says its order says another one."""
    for name, policy in policies.items():
        own = getattr(policy, "order", order)
        require(own == order, f"policy {name!r} is of order {own}, the scheme of order {order}; make them agree")


def _run(policy: AbstractPolicy, suite: Suite) -> tuple[Float[np.ndarray, "cases chan cells"], float, float]:
    """The results, the seconds they took, and those that compiling took."""
    start = time.perf_counter()
    jax.block_until_ready(final_values(policy, take(suite.problems, np.arange(1)), 0))
    compiled = time.perf_counter()
    values = jax.block_until_ready(final_values(policy, suite.problems, suite.discretised.steps))
    return np.asarray(values), time.perf_counter() - compiled, compiled - start


def _norms(difference: np.ndarray, suite: Suite) -> dict[str, np.ndarray]:
    """Of the components that the law is judged by."""
    d = jnp.asarray(difference[:, list(suite.judged)])
    volume = suite.problems.environment.scheme.grid.cell_volume
    norms = {"l1": lambda e: l1(e, volume), "l2": lambda e: l2(e, volume), "linf": linf}
    return {name: np.asarray(jax.vmap(norm)(d)) for name, norm in norms.items()}


def _variation(values: np.ndarray, suite: Suite) -> Array:
    return jax.vmap(total_variation)(jnp.asarray(values[:, list(suite.judged)]))


def _score(
    values: np.ndarray,
    truth: np.ndarray,
    reference: np.ndarray,
    suite: Suite,
    seconds: float,
    compile_seconds: float,
) -> Scores:
    finite = np.isfinite(values).reshape(len(values), -1).all(axis=1)
    start = np.asarray(suite.problems.state.u)

    def shown(numbers: Array | np.ndarray) -> np.ndarray:
        # Infinity and NaN are one thing: a result that is none.
        return np.where(finite, np.asarray(numbers), np.nan)

    errors = {name: shown(norm) for name, norm in _norms(values - truth, suite).items()}
    distances = {f"{name}_to_baseline": shown(norm) for name, norm in _norms(values - reference, suite).items()}
    volume = suite.problems.environment.scheme.grid.cell_volume
    mass = np.abs((values - start).reshape(*values.shape[:2], -1).sum(axis=2)).max(axis=1) * volume
    return Scores(
        **errors,
        **distances,
        total_variation=shown(_variation(values, suite)),
        mass_error=np.where(suite.periodic, shown(mass), np.nan),
        ratio=np.full(len(finite), np.nan),
        finite=finite,
        values=values,
        seconds=seconds,
        compile_seconds=compile_seconds,
    )

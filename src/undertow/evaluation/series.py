r"""Errors, total variation and mass as functions of time."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from undertow._checks import require
from undertow._io import atomic_write_text
from undertow.core.policy import AbstractPolicy
from undertow.envs.collection import Suite
from undertow.envs.march import saved_values
from undertow.evaluation.evaluate import check_orders
from undertow.evaluation.statistics import geometric_mean, mean
from undertow.numerics.norms import l1, l2, linf, total_variation

QUANTITIES = ("l1", "l2", "linf", "total_variation", "mass_change")
"""What a `Series` holds of every policy."""


@dataclass(frozen=True, eq=False)
class Series:
    r"""Policies in time on the cases of a suite.

    - `suite`; `times`: `"saved"`, the first one 0.
    - `values`: by policy, `"cases saved chan *cells"`; `truth`: the same for the truth.
    """

    suite: Suite
    times: Float[np.ndarray, " saved"]
    values: Mapping[str, Float[np.ndarray, "cases saved chan *cells"]]
    truth: Float[np.ndarray, "cases saved chan *cells"]

    def quantity(self, name: str, policy: str | None = None) -> Float[np.ndarray, "cases saved"]:
        """One of `QUANTITIES`: the distance to the truth in a norm, total variation, or mass minus the initial mass.

        Of a system over the components that the law is judged by, as in an evaluation: of a gas the density.

        **Arguments:** `name`; `policy`: None for the truth itself, whose errors are 0.
        """
        require(name in QUANTITIES, f"a quantity is one of {', '.join(QUANTITIES)}, got {name!r}")
        judged = list(self.suite.judged)
        truth = self.truth[:, :, judged]
        values = truth if policy is None else self.values[policy][:, :, judged]
        volume = self.suite.problems.environment.scheme.grid.cell_volume
        if name == "mass_change":
            mass = values.sum(axis=tuple(range(2, values.ndim))) * volume
            return mass - mass[:, :1]
        if name == "total_variation":
            return _each(total_variation, values)
        norms = {"l1": lambda e: l1(e, volume), "l2": lambda e: l2(e, volume), "linf": linf}
        return _each(norms[name], values - truth)

    def mean(self, name: str, policy: str | None = None, *, geometric: bool = False) -> Float[np.ndarray, " saved"]:
        """The mean of a quantity over the cases. Errors of the initial state are 0, and so is their geometric mean."""
        values = self.quantity(name, policy)
        return geometric_mean(values) if geometric else mean(values)

    def to_csv(self, path: Path | str) -> None:
        """Write one line per policy (and the truth), case and time, atomically."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["policy", "case", "time", *QUANTITIES])
        for policy in (*self.values, None):
            columns = [self.quantity(name, policy) for name in QUANTITIES]
            for place, case in enumerate(self.suite.cases):
                for index, time in enumerate(self.times):
                    numbers = (repr(float(column[place, index])) for column in columns)
                    writer.writerow([policy or "exact", case, repr(float(time)), *numbers])
        atomic_write_text(path, text.getvalue())


def _each(function, values: np.ndarray) -> np.ndarray:
    return np.asarray(jax.vmap(jax.vmap(function))(jnp.asarray(values)))


def series(
    policies: Mapping[str, AbstractPolicy],
    suite: Suite,
    *,
    cases: Iterable[str | int] | None = None,
    every: int | None = None,
) -> Series:
    """Run policies on a suite and keep the states on the way, and the truth at the same times.

    **Arguments:** `policies` by name; `suite`; `cases`: some of its cases, by name or place (default: all; a state for
    every case and saved time is kept); `every`: keep the state after every so many steps, a divisor of their number
    (default: about 40 states).

    **Returns:** `Series`. **Raises:** `UndertowError` for unknown cases, a policy of another order, or an `every` that
    does not meet the end.
    """
    require(len(policies) > 0, "series needs at least one policy, got none")
    steps, order = suite.discretised.steps, suite.discretised.order
    check_orders(policies, order)
    if every is None:
        every = min((d for d in range(1, steps + 1) if steps % d == 0), key=lambda d: abs(steps / d - 40))
    require(every >= 1 and steps % every == 0, f"every must divide the {steps} steps, got {every}")
    suite = suite if cases is None else suite.subset(cases)
    values = {name: saved_values(policy, suite.problems, steps, every) for name, policy in policies.items()}
    start = np.asarray(suite.problems.state.u)[:, None]
    times = np.arange(0, steps + 1, every) * (suite.discretised.end_time / steps)
    return Series(suite, times, values, np.concatenate([start, suite.truth_every(every)], axis=1))

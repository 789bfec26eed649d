"""Means over seeds, and bands that say how far the seeds lie apart."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import betainc
from jaxtyping import Float

from undertow._checks import require

Kind = Literal["range", "confidence", "sigma", "percentile"]


class Band(NamedTuple):
    """A mean with what lies around it."""

    mean: Float[np.ndarray, "..."]
    low: Float[np.ndarray, "..."]
    high: Float[np.ndarray, "..."]


def band(
    values: Float[np.ndarray, "seeds ..."],
    kind: Kind = "range",
    *,
    amount: float | None = None,
    geometric: bool = False,
) -> Band:
    r"""The mean over the first axis, and a band around it.

    **Arguments:**

    - `values`: one entry per seed along the first axis.
    - `kind`: `range` (smallest to largest), `confidence` (Student's t interval of the mean), `sigma` (so many sample
        standard deviations) or `percentile` (the middle share of the values).
    - `amount`: the confidence level (default 0.95), the number of standard deviations (1) or the share (0.5).
    - `geometric`: means and bands of the logarithms, for positive quantities on logarithmic axes.

    **Returns:** `Band`.

    **Raises:** `UndertowError` for an unknown kind, an amount out of range, or fewer than two seeds where their spread
    is asked for.
    """
    defaults = {"range": 0.0, "confidence": 0.95, "sigma": 1.0, "percentile": 0.5}
    require(kind in defaults, f"kind must be one of {', '.join(defaults)}, got {kind!r}")
    amount = defaults[kind] if amount is None else amount
    if kind in ("confidence", "percentile"):
        require(0 < amount < 1, f"amount must lie between 0 and 1 for a {kind} band, got {amount}")
    x = np.asarray(values, float)
    count = len(x)
    require(count >= 1, "a band needs at least one seed, got none")
    require(count >= 2 or kind in ("range", "percentile"), f"a {kind} band needs at least two seeds, got {count}")
    x = np.log(x) if geometric else x
    mean = x.mean(axis=0)
    if kind == "range":
        low, high = x.min(axis=0), x.max(axis=0)
    elif kind == "percentile":
        low, high = np.quantile(x, [(1 - amount) / 2, (1 + amount) / 2], axis=0)
    else:
        spread = x.std(axis=0, ddof=1)
        half = amount * spread if kind == "sigma" else student_quantile(amount, count - 1) * spread / math.sqrt(count)
        low, high = mean - half, mean + half
    return Band(*(np.exp(part) if geometric else part for part in (mean, low, high)))


def quartiles(values: Float[np.ndarray, "seeds ..."]) -> Band:
    """Median and quartiles over the first axis, as `Band(median, lower, upper)`. What is not finite counts as infinite: a
    seed that was lost is the worst one."""
    x = np.asarray(values, float)
    x = np.where(np.isfinite(x), x, np.inf)
    # Between two ranks only where both are finite.
    shares = [0.25, 0.5, 0.75]
    with np.errstate(invalid="ignore"):
        between = np.quantile(x, shares, axis=0)
    low, middle, high = np.where(np.isfinite(between), between, np.quantile(x, shares, axis=0, method="nearest"))
    return Band(middle, low, high)


def student_quantile(level: float, freedom: int) -> float:
    r"""The $t$ with $P(|T| \le t) = $ `level` for Student's distribution with `freedom` degrees of freedom.

    By bisection on $P(|T| > t) = I_{\nu/(\nu+t^2)}(\nu/2, 1/2)$ with the regularised incomplete beta function.
    """
    low, high = 0.0, 1e9
    for _ in range(200):
        middle = (low + high) / 2
        tail = betainc(freedom / 2, 0.5, jnp.asarray(freedom / (freedom + middle**2)))
        low, high = (middle, high) if float(tail) > 1 - level else (low, middle)
        if high - low <= 1e-9 * (1 + low):
            break
    return (low + high) / 2

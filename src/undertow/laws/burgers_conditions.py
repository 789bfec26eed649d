"""Initial conditions for Burgers' equation: the named ones, and the random family to train on.

`burgers_condition(name)` looks a condition up by name; `random_condition(key)` draws from a family wide enough to learn
a shock-capturing scheme from. [`burgers_exact`][undertow.laws.burgers_exact.burgers_exact] solves all of them exactly.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from undertow._checks import UndertowError, constant, lookup, nearest, require
from undertow._types import Array, Key, Scalar
from undertow.laws.conditions import (
    AbstractCondition,
    GaussianCondition,
    PiecewisePolynomial,
    RandomCondition,
    SineCondition,
    TanhCondition,
    WindowedSineCondition,
    as_float,
)
from undertow.laws.domains import map_to_domain

# --- the named conditions -------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class ConditionFamily:
    r"""One row of `BURGERS_CONDITIONS`.

    **Arguments:**

    - `formula`: $u_0(x)$ in words, for people.
    - `build`: `build(**params, boundary=, domain=)` gives the condition.
    - `boundary`: the default boundary; `forced`: whether it is part of the name and cannot be replaced (default no).
    - `params`: parameter names with their defaults; None means "follows from the others" (see the formula).
    - `draw`: `draw(key, continuous)` gives parameters drawn at random; None for a condition without randomness.
    """

    formula: str
    build: Callable[..., AbstractCondition]
    boundary: str
    params: Mapping[str, float | None] = dataclasses.field(default_factory=dict)
    forced: bool = False
    draw: Callable[[Key, bool], dict[str, Any]] | None = None


def _offset_sine(a, b, k, **where):
    return SineCondition(3.5 - jnp.abs(as_float(b)) if a is None else a, b, as_float(k) * jnp.pi, **where)


def _tanh(A, k, C, **where):
    return TanhCondition(C, A, k, 0.5, **where)


def _pieces(positions, *coefficients, **where):
    """Piecewise polynomial from one (c0, c1, ...) per piece, missing degrees being 0."""
    width = max(len(piece) for piece in coefficients)
    rows = [jnp.stack([as_float(c) for c in (*piece, *[0.0] * (width - len(piece)))]) for piece in coefficients]
    stacked = jnp.stack([as_float(p) for p in positions]) if positions else jnp.zeros((0,), rows[0].dtype)
    return PiecewisePolynomial(stacked, jnp.stack(rows), **where)


def _accelshock(offset, u_L, u_R, **where):
    return _pieces([offset], (u_L,), (-as_float(u_R), u_R), **where)


def _sawtooth(start, end, A, **where):
    _require_before("start", start, "end", end)
    slope = as_float(A) / (as_float(end) - start)
    return _pieces([start, end], (0.0,), (-slope * start, slope), (0.0,), **where)


def _tophat(x1, x2, u_L, u_M, u_R, **where):
    _require_before("x1", x1, "x2", x2)
    return _pieces([x1, x2], (u_L,), (u_M,), (u_L if u_R is None else u_R,), **where)


def _require_before(low_name, low, high_name, high):
    if isinstance(low, (int, float)) and isinstance(high, (int, float)):
        require(low < high, f"{low_name} must lie left of {high_name}, got {low_name}={low!r}, {high_name}={high!r}")


# The families draw from uniform numbers of one call: every call of a random generator compiles a cipher of its own.


def _pick(draw: Array, continuous: bool, low: float, high: float) -> Scalar:
    """A value of [low, high], or one of nine equally spaced from low to high."""
    return low + (high - low) * (draw if continuous else jnp.floor(9 * draw) / 8)


def _choose(draw: Array, *values: float) -> Scalar:
    """One of the values."""
    return jnp.asarray(values)[jnp.floor(draw * len(values)).astype(int)]


def _draw_random(key, continuous):
    k, size, sign = jax.random.uniform(key, (3,))
    b = _choose(sign, -1.0, 1.0) * _pick(size, continuous, 0.2, 1.0)
    return {"k": _choose(k, 2.0, 4.0, 6.0, 8.0), "b": b}


def _draw_many_shocks(key, continuous):
    k, size, sign, a = jax.random.uniform(key, (4,))
    b = _choose(sign, -1.0, 1.0) * _pick(size, continuous, 0.2, 1.0)
    return {"k": _choose(k, 10.0, 12.0, 14.0), "b": b, "a": _pick(a, continuous, -2.0, 2.0)}


def _draw_shift(key, continuous):
    turn = jax.random.uniform(key)
    return {"phi": 2 * jnp.pi * (turn if continuous else jnp.floor(23 * turn) / 23)}


def _draw_tanh(key, continuous):
    a, slope, c = jax.random.uniform(key, (3,))
    k = _pick(slope, continuous, 20.0, 100.0)  # 9 equally spaced values: whole numbers
    return {"A": _pick(a, continuous, 0.25, 1.5), "k": k, "C": _pick(c, continuous, -1.0, 1.0)}


def _draw_accelshock(key, continuous):
    offset, left, right = jax.random.uniform(key, (3,))
    return {
        "offset": _pick(offset, continuous, 0.0, 0.5),
        "u_L": _pick(left, continuous, 0.5, 5.0),
        "u_R": _pick(right, continuous, 0.0, 5.0),
    }


def _flat(a, **where):
    return _pieces([], (a,), **where)


_SINE = {"A": 1 / (2 * math.pi * 0.1)}  # the amplitude for which the wave breaks at t = 0.1
_TANH = {"A": 1.0, "k": 60.0, "C": 0.0}
_ACCELSHOCK = {"offset": 0.25, "u_L": 3.0, "u_R": 3.0}
_ACCELSHOCK_FORMULA = "u_L for x <= offset, u_R (x - 1) beyond"
_JUMP_FORMULA = "u_L for x <= offset, u_R beyond"


def _smooth_sine(A, phi=0.0, **where):
    return SineCondition(0.0, A, 2 * jnp.pi, phi, **where)


def _jump(offset, u_L, u_R, **where):
    return _pieces([offset], (u_L,), (u_R,), **where)


BURGERS_CONDITIONS: dict[str, ConditionFamily] = {
    "smooth_sine": ConditionFamily("A sin(2 pi x)", _smooth_sine, "periodic", _SINE),
    "smooth_sine_outflow": ConditionFamily("A sin(2 pi x)", _smooth_sine, "outflow", _SINE, forced=True),
    "smooth_sine_shift": ConditionFamily(
        "A sin(2 pi x + phi)", _smooth_sine, "periodic", {**_SINE, "phi": 0.0}, draw=_draw_shift
    ),
    "other_sine": ConditionFamily("a + b sin(k pi x)", _offset_sine, "periodic", {"a": 2.5, "b": 0.5, "k": 4.0}),
    "gaussian": ConditionFamily(
        "1 + exp(-60 (x - 0.5)^2)", lambda **where: GaussianCondition(1.0, 1.0, 60.0, 0.5, **where), "outflow"
    ),
    "random": ConditionFamily(
        "a + b sin(k pi x), a = 3.5 - |b| unless given", _offset_sine, "periodic",
        {"a": None, "b": 0.5, "k": 4.0}, draw=_draw_random,
    ),
    "random-many-shocks": ConditionFamily(
        "a + b sin(k pi x)", _offset_sine, "periodic", {"a": 0.0, "b": 0.5, "k": 12.0}, draw=_draw_many_shocks
    ),
    "smooth_rare": ConditionFamily("C + A tanh(k (x - 0.5))", _tanh, "outflow", _TANH),
    "smooth_rare2": ConditionFamily(
        "1 + tanh(10 (x - 0.25))", lambda **where: TanhCondition(1.0, 1.0, 10.0, 0.25, **where), "outflow"
    ),
    "smooth_rare_periodic": ConditionFamily("C + A tanh(k (x - 0.5))", _tanh, "periodic", _TANH, forced=True),
    "smooth_rare_random": ConditionFamily("C + A tanh(k (x - 0.5))", _tanh, "outflow", _TANH, draw=_draw_tanh),
    "accelshock": ConditionFamily(_ACCELSHOCK_FORMULA, _accelshock, "outflow", _ACCELSHOCK),
    "accelshock_periodic": ConditionFamily(_ACCELSHOCK_FORMULA, _accelshock, "periodic", _ACCELSHOCK, forced=True),
    "accelshock_random": ConditionFamily(
        _ACCELSHOCK_FORMULA, _accelshock, "outflow", _ACCELSHOCK, draw=_draw_accelshock
    ),
    "shock": ConditionFamily(_JUMP_FORMULA, _jump, "outflow", {"offset": 0.25, "u_L": 3.0, "u_R": 1.0}),
    "shock_formation": ConditionFamily(
        "C - tanh(k (x - b))", lambda k, b, C, **where: TanhCondition(C, -1.0, k, b, **where), "outflow",
        {"k": 10.0, "b": 0.25, "C": 1.0},
    ),
    "sawtooth": ConditionFamily(
        "A (x - start) / (end - start) for start < x <= end, 0 elsewhere", _sawtooth, "outflow",
        {"start": 0.333, "end": 0.666, "A": 2.0},
    ),
    "tophat": ConditionFamily(
        "u_L for x <= x1, u_M for x1 < x <= x2, u_R beyond; u_R = u_L unless given", _tophat, "outflow",
        {"x1": 1 / 3, "x2": 2 / 3, "u_L": 0.0, "u_M": 1.0, "u_R": None},
    ),
    "sine": ConditionFamily(
        "1 + 0.5 sin(2 pi (x - 0.333) / 0.333) for 0.333 < x < 0.666, 1 elsewhere",
        lambda **where: WindowedSineCondition(1.0, 0.5, 0.333, 0.666, **where), "periodic",
    ),
    "rarefaction": ConditionFamily(_JUMP_FORMULA, _jump, "outflow", {"offset": 0.5, "u_L": 1.0, "u_R": 2.0}),
    "zero": ConditionFamily("0", lambda **where: _flat(0.0, **where), "periodic"),
    "flat": ConditionFamily("a", _flat, "outflow", {"a": 2.0}),
    "line": ConditionFamily(
        "a + b x", lambda a, b, **where: _pieces([], (a, b), **where), "linear", {"a": 2.0, "b": -0.1}
    ),
    "para": ConditionFamily(
        "a + b x + c x^2", lambda a, b, c, **where: _pieces([], (a, b, c), **where), "outflow",
        {"a": 2.0, "b": 0.0, "c": -1.0},
    ),
}  # fmt: skip
"""Every named initial condition of Burgers' equation, with its parameters, their defaults and its boundary."""


def burgers_condition(
    name: str,
    *,
    key: Key | None = None,
    boundary: str | None = None,
    continuous: bool = True,
    domain: tuple[float, float] = (0.0, 1.0),
    **params: Any,
) -> AbstractCondition:
    r"""The initial condition called `name`; `BURGERS_CONDITIONS` lists them with their formulas.

    **Arguments:**

    - `name`: a key of `BURGERS_CONDITIONS`.
    - `key`: with a key the random families (`smooth_sine_shift`, `random`, `random-many-shocks`, `smooth_rare_random`,
        `accelshock_random`) draw their parameters; without one they take their defaults. Others ignore it.
    - `boundary`: replaces the family's own. `smooth_sine_outflow`, `smooth_rare_periodic` and `accelshock_periodic` do
        not let it be replaced.
    - `continuous`: draw from intervals (default), or with False from coarse grids of values in the same intervals.
    - `domain`: $(x_{min}, x_{max})$, default (0.0, 1.0). Formulas and parameters move and stretch with it: their $x$ is 0 at its
        start and 1 at its end.
    - `params`: parameters of the formula, numbers or scalar arrays; they win over drawn ones.

    **Returns:** the condition, a pytree. With a key this may be called under `jax.jit` and `jax.vmap`.

    **Raises:** `UndertowError` for an unknown name or parameter, or a boundary that contradicts the name.

    **Reference:** the conditions and ranges of Way et al., arXiv 2203.08937, and their code.
    """
    family = lookup("Burgers condition", name, BURGERS_CONDITIONS)
    unknown = sorted(set(params) - set(family.params))
    if unknown:
        tail = nearest(unknown[0], family.params) if family.params else "; it has no parameters"
        raise UndertowError(f"condition {name!r} has no parameter {unknown[0]!r}{tail}")
    require(
        not (family.forced and boundary not in (None, family.boundary)),
        f"condition {name!r} is {family.boundary} by its name, got boundary={boundary!r}; leave the boundary out",
    )
    params = {key: None if value is None else constant(f"{key} of {name}", value) for key, value in params.items()}
    drawn = family.draw(key, continuous) if family.draw is not None and key is not None else {}
    ends = len(domain) == 2 and all(math.isfinite(end) for end in domain) and domain[0] < domain[1]
    require(ends, f"domain must be (x_min, x_max) with x_min < x_max, got {domain!r}")
    return map_to_domain(
        family.build(**{**family.params, **drawn, **params}, boundary=boundary or family.boundary), domain
    )


# --- the random family ----------------------------------------------------------------------------------------------


def random_condition(
    key: Key,
    *,
    num_modes: int = 6,
    num_jumps: int = 4,
    periodic_probability: float = 0.5,
    mixture: tuple[float, float, float] = (0.3, 0.4, 0.3),
    max_amplitude: float = 1.5,
    max_offset: float = 1.5,
    ramp_probability: float = 0.3,
    min_width: float = 0.08,
    domain: tuple[float, float] = (0.0, 1.0),
) -> RandomCondition:
    r"""Draws one `RandomCondition`: data that makes a scheme meet everything Burgers' equation does.

    Three kinds, each periodic or outflow:

    - waves: wavenumbers $1..n$ for a random $n$, amplitudes falling like $1/k$, or (one time in three) one wavenumber;
    - pieces: one to `num_jumps` breaks between constants and ramps, so Riemann problems, top hats, sawteeth: shocks,
        rarefactions and shocks that merge;
    - both added, which gives accelerating shocks, and shocks that form beside others.

    The offset is zero half of the time, when sonic points and transonic rarefactions are common, and otherwise
    uniform, when most waves run one way.

    **Arguments:**

    - `key`: a PRNG key; draw a batch with `jax.vmap(random_condition)(jax.random.split(key, n))`.
    - `num_modes`: largest wavenumber, default 6; `num_jumps`: largest number of breaks, default 4; both at least 1.
    - `periodic_probability`: of a periodic sample, default 0.5; the others are outflow.
    - `mixture`: probabilities of waves, pieces and both, in any scale; default (0.3, 0.4, 0.3).
    - `max_amplitude`: bound of the strength of waves or pieces, default 1.5; half of it for each where both are added.
    - `max_offset`: bound of the constant part, default 1.5.
    - `ramp_probability`: that a piece is a ramp rather than a constant, default 0.3.
    - `min_width`: smallest distance of two breaks as a fraction of the domain, default 0.08, below 1/`num_jumps`.
    - `domain`: $(x_{min}, x_{max})$, default (0.0, 1.0).

    **Returns:** a condition with $|u_0| \le$ `max_offset` + `max_amplitude`. Works under `jax.jit` and `jax.vmap`.

    **Raises:** `UndertowError` for counts below 1, a width that leaves no room, or a mixture without weight.
    """
    require(
        num_modes >= 1 and num_jumps >= 1,
        f"num_modes and num_jumps must be at least 1, got {num_modes} and {num_jumps}; switch a kind off with mixture",
    )
    require(num_jumps * min_width < 1, f"min_width must be below 1 / num_jumps, got {min_width} for {num_jumps} jumps")
    require(len(mixture) == 3 and min(mixture) >= 0 and sum(mixture) > 0, f"mixture must be 3 weights, got {mixture!r}")
    weights = tuple(weight / sum(mixture) for weight in mixture)
    scales = {"max_amplitude": max_amplitude, "max_offset": max_offset, "min_width": min_width}
    chances = {"periodic": periodic_probability, "mixture": weights, "ramp": ramp_probability}
    return _draw_condition(key, scales, chances, num_modes, num_jumps, domain)


@functools.partial(jax.jit, static_argnums=(3, 4, 5))
def _draw_condition(
    key: Key, scales: dict, chances: dict, num_modes: int, num_jumps: int, domain: tuple[float, float]
) -> RandomCondition:
    sizes = (1, 1, 1, 1, 2, 2 + 2 * num_modes, 3 + 5 * num_jumps)
    kind, boundary, centred, shift, strength, waves, pieces = _uniforms(key, sizes)
    kind = jnp.sum(kind >= jnp.cumsum(jnp.asarray(chances["mixture"]))[:2])
    periodic = boundary[0] < chances["periodic"]
    parts = jnp.asarray([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])[kind]
    strength = (0.2 + 0.8 * strength) * scales["max_amplitude"] * parts
    amplitudes, phases = _waves(waves, num_modes)
    positions, coefficients = _lines(pieces, num_jumps, periodic, chances["ramp"], scales["min_width"])
    # From the unit interval to the domain: s = (x - x_min) / L.
    start, length = domain[0], domain[1] - domain[0]
    slope = coefficients[:, 1] / length
    return RandomCondition(
        mean=jnp.where(centred[0] < 0.5, 0.0, (2 * shift[0] - 1) * scales["max_offset"]),
        amplitudes=strength[0] * amplitudes,
        phases=phases,
        positions=start + length * positions,
        coefficients=strength[1] * jnp.stack([coefficients[:, 0] - slope * start, slope], axis=-1),
        periodic=periodic,
        domain=domain,
    )


def _uniforms(key: Key, sizes: tuple[int, ...]) -> list[Array]:
    """Independent U(0, 1) arrays of these sizes."""
    edges = list(itertools.accumulate(sizes))
    return jnp.split(jax.random.uniform(key, (edges[-1],)), edges[:-1])


def _waves(draws: Array, num_modes: int) -> tuple[Array, Array]:
    """Amplitudes of wavenumbers 1..num_modes with sum |a| = 1, and phases."""
    count, single = draws[:2]
    size, phases = jnp.split(draws[2:], 2)
    wavenumbers = jnp.arange(1, num_modes + 1)
    highest = 1 + jnp.floor(count * num_modes)
    spectrum = jnp.where(wavenumbers <= highest, (2 * size - 1) / wavenumbers, 0.0)
    amplitudes = jnp.where(single < 1 / 3, jnp.where(wavenumbers == highest, 1.0, 0.0), spectrum)
    total = jnp.maximum(jnp.sum(jnp.abs(amplitudes)), jnp.finfo(draws.dtype).tiny)
    return amplitudes / total, 2 * jnp.pi * phases


def _lines(draws: Array, num_jumps: int, periodic: Array, ramps: float, min_width: float) -> tuple[Array, Array]:
    """Breaks in (0, 1) and the lines between them, values within [-1, 1].

    On a circle n breaks make n pieces; cutting the circle at 0 repeats the last piece in front of the first break. An
    outflow sample has a value of its own there instead. Breaks beyond the drawn n lie at 1, where they do nothing.
    """
    (count, first, level), draws = draws[:3], draws[3:]
    share, levels, target, ramp, join = draws.reshape(5, num_jumps)
    levels, target, leading = 2 * levels - 1, 2 * target - 1, 2 * level - 1
    # On a circle one break between constants is none at all: periodic samples take at least two where there are two.
    fewest = jnp.where(periodic, min(2, num_jumps), 1)
    number = (fewest + jnp.floor(count * (num_jumps + 1 - fewest))).astype(int)
    index = jnp.arange(num_jumps)
    active = index < number
    shares = jnp.where(active, -jnp.log1p(-share), 0.0)
    total = jnp.maximum(jnp.sum(shares), jnp.finfo(draws.dtype).tiny)
    widths = jnp.where(active, min_width + (1 - number * min_width) * shares / total, 0.0)
    cut = (0.2 + 0.6 * first) * widths[number - 1]
    positions = jnp.where(active, cut + jnp.cumsum(widths) - widths, 1.0)

    # A ramp climbs to where the next piece begins (a kink) or to a value of its own (a jump).
    following = levels[jnp.where(index == number - 1, 0, index + 1)]
    ends = jnp.where(ramp < ramps, jnp.where(join < 0.5, following, target), levels)
    slopes = jnp.where(active, (ends - levels) / jnp.where(active, widths, 1.0), 0.0)
    lines = jnp.stack([levels - slopes * positions, slopes], axis=-1)

    last = lines[number - 1]
    wrapped = jnp.stack([last[0] + last[1], last[1]])  # the last piece seen one period earlier
    front = jnp.where(periodic, wrapped, jnp.stack([leading, jnp.zeros_like(leading)]))
    return positions, jnp.concatenate([front[None], lines])

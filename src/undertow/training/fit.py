"""The only Python loop: dispatch many updates at a time, look at the results in between."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import equinox as eqx
import jax
import numpy as np

from undertow._checks import NonFiniteError, Within, require, shown, whole_number
from undertow._limits import require_program
from undertow.training.ensemble import Ensemble
from undertow.training.trainer import Trainer, TrainState


@dataclass(frozen=True)
class Progress:
    """What a callback sees after every dispatch: the state, updates done, the metrics of those updates as arrays, and the seconds
    that they took, without compilation."""

    state: TrainState
    done: int
    total: int
    metrics: dict[str, np.ndarray]
    seconds: float = 0.0


Callback = Callable[[Progress], object]
"""Called after every dispatch; returning True stops the run after it, anything else does not."""


def as_callbacks(given: Callback | Sequence[Callback]) -> tuple[Callback, ...]:
    """One callback or several as a tuple. Raises `UndertowError` for what cannot be called."""
    several = (given,) if callable(given) or not isinstance(given, Iterable) else tuple(given)
    for each in several:
        require(callable(each), f"a callback is a function of Progress, got {shown(each)}")
    return several


def ask(callbacks: Sequence[Callback], progress: Progress) -> bool:
    """Call all of them, also after one has asked to stop: a checkpoint must not miss the last dispatch. Whether one has."""
    told = [callback(progress) for callback in callbacks]
    return any(isinstance(each, bool | np.bool_) and bool(each) for each in told)


@dataclass(frozen=True)
class FitResult:
    """How training ended: the last good state, `finished`, `stopped` by a callback, or `failed` with the error; `metrics`: those
    of every update of this call, by name, updates first."""

    state: TrainState
    status: Literal["finished", "stopped", "failed"]
    error: NonFiniteError | None = None
    metrics: dict[str, np.ndarray] = field(default_factory=dict)


def fit(
    trainer: Trainer | Ensemble,
    state: TrainState,
    updates: int,
    *,
    start: int = 0,
    every: int = 50,
    callbacks: Callback | Sequence[Callback] = (),
    max_skipped: int = 10,
) -> FitResult:
    """Train up to `updates` updates, `every` of them in one device call.

    **Arguments:** `trainer`, or an `Ensemble`, whose metrics then have an axis of members behind the one of updates;
    `state` from `trainer.init`, or from a checkpoint after `start` updates (default 0); `updates` in all; `every`;
    `callbacks`, one or several, run in order after each dispatch; `max_skipped`: so many non-finite updates in a row (of every
    member), or all that there are, end the run as failed.

    **Returns:** `FitResult`. A run that went non-finite does not raise: the result holds its last good state and a
    `NonFiniteError` naming step, sample and cell.

    **Raises:** `UndertowError` for counts below 1, a start that is not before the end, or a program that needs more memory than
    is free, before it is run.
    """
    updates, every = whole_number("updates", updates), whole_number("every", every)
    start = whole_number("start", start, Within(at_least=0))
    require(start < updates, f"start must lie between 0 and updates={updates}, got {start}")
    callbacks = as_callbacks(callbacks)
    # A training without a single good update has failed, however short it was.
    max_skipped = min(whole_number("max_skipped", max_skipped), updates)
    arrays, static = eqx.partition(trainer, eqx.is_array)

    def many(arrays: Any, dynamic: Any, count: int) -> tuple[Any, dict]:
        inner = eqx.combine(arrays, static)

        def one(carry, _):
            new, metrics = inner.update(eqx.combine(carry, fixed))
            return eqx.filter(new, eqx.is_array), metrics

        return jax.lax.scan(one, dynamic, length=count)

    dynamic, fixed = eqx.partition(state, eqx.is_array)
    programs: dict[int, Callable[..., tuple[Any, dict]]] = {}
    portions: list[dict[str, np.ndarray]] = []
    done = start
    if _is_lost(state, max_skipped):  # a checkpoint of a run that had failed
        return FitResult(state, "failed", trainer.diagnose(state))
    while done < updates:
        # The same portions wherever it starts, so that a resumed training runs the programs of one that was never stopped.
        # At most three of them: the full portion, the rest of the last, and of the first one.
        count = min(every - done % every, updates - done)
        if count not in programs:
            program = jax.jit(many, static_argnums=2).lower(arrays, dynamic, count).compile()
            require_program(
                program, "training.batch, the number of steps or of cells, or take training.rematerialise step"
            )
            programs[count] = program
        begun = time.perf_counter()
        dynamic, metrics = programs[count](arrays, dynamic)
        done += count
        state = eqx.combine(dynamic, fixed)
        portions.append({name: np.asarray(v) for name, v in metrics.items()})  # which waits for the device
        progress = Progress(state, done, updates, dict(portions[-1]), time.perf_counter() - begun)
        stops = ask(callbacks, progress)
        if _is_lost(state, max_skipped):
            return FitResult(state, "failed", trainer.diagnose(state), _joined(portions))
        if stops and done < updates:
            return FitResult(state, "stopped", None, _joined(portions))
    return FitResult(state, "finished", None, _joined(portions))


def _joined(portions: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([each[name] for each in portions]) for name in portions[0]}


def _is_lost(state: TrainState, max_skipped: int) -> bool:
    """Of several members, those that are left go on."""
    return bool(np.all(np.asarray(state.skipped_in_a_row) >= max_skipped))

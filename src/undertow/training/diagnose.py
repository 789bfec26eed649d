"""Where a run went wrong: the first step, sample and cell that is not finite."""

from __future__ import annotations

import equinox as eqx
import jax
import numpy as np

from undertow._checks import NonFiniteError
from undertow.core.flow import FULL
from undertow.core.objective import Problem
from undertow.core.policy import AbstractPolicy
from undertow.core.task import Task, batch_size, take


def locate(task: Task, policy: AbstractPolicy, problems: Problem) -> NonFiniteError:
    """Run the batch again and name the first step, sample and cell (index into the state's array) that is not finite.

    If every state is finite, the fault is in the backward pass; the first sample whose gradient is not finite is named.

    **Returns:** the error, to be raised by the caller.
    """
    run = eqx.filter_jit(eqx.filter_vmap(lambda p: task.run(policy, p).states, in_axes=(eqx.if_array(0),)))
    found = None
    for leaf in jax.tree.leaves(run(problems)):
        values = np.asarray(leaf)
        bad = ~np.isfinite(values)
        if not bad.any():
            continue
        # (sample, time, ...): the earliest time first, then the first sample, then the first cell.
        times = bad.reshape(*bad.shape[:2], -1).any(axis=2)
        step = int(np.argmax(times.any(axis=0)))
        sample = int(np.argmax(times[:, step]))
        cell = tuple(int(i) for i in np.unravel_index(int(np.argmax(bad[sample, step])), values.shape[2:]))
        if found is None or step < found[0]:
            found = (step, sample, cell, float(values[(sample, step, *cell)]))
    if found is not None:
        step, sample, cell, value = found
        # The leading entry of a field's index is its component; what users call the cell is the rest.
        place = cell[1:] if len(cell) > 1 else cell
        return NonFiniteError(
            f"the state became {value} at step {step} of sample {sample} in cell {place[0] if len(place) == 1 else place}",
            step=step,
            sample=sample,
            cell=place[0] if len(place) == 1 else place,
        )
    gradient = eqx.filter_jit(eqx.filter_grad(lambda q, p: task.objective(task.run(q, p, FULL), p)))
    for sample in range(batch_size(problems)):
        leaves = jax.tree.leaves(gradient(policy, take(problems, sample)))
        if not all(np.isfinite(np.asarray(g)).all() for g in leaves):
            return NonFiniteError(
                f"every state is finite, but the gradient of sample {sample} is not: lower the horizon, close a gate of the "
                "gradient flow, or choose a differentiable splitting speed and epsilon",
                sample=sample,
            )
    return NonFiniteError("loss or gradient became non-finite, but not when the same batch was run again on its own")

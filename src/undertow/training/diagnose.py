"""Where a run went wrong: the first step, sample and cell that is not finite, forward or on the way back."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import numpy as np

from undertow._checks import NonFiniteError
from undertow._tree import take
from undertow.core.adjoint import adjoints, direct
from undertow.core.flow import FLOWS, FULL, GradientFlow
from undertow.core.objective import Problem
from undertow.core.policy import AbstractPolicy
from undertow.core.task import Task, batch_size


def locate(task: Task, policy: AbstractPolicy, problems: Problem) -> NonFiniteError:
    """Run the batch again and name the first step, sample and cell (index into the state's array) that is not finite.

    If every state is finite, the fault is in the backward pass: [`locate_nonfinite_gradient`]
    [undertow.training.diagnose.locate_nonfinite_gradient] names its step and sample, with all gates open or, if nothing is
    found there, under another named flow.

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
    for name, flow in FLOWS.items():
        if _parameters_stay_finite(task, policy, problems, flow.per_step(task.horizon)):
            continue  # what arrives at a state may be infinite without any parameter noticing
        error = locate_nonfinite_gradient(task, policy, problems, flow, name="" if flow is FULL else name)
        if error is not None:
            return error
    return NonFiniteError("loss or gradient became non-finite, but not when the same batch was run again on its own")


def locate_nonfinite_gradient(
    task: Task, policy: AbstractPolicy, problems: Problem, flow: GradientFlow = FULL, *, name: str = ""
) -> NonFiniteError | None:
    r"""Name where a gradient stops being finite on its way back through finite states.

    Of the derivatives $\lambda_t = dL/dx_t$ and $\mu_t = dL/dc_t$, the first one that is not finite, counted from the end: what
    arrived from step $t+1$ was finite, so the fault is in the derivative of step $t$ (or of the objective, which the
    message then says).

    **Arguments:** `task`; `policy`; `problems`: a stacked batch with finite states (else see
    [`locate`][undertow.training.diagnose.locate]); `flow` (default `FULL`); `name` of the flow for the message.

    **Returns:** the error with `step` $t$, `sample` and `cell` (the index into the state or action), to be raised by the
    caller; None if all that arrives at states, actions and parameters is finite.
    """
    flow = flow.per_step(task.horizon)  # arrays: one compiled program for all flows
    found = _adjoints(task, policy, problems, flow, False)
    # Backwards, what arrives at a step's action comes before what arrives at the state it was taken in.
    faults = [
        (2 * time + order, -sample, kind, path, time, sample, cell, value)
        for order, kind, tree in ((0, "state", found.states), (1, "action", found.actions))
        for path, time, sample, cell, value in _last_faults(tree)
    ]
    under = f" under the flow {name!r}" if name else ""
    if not faults:
        return _locate_in_policy(task, policy, problems, flow, under)
    _, _, kind, path, time, sample, cell, value = max(faults, key=lambda fault: fault[:2])
    before = _largest(found.states, sample, time + 1) if time < task.horizon else None
    sources = _direct(task, policy, problems)
    part = sources.states if kind == "state" else sources.actions
    own = any(not np.isfinite(np.asarray(x)[sample, time]).all() for x in jax.tree.leaves(part))
    entry = cell[0] if len(cell) == 1 else cell
    where = (f"entry {entry} of " if cell else "") + f"the {kind}{path} at step {time}"
    text = f"every state is finite, but the gradient of sample {sample}{under} became {value} at {where}"
    if own:
        text += ", where the objective itself has no finite derivative"
    elif before is not None:
        text += (
            f" (what arrived from step {time + 1} was up to {before:.1e}): lower the horizon, close a gate of the gradient "
            "flow, or make the step differentiable there (no root or division at 0; for schemes the splitting speed and "
            "epsilon)"
        )
    return NonFiniteError(text, step=time, sample=sample, cell=entry if cell else None)


def _locate_in_policy(
    task: Task, policy: AbstractPolicy, problems: Problem, flow: GradientFlow, under: str
) -> NonFiniteError | None:
    """What arrives at all states and actions is finite: the fault, if any, is between the action and the parameters."""
    for sample in range(batch_size(problems)):
        found = _adjoints(task, policy, take(problems, np.asarray([sample])), flow, True).parameters
        faults = list(_last_faults(jax.tree.map(lambda x: x[None], found)))
        if faults:
            path, time, _, _, value = max(faults, key=lambda fault: fault[1])
            return NonFiniteError(
                f"every state is finite, but the gradient of sample {sample}{under} became {value} at step {time} inside the "
                f"policy, on the way to its parameters{path}: make the policy differentiable at what it observes there",
                step=time,
                sample=sample,
            )
    return None


def _last_faults(tree: Any):
    """For every leaf `"batch time ..."` the last time, then the first sample and entry, that is not finite."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    for path, leaf in leaves:
        values = np.asarray(leaf)
        bad = ~np.isfinite(values)
        if not bad.any():
            continue
        times = bad.reshape(*bad.shape[:2], -1).any(axis=2)
        time = int(np.flatnonzero(times.any(axis=0))[-1])
        sample = int(np.argmax(times[:, time]))
        cell = tuple(int(i) for i in np.unravel_index(int(np.argmax(bad[sample, time])), values.shape[2:]))
        yield (
            jax.tree_util.keystr(path) if len(leaves) > 1 else "",
            time,
            sample,
            cell,
            float(values[(sample, time, *cell)]),
        )


def _largest(tree: Any, sample: int, time: int) -> float:
    return max((float(np.abs(np.asarray(x)[sample, time]).max()) for x in jax.tree.leaves(tree)), default=0.0)


@eqx.filter_jit
def _gradient(task: Task, policy: AbstractPolicy, problems: Problem, flow: GradientFlow):
    return eqx.filter_grad(lambda p: task.loss(p, flow, problems)[0])(policy)


def _parameters_stay_finite(task: Task, policy: AbstractPolicy, problems: Problem, flow: GradientFlow) -> bool:
    leaves = jax.tree.leaves(_gradient(task, policy, problems, flow))
    return all(bool(np.isfinite(np.asarray(g)).all()) for g in leaves)


@eqx.filter_jit
def _adjoints(task: Task, policy: AbstractPolicy, problems: Problem, flow: GradientFlow, parameters: bool):
    return adjoints(task, policy, problems, flow, parameters=parameters)


_direct = eqx.filter_jit(direct)

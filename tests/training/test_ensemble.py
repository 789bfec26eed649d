"""Many trainings side by side do what each would do alone."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.toys import Gain, Linear
from undertow._checks import UndertowError
from undertow._tree import stack, take
from undertow.core.objective import FinalCost, Problem
from undertow.core.task import Task, stack_problems
from undertow.training.ensemble import Ensemble
from undertow.training.fit import fit
from undertow.training.trainer import Trainer

A, B = jnp.array([[0.9, 0.2], [0.0, 1.1]]), jnp.array([[0.0], [1.0]])


def trainer(**options):
    pool = stack_problems([Problem(Linear(A, B), x) for x in jax.random.normal(jax.random.key(0), (6, 2))])
    task = Task(FinalCost(lambda x: jnp.sum(x**2)), 4)
    return Trainer(task, pool, optimizer=optax.adam(1e-2), batch=3, sampling="cycle", **options)


def gains(*values):
    return [Gain(jnp.array([[v, -v]])) for v in values]


KEYS = list(jax.random.split(jax.random.key(1), 3))


def test_members_are_what_they_would_be_alone():
    """With the same batches; a factor on the rate is another learning rate."""
    one = trainer()
    together = Ensemble(one)
    states = fit(together, together.init(gains(0.1, -0.2, 0.3), KEYS, (1.0, 1.0, 3.0)), 5, every=5).state
    for index, (gain, rate) in enumerate(zip((0.1, -0.2, 0.3), (1, 1, 3), strict=True)):
        faster = dataclasses.replace(one, optimizer=optax.adam(rate * 1e-2))
        alone = fit(faster, faster.init(gains(gain)[0], KEYS[index]), 5, every=5).state
        np.testing.assert_allclose(take(states, index).policy.k, alone.policy.k, rtol=1e-12)


def test_a_member_that_fails_does_not_disturb_the_others():
    together = Ensemble(trainer())
    seen = []
    result = fit(
        together,
        together.init(gains(0.1, np.nan, 0.3), KEYS),
        20,
        every=10,
        callbacks=(lambda p: seen.append(p.metrics["loss"]),),
        max_skipped=5,
    )
    assert result.status == "finished"
    np.testing.assert_array_equal(result.state.skipped, [0, 20, 0])
    assert np.isfinite(np.concatenate(seen)[:, [0, 2]]).all()
    lost = Ensemble(trainer())
    failed = fit(lost, lost.init(gains(np.nan, np.nan), KEYS[:2]), 20, every=10, max_skipped=5)
    assert failed.status == "failed" and failed.error is not None


def test_stacking():
    both = stack(gains(1.0, 2.0))
    assert both.k.shape == (2, 1, 2)
    np.testing.assert_array_equal(take(both, 1).k, [[2.0, -2.0]])


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda e: e.init([], []), "at least one member"),
        (lambda e: e.init(gains(1.0), KEYS), "1 policies, 3 keys, 1 rates"),
        (lambda e: e.init(gains(1.0, 2.0), KEYS[:2], (1.0,)), "2 policies, 2 keys, 1 rates"),
        (lambda e: e.init([*gains(1.0), Gain(jnp.ones((1, 2)), saturated=True)], KEYS[:2]), "same structure"),
    ],
)
def test_errors(call, message):
    with pytest.raises(UndertowError, match=message):
        call(Ensemble(trainer()))

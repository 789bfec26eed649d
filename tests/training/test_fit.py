"""The loop around a training: what comes back, and what stops it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.toys import Gain, Linear
from undertow.core.objective import FinalCost, Problem
from undertow.core.task import Task, stack_problems
from undertow.training.fit import fit
from undertow.training.trainer import Trainer


@pytest.fixture(scope="module")
def trainer():
    matrix, column = jnp.array([[0.9, 0.2], [0.0, 1.1]]), jnp.array([[0.0], [1.0]])
    pool = stack_problems([Problem(Linear(matrix, column), x) for x in jax.random.normal(jax.random.key(0), (4, 2))])
    task = Task(FinalCost(lambda x: jnp.sum(x**2)), 4)
    return Trainer(task, pool, optimizer=optax.adam(1e-2), batch=2, sampling="cycle")


def begin(trainer):
    return trainer.init(Gain(jnp.array([[0.1, -0.1]])), jax.random.key(1))


def test_the_history_is_what_the_callbacks_saw(trainer):
    seen = []
    result = fit(trainer, begin(trainer), 7, every=3, callbacks=lambda p: seen.append(p.metrics["loss"]))
    assert [len(each) for each in seen] == [3, 3, 1]
    np.testing.assert_array_equal(result.metrics["loss"], np.concatenate(seen))
    assert set(result.metrics) >= {"loss", "gradient_norm", "skipped"}
    assert result.metrics["loss"][6] < result.metrics["loss"][0]  # the same batch


@pytest.mark.parametrize(
    ("told", "status", "updates"),
    [
        (True, "stopped", 2),
        (np.bool_(True), "stopped", 2),
        (False, "finished", 4),
        (None, "finished", 4),
        (1.5, "finished", 4),
        ("written", "finished", 4),
    ],
)
def test_only_true_stops(trainer, told, status, updates):
    """What a callback happens to return is not a wish: the number of characters written, say."""
    result = fit(trainer, begin(trainer), 4, every=2, callbacks=lambda progress: told)
    assert (result.status, len(result.metrics["loss"])) == (status, updates)

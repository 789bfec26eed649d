"""Policies in the plane: errors against exact and finer solutions, runs that fail, stored references."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from undertow._checks import UndertowError
from undertow.core.policy import AbstractPolicy
from undertow.envs.placing import coordinates, grid_of
from undertow.evaluation.planes import (
    STUDY,
    load_references,
    plane_environment,
    plane_reference,
    run_plane,
    transfer_planes,
)
from undertow.laws.planes import PLANE_CASES, plane_case
from undertow.policies.classical import classical
from undertow.policies.stencil import DirectionalPolicy

ORDER = 3
CASE = "density-wave"


class Broken(AbstractPolicy):
    """No weights to speak of."""

    order: int = ORDER

    def __call__(self, observation, *, key=None):
        return tuple(jnp.full((*stencil.shape[:-1], 2), jnp.nan) for stencil in observation)


@pytest.fixture(scope="module")
def study():
    untrained = DirectionalPolicy(key=jax.random.key(0), order=ORDER, hidden=(4,))
    policies = {"untrained": untrained, "broken": Broken()}
    return transfer_planes(policies, (CASE,), (8,), reconstruction="component", rivals=())


def test_policies_run_unchanged_beside_the_baseline_at_equal_and_doubled_cells(study):
    assert set(STUDY) <= set(PLANE_CASES)
    assert [(run.policy, run.cells) for run in study.runs] == [
        ("weno-js", 8),
        ("untrained", 8),
        ("broken", 8),
        ("weno-js", 16),
    ]
    own, twice = study.find(CASE, "weno-js", 8), study.find(CASE, "weno-js", 16)
    assert own.time == pytest.approx(PLANE_CASES[CASE].end_time)
    assert 0 < twice.error < 0.9 * own.error < 0.2 and twice.steps > 1.8 * own.steps
    assert own.state.shape == (4, 8, 8)
    field = plane_case(CASE).field()
    truth = field.exact(*coordinates(grid_of(field, 8)), time=own.time)
    np.testing.assert_allclose(own.error, np.abs(own.state - truth)[0].mean(), rtol=1e-9)


def test_a_run_that_fails_is_counted_and_has_no_error(study):
    broken = study.find(CASE, "broken", 8)
    assert math.isnan(broken.error) and broken.time < 0.1 * PLANE_CASES[CASE].end_time
    rows = {(row["policy"], row["cells"]): row for row in study.rows()}
    assert rows["broken", 8]["error"] is None and rows["weno-js", 8]["error_ratio"] == 1
    found = {(row["policy"], row["cells"]): row for row in study.summary()}
    assert found["broken", 8]["unfinished"] == 1 and found["broken", 8]["error_ratio"] is None
    assert found["weno-js", 16]["error_ratio"] == pytest.approx(
        study.find(CASE, "weno-js", 16).error / study.find(CASE, "weno-js", 8).error
    )
    assert found["untrained", 8]["error_ratio"] == rows["untrained", 8]["error_ratio"]
    with pytest.raises(UndertowError, match="no run of nobody on density-wave with 8 cells"):
        study.find(CASE, "nobody", 8)


def test_states_and_references_are_files(study, tmp_path):
    study.save_states(tmp_path / "there" / "states.npz")
    with np.load(tmp_path / "there" / "states.npz") as stored:
        assert f"{CASE}/weno-js/16" in stored.files and stored[f"{CASE}/untrained/8"].shape == (4, 8, 8)
    np.savez_compressed(tmp_path / "truth.npz", **{"some-case/64": np.zeros((1, 2, 2), np.float32)})
    assert list(load_references(tmp_path / "truth.npz")) == [("some-case", 64)]
    with pytest.raises(UndertowError, match=r"no references at .*plane_references.py makes them"):
        load_references(tmp_path / "nothing.npz")


def test_a_finer_grid_is_the_truth_where_nothing_is_exact():
    exact = plane_reference("density-wave", 8)
    fine = plane_reference("quadrants-6", 8, factor=3, reconstruction="component")
    assert exact.shape == fine.shape == (1, 8, 8)
    # Before waves arrive, corners are as they were.
    np.testing.assert_allclose(fine[0, [-1, 0, 0, -1], [-1, -1, 0, 0]], [1, 2, 1, 3], rtol=0.02)
    with pytest.raises(UndertowError, match="factor must be odd"):
        plane_reference("quadrants-6", 8, factor=2)


def test_what_is_refused():
    with pytest.raises(UndertowError, match="unknown case 'vortx'"):
        transfer_planes({}, ("vortx",), (8,))
    with pytest.raises(UndertowError, match="at least one case"):
        transfer_planes({}, (), (8,))
    with pytest.raises(UndertowError, match="'weno-z' is one of the classical schemes"):
        transfer_planes({"weno-z": classical("weno-z")}, (CASE,), (8,))
    with pytest.raises(UndertowError, match="make it anew"):
        transfer_planes({}, (CASE,), (8,), references={(CASE, 8): np.zeros((1, 4, 4))}, rivals=(), doubled=False)


def test_a_march_ends_on_time():
    field = plane_case(CASE).field()
    environment = plane_environment(field, 8, 0.3, order=ORDER, reconstruction="component")
    u0 = field(*coordinates(environment.scheme.grid))
    state, steps, seconds = run_plane(classical("weno-js", ORDER), environment, u0)
    assert float(state.time) == pytest.approx(0.3) and steps > 3 and seconds > 0
    np.testing.assert_allclose(state.u.sum((1, 2)), u0.sum((1, 2)), rtol=1e-12)

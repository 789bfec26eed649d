"""Profiles show the weights that were chosen: constants of linear schemes, mirror images on mirrored states."""

from __future__ import annotations

import numpy as np
import pytest

from tests.small import hand_made
from undertow._checks import UndertowError
from undertow.evaluation.actions import SNAPSHOTS, profile, snapshots
from undertow.policies.classical import classical

POLICIES = {"linear": classical("linear"), "weno-js": classical("weno-js")}


def test_linear_weights_are_the_same_everywhere():
    found = profile(POLICIES, hand_made(), "wave", every=5)
    assert found.weights["linear"].shape == (5, 2, 1, 33, 3) and found.states.shape == (5, 1, 32)
    np.testing.assert_allclose(found.weights["linear"], np.broadcast_to([0.1, 0.6, 0.3], (5, 2, 1, 33, 3)), rtol=1e-14)
    np.testing.assert_allclose(found.weights["weno-js"].sum(axis=-1), 1, rtol=1e-14)
    np.testing.assert_allclose(found.faces, np.linspace(0, 1, 33), atol=1e-15)
    np.testing.assert_allclose(found.times, 0.25 / 20 * np.array([0, 5, 10, 15, 20]))
    assert found.title == "wave, states of linear"


def test_states_are_those_of_the_policy_asked_for():
    made = hand_made()
    along = [profile(POLICIES, made, "jump", along=name).states[-1] for name in POLICIES]
    assert np.abs(along[0] - along[1]).max() > 1e-3
    with pytest.raises(UndertowError, match="unknown policy 'eno'"):
        profile(POLICIES, made, "jump", along="eno")
    with pytest.raises(UndertowError, match="every must lie between"):
        profile(POLICIES, made, "jump", every=21)


def test_mirror_images():
    """An odd wave under Burgers' flux: what the right-going flux does on the left, the left-going one does mirrored."""
    wave = next(found for found in snapshots(POLICIES, cells=32) if found.title == "smooth_sine")
    np.testing.assert_allclose(wave.states[0], -wave.states[0, :, ::-1], atol=1e-14)
    right, left = wave.weights["weno-js"][0, :, 0]
    np.testing.assert_allclose(right, left[::-1], atol=1e-12)
    assert np.abs(right - [0.1, 0.6, 0.3]).max() > 0.1


def test_snapshots_of_every_state():
    found = snapshots({"linear": classical("linear", 7)}, cells=20, order=7)
    assert tuple(one.title for one in found) == SNAPSHOTS
    assert all(one.weights["linear"].shape == (1, 2, 1, 21, 4) for one in found)


def test_other_orders_are_refused():
    with pytest.raises(UndertowError, match="of order 7"):
        profile({"linear": classical("linear", 7)}, hand_made(), 0)

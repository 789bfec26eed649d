"""Derivatives of the solver for gases: on every named problem, piecewise constant as it starts and perturbed.

A corner of the Euler equations is where the gas is at rest, which shock tubes are: `SmoothSpeed` rounds it, and nothing else
in the splitting and the weights has one. `GlobalSpeed` and `LocalSpeed` have no derivative there. Reconstruction component by
component and Roe's mean take part in the validation.
"""

from __future__ import annotations

import pytest

from tests.gases import POLICY, WEIGHTS, assert_agree, gas_derivatives, split_rates

KINDS = (("characteristic", "arithmetic"),)
METHODS = [f"{kind} {weights}" for weights in WEIGHTS for kind, _ in KINDS]
ILL = [(case, "characteristic policy") for case in ("leblanc", "toro5", "blast")]


@pytest.fixture(scope="module")
def derivatives():
    return gas_derivatives(split_rates(KINDS), METHODS, {"policy": POLICY})


def test_derivatives_agree_on_piecewise_constant_states(derivatives):
    assert_agree(derivatives(0.0), METHODS, ILL)


def test_derivatives_agree_on_perturbed_states(derivatives):
    assert_agree(derivatives(0.01), METHODS)

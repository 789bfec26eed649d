"""Named problems, problem by problem: each one that a configuration accepts trains, or is refused with the reason."""

from __future__ import annotations

import math

import pytest

from tests.named_problems import refusal, thinned, trained
from undertow.envs.collection import make_suite
from undertow.envs.pools import Discretised
from undertow.envs.truth import batches
from undertow.laws.planes import plane_case

ACCEPTED = {label: config for label, config in thinned() if refusal(config) is None}
REASONS = (
    "nothing can be measured relative to that",  # WENO5 is exact there
    "no exact solution",
    "does not hold until",
)


@pytest.mark.parametrize("label", ACCEPTED)
def test_each_trains_two_updates_or_is_refused_with_the_reason(label, tmp_path):
    why = trained(ACCEPTED[label], tmp_path / "run")
    assert why is None or any(reason in why for reason in REASONS), why
    if why is not None:
        print(f"{label}: {why}")
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "end_time", "order"), [("1d-smooth_sine-x", 0.05, 3), ("jsz7", 0.1, 3), ("gaussian", 0.05, 2)]
)
def test_weno_converges_to_the_exact_truth_of_a_plane(name, end_time, order):
    field, errors = plane_case(name).field(), []
    for cells in (32, 64):
        how = Discretised(field.law, cells, math.ceil(2 * end_time * cells * 2), end_time)
        errors.append(float(make_suite(name, "", how, batches([field]), [name]).problems.reference.scale[0]))
    print(name, errors)
    assert errors[0] / errors[1] > 2**order

"""Named problems: what a configuration accepts can be built, and what it refuses it refuses with a reason."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tests.helpers import quick_jit
from tests.named_problems import NAMES, OBJECTIVES, configuration, longer, refusal, trained
from undertow._checks import UndertowError
from undertow.envs.collection import make_suite
from undertow.envs.placing import coordinates
from undertow.envs.pools import Discretised
from undertow.envs.truth import batches
from undertow.laws.burgers import Burgers
from undertow.laws.burgers_conditions import burgers_condition
from undertow.laws.burgers_exact import burgers_exact
from undertow.laws.mhd import MHD_CASES
from undertow.laws.planes import plane_case
from undertow.numerics.boundary import BOUNDARIES

TRUTHS = ("exact", "fine")


@pytest.mark.parametrize(("law", "dimensions"), NAMES)
def test_every_name_is_built_or_refused_with_a_reason(law, dimensions):
    """Every name with every truth and boundary; the objectives in turn."""
    own = law in ("euler", "shallow_water", "mhd") or dimensions == 2
    turn = itertools.cycle(OBJECTIVES)
    boundaries = (None, "outflow") if own else (None, *BOUNDARIES)
    built = 0
    for name, truth, boundary in itertools.product(NAMES[law, dimensions], TRUTHS, boundaries):
        why = refusal(configuration(law, dimensions, name, truth, boundary, next(turn)))
        built += why is None
        if own and boundary is not None:
            assert why and "leave data.boundary out" in why
        elif dimensions == 2 and not isinstance(plane_case(name).field().law, Burgers):
            assert why and f"condition {name!r} belongs to" in why
        elif own and truth == "exact" and name.split("-")[0] in ("combo", "shu_osher", "blast", *MHD_CASES):
            assert why == f"condition {name!r} has no exact solution; take --data.truth fine"
        elif own or boundary is None:
            assert why is None or ("boundary, with which advection has no exact solution" in why and truth == "exact")
        else:
            assert why is None or "boundary" in why or "by its name" in why
    assert built >= len(NAMES[law, dimensions]) * (2 if law == "burgers" and dimensions == 1 else 0.3)


def test_a_plane_trains_on_its_exact_truth(tmp_path):
    config = configuration("burgers", 2, "1d-smooth_sine-y", "exact", None, "reward against the truth")
    assert trained(longer(config, 2, 0.02, 8), tmp_path / "run") is None


# The truth of a plane


def test_the_truth_of_a_plane_is_the_exact_solution_at_its_cell_centres():
    (plane, line), (how, flat) = (
        (plane_case("1d-smooth_sine-y").field(), burgers_condition("smooth_sine")),
        (Discretised(Burgers(), 8, 6, 0.1), Discretised(Burgers(), 8, 6, 0.1)),
    )
    suite, one = (make_suite("", "", each, batches([u0]), ["it"]) for u0, each in ((plane, how), (line, flat)))
    x = np.asarray(suite.x)
    expected = quick_jit(lambda: burgers_exact(line, x, 0.1))()
    np.testing.assert_allclose(suite.truth[0, 0], np.broadcast_to(expected, (8, 8)), atol=1e-12)
    # WENO5's own error is that in one dimension: with the truth laid along the other axis it was 60 times as large.
    np.testing.assert_allclose(suite.problems.reference.scale, one.problems.reference.scale, rtol=1e-10)
    # On the way, and at any points.
    assert suite.truth_every(3).shape == (1, 2, 1, 8, 8)
    np.testing.assert_allclose(suite.truth_every(3)[:, -1], suite.truth[:, :], atol=1e-14)
    at = coordinates(suite.problems.environment.scheme.grid)
    np.testing.assert_allclose(suite.exact(at, 0.1), suite.truth, atol=1e-14)


def test_an_exact_truth_that_is_not_known_is_refused():
    field = plane_case("combo-accelshock-rarefaction").field()
    with pytest.raises(UndertowError, match="no exact solution of CombinedBurgers under Burgers .*truth='fine'"):
        make_suite("", "", Discretised(Burgers(), 8, 4, 0.01), batches([field]), ["one"])
    viscous = Discretised(Burgers(0.01), 16, 4, 1e-3)
    with pytest.raises(UndertowError, match="no exact solution of .* under Burgers"):
        make_suite("", "", viscous, batches([burgers_condition("smooth_sine")]), ["one"])
    with pytest.raises(UndertowError, match="truth must be one of exact, fine, best"):
        Discretised(Burgers(), 16, 4, 0.01, truth="exactly")

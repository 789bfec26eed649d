"""One policy in several settings."""

from __future__ import annotations

import pytest

from undertow._checks import UndertowError
from undertow.envs.suites import SUITES
from undertow.evaluation.transfer import TRANSFERS, transfer, transfer_table
from undertow.laws.advection import LinearAdvection
from undertow.policies.classical import classical


def test_every_setting_changes_one_thing():
    assert set(TRANSFERS) <= set(SUITES)
    changed = {(SUITES[n].cells, SUITES[n].end_time, SUITES[n].integrator, SUITES[n].steps) for n in TRANSFERS}
    assert len(changed) == len(TRANSFERS)


def test_settings_are_evaluated():
    names = ("held-out", "held-out-half-steps", "held-out-2x-time")
    found = transfer({"own": classical("weno-js")}, names, n=2, law=LinearAdvection(1.0), cells=16)
    assert list(found) == list(names)
    assert [found[name].suite.discretised.steps for name in names] == [10, 20, 20]
    assert all(evaluation.summary()["own"]["geometric_mean"] == 1 for evaluation in found.values())
    assert transfer_table(found, "own").row_count == 3
    with pytest.raises(UndertowError, match="unknown policy 'him'"):
        transfer_table(found, "him")
    with pytest.raises(UndertowError, match="unknown suite 'held'"):
        transfer({"own": classical("weno-js")}, ("held",))

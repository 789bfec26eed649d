"""Every game and every mode through every interface: the libraries' own checks, the same numbers, WENO's reward of zero."""

from __future__ import annotations

import gymnasium
import pytest
from pettingzoo.test import parallel_api_test, parallel_seed_test

import undertow.games.gymnasium  # noqa: F401  (registers the ids)
from tests.games.small import ALL, BURGERS, mode
from tests.games.test_gymnasium import check, same_as_one, same_as_the_core
from undertow._checks import UndertowError
from undertow.games import ACTIONS, REWARDS
from undertow.games.pettingzoo import parallel_env

WENO = [id for id in TINY if "cells" in TINY[id]]
EVERY = {
    **ALL,
    **{
        f"{reward}, {actions}": (BURGERS, {**mode(reward), "actions": actions, "acts": "step", "integrator": "euler"})
        for reward in REWARDS
        for actions in ACTIONS
    },
    **{
        f"every stage, {actions}": (
            BURGERS,
            {**mode("one-step"), "actions": actions, "acts": "stage", "integrator": "rk4"},
        )
        for actions in ACTIONS
    },
}


@pytest.mark.parametrize("case", EVERY)
def test_every_interface(case, capsys):
    id, options = EVERY[case]
    if options.get("reward") == "cloning" and "flux" in options.get("actions", ""):
        with pytest.raises(UndertowError, match="cloning compares stencil weights"):
            gymnasium.make(id, **options)
        return
    check(gymnasium.make(id, **options).unwrapped)
    same_as_the_core(gymnasium.make(id, **options).unwrapped)
    same_as_one(gymnasium.make_vec(id, num_envs=3, chunk=2, **options), gymnasium.make(id, **options).unwrapped)
    parallel_api_test(parallel_env(id, **options), num_cycles=30)
    parallel_seed_test(lambda: parallel_env(id, **options), num_cycles=5)


@pytest.mark.parametrize("id", WENO)
def test_weno_plays_the_solver(id):
    weno_plays_the_solver(id)

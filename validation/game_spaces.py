"""What agents see stays in the space that is declared, and the checkers of Gymnasium and Stable-Baselines3 are content.

`python -m validation.game_spaces` tries every registered game with 500 random steps, in the precision that JAX_ENABLE_X64 says
(default: single, what a game gets where nobody says otherwise). It prints a line per game and raises where one is wrong.
"""

from __future__ import annotations

import warnings

import gymnasium
import numpy as np
from gymnasium.utils.env_checker import check_env as gymnasium_check
from stable_baselines3.common.env_checker import check_env as baselines_check

import undertow.games.gymnasium  # noqa: F401  (registers the ids)
from undertow.games import GAMES

STEPS = 500
OPTIONS = {
    **{id: ({},) for id in GAMES},
    "undertow/Burgers-v0": ({}, {"case": "flat"}, {"case": ("shock", "tophat", "sawtooth")}),
    "undertow/Euler-v0": (
        {},
        {"case": "toro3", "integrator": "ssp_rk3"},
        {"case": "blast", "reconstruction": "characteristic", "integrator": "ssp_rk3"},
    ),
    "undertow/Burgers2D-v0": ({"cells": 16}, {"cells": 16, "case": "jsz7"}),
    "undertow/Euler2D-v0": ({"cells": 12}, {"cells": 12, "case": "quadrants-3", "reconstruction": "characteristic"}),
}


def try_out(id: str, options: dict) -> str:
    """One game through both checkers and 500 random steps. Raises `AssertionError` for an observation out of its space."""
    env = gymnasium.make(id, **options).unwrapped
    for check in (gymnasium_check, baselines_check):
        check(env, skip_render_check=True)
    seen, _ = env.reset(seed=1)
    env.action_space.seed(1)
    largest, starts = 0.0, 1
    for _ in range(STEPS):
        seen, _, terminated, truncated, _ = env.step(env.action_space.sample())
        assert env.observation_space.contains(seen), f"{id} {options}: {np.abs(seen).max()} in {env.observation_space}"
        largest = max(largest, float(np.abs(seen).max()))
        if terminated or truncated:
            seen, _ = env.reset()
            starts += 1
            assert env.observation_space.contains(seen), f"{id} {options}: out of its space at the start"
    return f"{id} {options}: {seen.dtype}, {starts} episodes, largest number seen {largest:.6f}"


def main() -> None:
    """All games."""
    # States and raw stencils have no bounds, and forces are in newtons.
    warnings.filterwarnings("ignore", message=".*A Box observation space (minimum|maximum) value is")
    warnings.filterwarnings("ignore", message=".*(unconventional shape|symmetric and normalized)")
    for id, every in OPTIONS.items():
        for options in every:
            print(try_out(id, options), flush=True)


if __name__ == "__main__":
    main()

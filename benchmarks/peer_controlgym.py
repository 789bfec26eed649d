"""Another library's environments of partial differential equations, run by its own interpreter: prints steps per second as JSON.

One internal time step per action on as many cells as the published game has. They are pseudo-spectral methods with a few
actuators for the action and a quadratic cost for the reward: Burgers' equation is the same, the game is another.
"""

import json
import time
from importlib.metadata import version

import controlgym

CELLS, STEPS = 128, 2000
DT = {"burgers": 4e-4, "kuramoto_sivashinsky": 1e-3, "allen_cahn": 1e-3}


def rate(name: str, dt: float) -> float:
    """Steps per second of one copy with given actions, from the median step."""
    env = controlgym.make(name, n_state=CELLS, integration_time=dt, sample_time=dt, n_steps=10 * STEPS, seed=0)
    env.reset()
    action = 0 * env.action_space.sample()
    times = []
    for _ in range(STEPS):
        begin = time.perf_counter()
        env.step(action)
        times.append(time.perf_counter() - begin)
    return 1 / sorted(times)[STEPS // 2]


rates = {name: rate(name, dt) for name, dt in DT.items()}
print(json.dumps({"version": version("controlgym"), "steps_per_second": rates}))

"""Another library's environment of Burgers' equation, run by its own interpreter: prints steps per second as JSON.

One step per action on as many cells as the published game has. It is a pseudo-spectral method with a few actuators for the action
and a quadratic cost for the reward: the same equation, another game.
"""

import json
import time
from importlib.metadata import version

import controlgym

CELLS, DT, STEPS = 128, 4e-4, 2000

env = controlgym.make("burgers", n_state=CELLS, integration_time=DT, sample_time=DT, n_steps=10 * STEPS, seed=0)
env.reset()
action = 0 * env.action_space.sample()
times = []
for _ in range(STEPS):
    begin = time.perf_counter()
    env.step(action)
    times.append(time.perf_counter() - begin)
times.sort()
print(json.dumps({"version": version("controlgym"), "steps_per_second": 1 / times[STEPS // 2]}))

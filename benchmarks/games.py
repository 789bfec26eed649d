"""The environments: steps per second through every interface, for one copy and for many."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.common import PEER, median_seconds, write
from undertow.games import make
from undertow.games.gymnasium import GameEnv
from undertow.games.pettingzoo import parallel_env
from undertow.games.vector import CHUNK, GameVectorEnv, mapped
from undertow.policies.classical import classical
from undertow.policies.stencil import DirectionalPolicy

BURGERS = "undertow/Burgers-v0"
ORIGINAL = {"WENO5-JS": "3500", "5-32-32-3": "1000-1700"}
"""Steps per second of the published program on two such cores, with WENO and with a trained agent; one copy."""
POLICIES = {
    "WENO5-JS": classical("weno-js"),
    "5-32-32-3": DirectionalPolicy(key=jax.random.key(0), hidden=(32, 32), prior=False),
}
LENGTH = 10


def started(copies: int) -> tuple[Any, Any, Any, Any]:
    """The game as published (128 cells, three conditions), and as many episodes at their start."""
    game, params = make(BURGERS, observations="raw", actions="simplex")
    keys = jax.random.split(jax.random.key(0), copies)
    states, observations = jax.jit(jax.vmap(game.reset, in_axes=(0, None)))(keys, params)
    return game, params, states, observations


def core(policy: Any, copies: int) -> float:
    """Steps per second of episodes as one program, agent included, a few copies at a time through time."""
    game, params, states, observations = started(copies)
    act, key = game.acting(policy), jax.random.key(0)

    def episode(start: tuple) -> Any:
        def one(carry: tuple, _: None) -> tuple:
            state, observation = carry
            state, observation, reward, _, _ = game.step(key, state, act(observation), params)
            return (state, observation), reward

        return jax.lax.scan(one, start, length=LENGTH)

    play = jax.jit(lambda start: jax.lax.map(episode, start, batch_size=CHUNK))
    return copies * LENGTH / median_seconds(lambda: play((states, observations)), 15)


def calls(copies: int) -> tuple[float, float]:
    """Steps per second of one call per step with given actions: of the core, and through the vector environment.

    In turns, so that both meet the same machine."""
    game, params, states, observations = started(copies)
    actions = np.asarray(jax.vmap(game.acting(POLICIES["WENO5-JS"]))(observations))
    given = jax.numpy.asarray(actions)
    step = mapped(lambda state, action: game.step(None, state, action, params), CHUNK if copies > CHUNK else None)
    bare = jax.jit(step)
    envs = GameVectorEnv(BURGERS, num_envs=copies, observations="raw", actions="simplex")
    envs.reset(seed=0)

    def layered() -> Any:
        return envs.step(actions)

    alone, through = [], []
    for _ in range(3):
        jax.block_until_ready(bare(states, given)), layered()
    for _ in range(40):
        for times, call in ((alone, lambda: jax.block_until_ready(bare(states, given))), (through, layered)):
            begin = time.perf_counter()
            call()
            times.append(time.perf_counter() - begin)
    return copies / float(np.median(alone)), copies / float(np.median(through))


def seconds_of(call: Callable[[], Any], count: int = 200) -> float:
    """The median time of a call that has no end to wait for."""
    times = []
    for _ in range(count):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return float(np.median(times))


def single() -> float:
    """Steps per second of one Gymnasium environment with given actions."""
    env = GameEnv(BURGERS, observations="raw", steps=10_000, actions="simplex")
    env.reset(seed=0)
    action = env.action_space.sample() * 0 + 1 / 3
    env.step(action)
    return 1 / seconds_of(lambda: env.step(action))


def agents() -> float:
    """Steps per second of a PettingZoo environment: of all its 129 agents at once."""
    env = parallel_env(BURGERS, observations="raw", steps=10_000, actions="simplex")
    env.reset(seed=0)
    actions = {agent: np.full((1, 2, 3), 1 / 3) for agent in env.agents}
    env.step(actions)
    return 1 / seconds_of(lambda: env.step(actions))


def peers() -> list[dict]:
    """Steps per second of another library's environments, where UNDERTOW_PEER_PYTHON has it: one copy, actions given."""
    given: dict[str, Any] = {"agent": "actions given", "copies": 1}
    script = Path(__file__).with_name("peer_controlgym.py")
    done = subprocess.run([PEER, str(script)], capture_output=True, text=True)
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return [{"interface": "controlgym", **given, "not_measured": why}]
    found = json.loads(done.stdout.splitlines()[-1])
    return [
        {"interface": f"controlgym, {name}", **given, "steps_per_second": rate, "version": found["version"]}
        for name, rate in found["steps_per_second"].items()
    ]


def table() -> None:
    """Steps per second of Burgers' game as published (128 cells, forward Euler, one-step reward), per interface."""
    rows: list[dict] = []
    for name, policy in POLICIES.items():
        for copies in (1, 64, 1024):
            rate = core(policy, copies)
            rows.append({"interface": "core, one program", "agent": name, "copies": copies, "steps_per_second": rate})
        rows[-1]["original_steps_per_second"] = ORIGINAL[name]
    for copies in (1, 64, 1024):
        alone, through = calls(copies)
        given = {"agent": "actions given", "copies": copies}
        rows.append({"interface": "core, a call per step", **given, "steps_per_second": alone})
        rows.append(
            {"interface": "gymnasium, vector", **given, "steps_per_second": through, "layer_share": 1 - through / alone}
        )
    rows.append({"interface": "gymnasium", "agent": "actions given", "copies": 1, "steps_per_second": single()})
    rows.append({"interface": "pettingzoo", "agent": "actions given", "copies": 1, "steps_per_second": agents()})
    rows += peers()
    write("games", rows)

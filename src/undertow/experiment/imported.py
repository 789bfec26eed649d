"""Agents that the published code trained, as runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from undertow._checks import UndertowError
from undertow._io import require_free
from undertow._tree import cast
from undertow.assembly import build
from undertow.config import PolicyConfig, SchemeConfig, config_to_dict
from undertow.core.policy import AbstractPolicy
from undertow.policies.published import read_published
from undertow.store.keeping import BestCheckpoints, LastCheckpoints
from undertow.store.rundir import RunDirectory


class _Imported(NamedTuple):
    """What a checkpoint holds of a policy that was trained elsewhere: no optimiser, no updates."""

    policy: AbstractPolicy


def import_agent(
    path: Path | str,
    config: SchemeConfig,
    *,
    activation: str = "relu",
    out: Path | str | None = None,
    root: Path | str = "runs",
    command: Sequence[str] | None = None,
) -> RunDirectory:
    """Make a run directory of an agent that the code of arXiv 2203.08937 trained, which serves wherever a run does.

    It is finished after no updates: `evaluate_run`, `plot_run`, `load_policy` and `policy.start` take it. Nothing is
    measured here.

    **Arguments:**

    - `path`: the agent's checkpoint, as [`read_published`][undertow.policies.published.read_published] reads it.
    - `config`: what it is to be evaluated under, and trained further: law, grid, suites. Order and policy are the file's.
    - `activation`: of the hidden layers, which the file does not tell (default `relu`, as published).
    - `out`: the directory, which must not exist yet; None makes `<root>/imported/<time>`.
    - `command`: the command line, to be noted in the directory.

    **Raises:** `UndertowError` for a file that is not such a checkpoint, a configuration that cannot work, or a directory
    that exists.
    """
    out = None if out is None else require_free(out)
    policy = read_published(path, activation=activation)
    hidden = tuple(len(bias) for bias in policy.network.biases[:-1])
    order: Any = policy.order  # a known one and a known activation: the policy was made with them
    kind: Any = activation
    config = replace(
        config, grid=replace(config.grid, order=order), policy=PolicyConfig("paired", hidden=hidden, activation=kind)
    )
    build(config)
    directory = RunDirectory.create(out, preset="imported", config=config_to_dict(config), command=command, root=root)
    with directory:
        try:
            state = _Imported(cast(policy, config.training.precision))
            about = {"imported": Path(path).name, "update": 0}
            LastCheckpoints(directory.checkpoints).save(0, state, {"run": directory.id, **about})
            # The best of one, whatever it is measured by.
            BestCheckpoints(directory.checkpoints, metric="imported", keep=1).offer(
                0.0, 0, state, {"run": directory.id, **about}
            )
            parameters = policy.network.num_parameters
            directory.write_summary(
                {"status": "finished", "reason": None, "updates": 0, "parameters": parameters, **about}
            )
        except UndertowError:  # a full disk, say
            directory.remove()
            raise
    return directory

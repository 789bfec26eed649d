"""Runs from a configuration to a directory: what they leave, how they stop, what they refuse."""

from __future__ import annotations

import dataclasses
import errno
import itertools
import json
import os
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.tiny import tiny
from undertow import _io
from undertow._checks import UndertowError
from undertow.assembly import build, read_policy
from undertow.assembly.scheme import make_policy, training_data, watched_data
from undertow.config import (
    DataConfig,
    EvaluationConfig,
    GridConfig,
    LawConfig,
    ObjectiveConfig,
    PolicyConfig,
    TrainingConfig,
    config_to_dict,
)
from undertow.core.flow import FULL
from undertow.envs.families import BLOCK
from undertow.experiment import Run, evaluate_run, load_policy, load_run, train
from undertow.policies.classical import classical
from undertow.presets import preset
from undertow.progress import StopRequest
from undertow.store.keeping import rank_checkpoints
from undertow.store.rundir import RunDirectory
from undertow.training.optimizer import OptimizerConfig


def leaves(tree) -> list[np.ndarray]:
    return [np.asarray(x) for x in jax.tree.leaves(eqx.filter(tree, eqx.is_array))]


def same(a, b) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(leaves(a), leaves(b), strict=True))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(tiny(), preset="tiny", root=tmp_path_factory.mktemp("runs"), command=["undertow", "train", "tiny"])


def test_a_run_leaves_a_whole_directory(run: Run):
    assert (run.status, run.exit_code, run.error) == ("finished", 0, None)
    directory = RunDirectory.open(run.path)
    assert directory.status == "finished" and directory.preset == "tiny"
    assert directory.config == config_to_dict(tiny())
    assert directory.info["command"] == ["undertow", "train", "tiny"] and directory.info["versions"]["jax"]
    metrics = directory.read_metrics()
    assert metrics["update"].tolist() == [0, 2, 4]
    assert list(metrics)[:2] == ["update", "loss"] and {"ratio", "worst", "l1", "gradient_norm"} <= set(metrics)
    assert np.isnan(metrics["loss"][0]) and np.isfinite(metrics["loss"][1:]).all()
    assert np.isfinite(metrics["ratio"]).all() and not metrics["non_finite"].any()
    summary = directory.read_summary()
    assert summary["status"] == "finished" and summary["updates"] == 4
    best = rank_checkpoints(directory.checkpoints)
    assert len(best) == 2 and summary["best"]["value"] == best[0].value == metrics["ratio"].min()


def test_the_best_policy_comes_back(run: Run):
    directory, experiment, policy = load_run(run.path)
    assert experiment.config == tiny() and same(policy, run.policy)
    assert same(load_policy(run.path), policy)
    assert same(load_policy(directory.checkpoint("best")), policy)
    last = load_run(run.path, "last")[2]
    assert not same(last, make_policy(tiny())), "training moved nothing"


def test_a_signal_ends_the_run_after_the_dispatch(run: Run, tmp_path: Path):
    """And what it leaves is, bit for bit, what a run of so many updates leaves: the seed decides everything."""
    handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    config = tiny(training=TrainingConfig(updates=1000, batch=2, dispatch=2))

    def interrupt(progress):
        if progress.done == 4:
            os.kill(os.getpid(), signal.SIGINT)

    stopped = train(config, root=tmp_path, callbacks=(interrupt,))
    assert (stopped.status, stopped.exit_code) == ("interrupted", 130)
    assert stopped.summary["updates"] == 4
    directory, _, policy = load_run(stopped.path, "last")
    assert directory.status == "interrupted" and "SIGINT" in directory.info["reason"]
    assert same(policy, load_run(run.path, "last")[2])
    for name in ("update", "loss", "ratio"):
        np.testing.assert_array_equal(directory.read_metrics()[name], RunDirectory.open(run.path).read_metrics()[name])
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == handlers


def test_a_signal_that_is_ignored_stays_ignored():
    """As that of a background job is, or after nohup."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with StopRequest() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            assert not stop and signal.getsignal(signal.SIGINT) is signal.SIG_IGN
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop.signal == signal.SIGTERM
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_handler_that_python_did_not_install_stays():
    """Python cannot name it, and could not put it back."""
    code = """
import ctypes, os, signal
from undertow.progress import StopRequest
called = []
handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(called.append)
libc = ctypes.CDLL(None)
libc.signal.restype, libc.signal.argtypes = ctypes.c_void_p, [ctypes.c_int, ctypes.c_void_p]
libc.signal(signal.SIGTERM, ctypes.cast(handler, ctypes.c_void_p))
with StopRequest() as stop:
    os.kill(os.getpid(), signal.SIGTERM)
    assert not stop and called == [signal.SIGTERM]
os.kill(os.getpid(), signal.SIGTERM)
assert called == [signal.SIGTERM] * 2
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_handler_from_before_python_stays(monkeypatch):
    monkeypatch.setattr(signal, "getsignal", lambda number: None)
    monkeypatch.setattr(signal, "signal", lambda *_: pytest.fail("it is replaced"))
    with StopRequest() as stop:
        assert not stop


def test_a_second_signal_interrupts_at_once():
    with StopRequest() as stop:
        assert not stop
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop and stop.signal == signal.SIGTERM
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_run_that_becomes_non_finite_keeps_its_last_good_state(tmp_path: Path):
    config = tiny(
        optimizer=OptimizerConfig("sgd", learning_rate=1e300),
        training=TrainingConfig(updates=100, batch=2, dispatch=2, max_skipped=3),
    )
    failed = train(config, root=tmp_path)
    assert (failed.status, failed.exit_code) == ("failed", 1)
    assert failed.error is not None
    assert None not in (failed.error.step, failed.error.sample, failed.error.cell)
    directory = RunDirectory.open(failed.path)
    assert directory.status == "failed" and "at step" in directory.info["reason"]
    assert same(load_run(failed.path)[2], make_policy(config)), "the best is where it began"
    # What it failed with is there to be looked at: the skipped updates moved nothing any more.
    last = load_run(failed.path, "last")[2]
    assert np.isfinite(np.concatenate([x.ravel() for x in leaves(last)])).all()


def test_a_full_disk_loses_nothing_written_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    calls, real = itertools.count(), os.fsync

    def fsync(descriptor):
        if next(calls) >= 16:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    monkeypatch.setattr(_io.os, "fsync", fsync)
    out = tmp_path / "run"
    config = tiny(training=TrainingConfig(updates=40, batch=2, dispatch=2))
    with pytest.raises(UndertowError, match="No space left on device"):
        train(config, out=out)
    monkeypatch.undo()
    directory, _, policy = load_run(out, "last")
    assert directory.read_metrics()["update"][0] == 0
    assert np.isfinite(np.concatenate([x.ravel() for x in leaves(policy)])).all()
    assert not list(out.rglob("*.tmp"))


def grid(**changes) -> GridConfig:
    return dataclasses.replace(tiny().grid, **changes)


def data(**changes) -> DataConfig:
    return dataclasses.replace(tiny().data, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"grid": grid(num_cells=-4)}, "num_cells must be a whole number above 0, got -4"),
        ({"grid": grid(num_cells=2)}, "needs at least 3 cells"),
        ({"grid": grid(dt=1.0)}, "contradict each other"),
        ({"grid": grid(end_time=1.0)}, "Courant number of .* far above 1"),
        ({"law": LawConfig(viscosity=10.0)}, "nu dt / dx.2"),
        ({"law": LawConfig(viscosity=-1.0)}, "viscosity must be a finite number of 0 or more"),
        ({"law": LawConfig(viscosity=1e-3), "data": data(truth="exact")}, "has no exact solution"),
        ({"data": data(conditions=("shok",))}, "unknown Burgers condition 'shok'; did you mean 'shock'"),
        ({"data": data(conditions=("accelshock_periodic",), boundary="outflow")}, "is periodic by its name"),
        ({"data": data(boundary="perodic", conditions=("shock",))}, "unknown boundary 'perodic'; did you mean 'period"),
        ({"data": data(every=3)}, "data.every must divide the number of steps"),
        ({"data": data(refinement=4)}, "data.refinement must be odd"),
        ({"training": TrainingConfig(batch=9)}, "batch=9 is larger than the pool of 8"),
        ({"training": TrainingConfig(updates=0)}, "training.updates must be"),
        ({"optimizer": OptimizerConfig(learning_rate=-1.0)}, "learning_rate must be"),
        ({"gates": (2.0, 1.0)}, "gates must be a finite number from 0 to 1"),
        ({"gates": (1.0, 0.5), "gradient": "stop"}, "gates are for --gradient full, and it is .stop."),
        ({"policy": PolicyConfig(hidden=(0,))}, "policy.hidden must be a whole number above 0"),
        ({"policy": PolicyConfig(start=Path("nowhere"))}, "nowhere"),
        ({"evaluation": EvaluationConfig(suites=("held-in",))}, "unknown suite 'held-in'; did you mean 'held-out'"),
        ({"objective": ObjectiveConfig(cloning=-1.0)}, "objective.cloning must be a finite number of 0 or more"),
    ],
)
def test_what_cannot_work_is_told_before_a_directory_is_made(changes: dict, message: str, tmp_path: Path):
    with pytest.raises(UndertowError, match=message):
        train(tiny(**changes), root=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_an_existing_directory_is_refused_and_left_alone(tmp_path: Path):
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(UndertowError, match="exists already"):
        train(tiny(), out=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_directory_that_cannot_be_made(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UndertowError, match="cannot write"):
        train(tiny(), out=tmp_path / "file" / "run")


def test_a_checkpoint_to_start_from(run: Run):
    chosen = dataclasses.replace(tiny().policy, start=run.path)
    assert same(make_policy(tiny(policy=chosen)), load_run(run.path)[2])
    wider = dataclasses.replace(chosen, hidden=(8,))
    with pytest.raises(UndertowError, match="checkpoint of another shape"):
        build(tiny(policy=wider))


def test_no_checkpoint_of_that_name(run: Run):
    with pytest.raises(UndertowError, match="has no checkpoint 'best_9'; it has"):
        read_policy(run.path, make_policy(tiny()), "best_9")


def test_a_policy_by_name():
    assert load_policy("weno-z", 7).order == 7
    with pytest.raises(UndertowError, match="neither a run directory nor a policy; did you mean 'weno-z'"):
        load_policy("wenoz")


def test_evaluating_a_run(run: Run):
    with pytest.raises(UndertowError, match="unknown suite"):
        evaluate_run(run.path, ["held-outt"])
    small = {"cells": 16, "end_time": 0.04, "n": 3, "truth": "fine", "refinement": 3}
    summary = evaluate_run(run.path, ["held-out"], **small)["held-out"].summary()
    assert set(summary) == {"learned", "weno-js", "weno-z"}
    assert summary["weno-js"]["geometric_mean"] == 1 and summary["learned"]["cases"] == 3


# --- from configuration to objects ------------------------------------------------------------------------------------


def test_random_conditions_of_training_watching_and_testing_differ():
    """By number: suites below half a block, watched ones in the other half, trainings in blocks of their own."""
    (watched, _), (trained, _) = watched_data(tiny())[0], training_data(tiny())[0]
    rows = np.concatenate([np.asarray(watched.phases), np.asarray(trained.phases)])
    assert len(np.unique(rows, axis=0)) == len(rows) == 12
    from undertow.assembly.scheme import _WATCHED_FROM

    assert BLOCK // 2 <= _WATCHED_FROM and _WATCHED_FROM + 100_000 < BLOCK


def test_the_measure_of_the_baseline_is_one():
    metrics = build(tiny()).make_measure()(classical("weno-js", 3))
    assert metrics["ratio"] == pytest.approx(1, abs=1e-12) and metrics["worst"] == pytest.approx(1, abs=1e-12)


REWARD = ObjectiveConfig("reward")
OBJECTIVES = [
    ObjectiveConfig("trajectory"),
    ObjectiveConfig("log-trajectory"),
    ObjectiveConfig("trajectory", conservation=0.1, total_variation=1e-3, cloning=0.1),
    REWARD,
    dataclasses.replace(REWARD, error="full", combination="stencil-max", squash="log"),
    dataclasses.replace(REWARD, error="full", against="truth", squash="none"),
    dataclasses.replace(REWARD, error="change", clipped=True, combination="stencil-L2"),
    dataclasses.replace(REWARD, error="consistency-lo", comparator="weno-z"),
    dataclasses.replace(REWARD, error="consistency-hi", comparator="weno-js-original"),
]


@cache
def problems_compared(every_step: bool):
    """Two problems with the truth after every step, or at the end only."""
    return build(tiny(objective=OBJECTIVES[5 if every_step else 0], data=data(pool=2))).make_pool()


@pytest.mark.parametrize("objective", OBJECTIVES, ids=range(len(OBJECTIVES)))
def test_every_objective_fits_its_problems(objective: ObjectiveConfig):
    experiment = build(tiny(objective=objective, data=data(pool=2)))
    pool = problems_compared(objective.name == "reward" and objective.against == "truth")
    value = eqx.filter_eval_shape(experiment.task.loss, experiment.policy, FULL, pool)[0]
    assert value.shape == () and value.dtype == jnp.float64


@pytest.mark.parametrize(
    "changes",
    [
        {"law": LawConfig(viscosity=1e-3), "policy": PolicyConfig(hidden=(4,), noise=0.1), "gates": (0.5, 1.0)},
        {"law": LawConfig(source=1.0), "gradient": "sign-agreement"},
        {
            "law": LawConfig("advection", velocity=0.5),
            "data": data(truth="exact"),
            "policy": PolicyConfig("paired", hidden=(4,)),
        },
        {"data": data(conditions=("shock", "smooth_sine_shift"), pool=4), "grid": grid(speed="smooth")},
    ],
    ids=["viscous", "source", "advection", "named"],
)
def test_an_update_in_single_precision(changes: dict):
    """No double precision slips in, and one update is finite, whatever is switched on."""
    training = TrainingConfig(batch=2, precision="float32")
    experiment = build(tiny(**changes, training=training))
    experiment.check()
    trainer = experiment.trainer(experiment.make_pool())
    state, metrics = eqx.filter_jit(trainer.update)(trainer.init(experiment.policy, jax.random.key(0)))
    assert np.isfinite(float(metrics["loss"])) and int(metrics["skipped"]) == 0
    assert {x.dtype for x in leaves(state.policy)} == {np.dtype(np.float32)}
    assert metrics["loss"].dtype == jnp.float32


def test_the_paper_preset_has_the_published_first_loss(reference_dir: Path):
    """From the configuration to the loss that the published program computes from the same weights."""
    reference = np.load(reference_dir / "rl_pde" / "model_burgers1d_default.npz")
    config = preset("burgers-paper").config
    experiment = build(config)
    weights = [jnp.asarray(reference[f"init/{name}"]) for name in reference["param_names"]]
    policy = eqx.tree_at(
        lambda p: (p.network.kernels, p.network.biases),
        experiment.policy,
        (tuple(weights[0::2]), tuple(weights[1::2])),
    )
    losses = eqx.filter_jit(experiment.task.losses)(policy, FULL, experiment.make_pool())
    # The published program unrolls once per boundary; smooth_sine comes first here and is the periodic one.
    expected = [float(reference["periodic/loss"]), float(reference["outflow/loss"]), float(reference["train_loss_0"])]
    np.testing.assert_allclose([losses[0], losses[1:].mean(), losses.mean()], expected, rtol=1e-9)


def test_summaries_are_json(run: Run):
    text = (run.path / "summary.json").read_text()
    assert json.loads(text)["parameters"] == sum(x.size for x in leaves(run.policy))

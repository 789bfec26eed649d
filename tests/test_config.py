"""Configurations: flags with help, names that exist, JSON and back, errors that help, and the published numbers."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import pickle
import typing
from pathlib import Path

import equinox as eqx
import jax
import pytest

from undertow import config as configs
from undertow._checks import UndertowError
from undertow.assembly.control_judge import CONTROL_SUITES
from undertow.assembly.scheme import make_policy
from undertow.catalogue import ABOUT_GRADIENTS
from undertow.config import (
    Config,
    ControlConfig,
    GridConfig,
    ObjectiveConfig,
    PolicyConfig,
    SchemeConfig,
    TrainingConfig,
    config_from_dict,
    config_to_dict,
    validate_config,
)
from undertow.core.gradient import GRADIENTS
from undertow.envs.suites import SUITES
from undertow.numerics.integrator import INTEGRATORS
from undertow.policies.classical import CLASSICAL
from undertow.policies.network import ACTIVATIONS
from undertow.presets import PRESETS, preset
from undertow.schemes.splitting import SPEEDS
from undertow.training.optimizer import OptimizerConfig


def parts(kind: type) -> set[type]:
    """A configuration class and all that it is made of."""
    hints = typing.get_type_hints(kind)
    inner = {hints[field.name] for field in dataclasses.fields(kind) if dataclasses.is_dataclass(hints[field.name])}
    return {kind}.union(*(parts(each) for each in inner))


KINDS = set.union(*(parts(kind) for kind in configs.FAMILIES.values()))
# A task's class is made of what it states; its text is its base's and its settings'.
WRITTEN = KINDS - set(configs.CONTROL_CONFIGS.values()) | {configs.ControlConfig}
ALL = sorted(WRITTEN, key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_field_has_help(kind: type):
    """A string under each field: what the command line shows. Fields that are tables have it in their class."""
    (tree,) = ast.parse(inspect.getsource(kind)).body
    fields = {
        line.target.id: after
        for line, after in zip(tree.body, [*tree.body[1:], None], strict=True)
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)
    }
    hints = typing.get_type_hints(kind)
    for name, after in fields.items():
        if dataclasses.is_dataclass(hints[name]):
            assert hints[name].__doc__
        elif hints[name] is not typing.Any and typing.get_origin(hints[name]) is not typing.ClassVar:
            said = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            assert said and isinstance(after.value.value, str), f"{kind.__name__}.{name} has no help"


def choices(kind: type, name: str) -> set:
    return set(typing.get_args(typing.get_type_hints(kind)[name]))


def test_choices_are_the_registries():
    assert choices(GridConfig, "integrator") == set(INTEGRATORS)
    assert choices(GridConfig, "speed") == set(SPEEDS)
    assert choices(PolicyConfig, "activation") == set(ACTIVATIONS)
    assert choices(Config, "gradient") == set(GRADIENTS)
    assert choices(ObjectiveConfig, "comparator") <= set(CLASSICAL)
    for each in PRESETS.values():
        known = CONTROL_SUITES if isinstance(each.config, ControlConfig) else SUITES
        assert set(each.config.evaluation.suites) <= set(known)
    assert set(ABOUT_GRADIENTS) == set(GRADIENTS)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_go_to_json_and_back(name: str):
    config = preset(name).config
    text = json.dumps(config_to_dict(config))
    assert config_from_dict(json.loads(text)) == config
    assert validate_config(config) == pickle.loads(pickle.dumps(config)) == config


def test_paths_and_missing_fields_come_back():
    config = SchemeConfig(policy=PolicyConfig(start=Path("runs/a")), gates=(1.0, 0.5))
    values = json.loads(json.dumps(config_to_dict(config)))
    assert config_from_dict(values) == config
    del values["objective"], values["grid"]["order"]
    assert config_from_dict(values) == config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"family": "shceme"}, "unknown family 'shceme'; did you mean 'scheme'?"),
        ({"grid": {"num_cell": 4}}, "unknown configuration field 'grid.num_cell'; did you mean 'num_cells'?"),
        ({"policy": {"name": "directonal"}}, "unknown policy.name 'directonal'; did you mean 'directional'?"),
        ({"grid": {"order": 4}}, "grid.order must be one of 3, 5, 7, 9, 11, 13, got 4"),
        ({"seed": 1.5}, "seed must be a whole number from 0 to 4294967295, got 1.5"),
        ({"seed": True}, "seed must be a whole number from 0 to 4294967295, got True"),
        ({"policy": {"hidden": 16}}, "policy.hidden must be a list, got 16"),
        ({"policy": {"hidden": [16, "a"]}}, "policy.hidden must be a whole number above 0, got 'a'"),
        ({"gates": [1.0]}, "gates must have 2 entries"),
        ({"law": {"viscosity": "nan"}}, "law.viscosity must be a number of 0 or more"),
        ({"law": {"viscosity": float("nan")}}, "law.viscosity must be a finite number of 0 or more"),
        ({"law": 3}, "law must be a table of fields"),
    ],
)
def test_wrong_values_are_named(values: dict, message: str):
    with pytest.raises(UndertowError, match="^" + message.replace("?", r"\?").replace("(", r"\(")):
        config_from_dict(values)


def test_python_gets_the_same_checks():
    with pytest.raises(UndertowError, match="training.precision"):
        validate_config(SchemeConfig(training=TrainingConfig(precision="float16")))


def test_configurations_in_files(tmp_path: Path):
    """JSON with all of it, as a run has it or bare; TOML with what differs from the defaults; errors that name the file."""
    whole = configs.load_config(write(tmp_path / "a.json", json.dumps(config_to_dict(SchemeConfig(seed=7)))))
    assert whole == ("custom", SchemeConfig(seed=7))
    of_run = {"id": "x", "preset": "mine", "digest": "edited since", "config": {"seed": 8}}
    assert configs.load_config(write(tmp_path / "config.json", json.dumps(of_run))) == ("mine", SchemeConfig(seed=8))
    toml = 'family = "cartpole"\nhorizon = 7\n[system]\npoles = 2\n'
    named = configs.load_config(write(tmp_path / "b.toml", toml))
    assert (named.config.horizon, named.config.system.poles) == (7, 2)  # type: ignore[attr-defined]
    for name, text, message in (
        ("c.toml", "seed = ", "c.toml is damaged: it is not valid TOML"),
        ("d.json", "[1]", "d.json must hold a table of configuration fields, got a list"),
        ("e.json", '{"config": 3}', "e.json: expected a 'preset' and a 'config'"),
        ("f.json", '{"sed": 3}', "f.json: unknown configuration field 'sed'; did you mean 'seed'"),
    ):
        with pytest.raises(UndertowError, match=message):
            configs.load_config(write(tmp_path / name, text))
    with pytest.raises(UndertowError, match=r"g.toml is missing"):
        configs.load_config(tmp_path / "g.toml")


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_the_grid_fills_itself_in():
    whole = GridConfig(num_cells=None, steps=None, dt=4e-4, end_time=0.1).complete()
    assert (whole.num_cells, whole.steps) == (128, 250)
    with pytest.raises(UndertowError, match="contradict each other.* set one of them to None"):
        GridConfig(num_cells=64, steps=10, dt=0.1, end_time=0.1).complete()
    with pytest.raises(UndertowError, match="whole number above 0, got -1"):
        GridConfig(num_cells=-1).complete()


def test_unknown_preset():
    with pytest.raises(UndertowError, match="unknown preset 'burger'; did you mean 'burgers'"):
        preset("burger")


def test_the_paper_preset_has_the_published_numbers():
    """Way et al. (2022), arXiv 2203.08937, and the defaults of their code."""
    config = preset("burgers-paper").config
    whole = config.grid.complete()
    assert (whole.num_cells, whole.steps, config.grid.integrator, config.grid.order) == (128, 250, "euler", 5)
    assert whole.dt == 4e-4 and whole.end_time == pytest.approx(0.1, abs=1e-15)
    assert config.data.conditions == config.evaluation.conditions == ("smooth_sine", "rarefaction", "accelshock")
    assert (config.training.updates, config.training.batch, config.training.precision) == (10_000, 3, "float64")
    assert (config.evaluation.every, config.evaluation.horizon) == (50, 2)
    optimizer = config.optimizer
    assert optimizer == OptimizerConfig("adam", learning_rate=3e-4, convention="tf1")
    policy = eqx.filter_eval_shape(make_policy, config)
    assert sum(x.size for x in jax.tree.leaves(eqx.filter(policy, lambda x: hasattr(x, "size")))) == 18_694
    assert preset("burgers-rk").config == dataclasses.replace(
        config, grid=dataclasses.replace(config.grid, integrator="rk4")
    )

"""Artefacts: whole or absent, read with numpy alone and through `jax.export`, refused when damaged."""

from __future__ import annotations

import ast
import importlib.util
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import undertow as ut
from tests.exports import random_run
from tests.odd import ODD, leaves, put
from tests.tiny import tiny
from undertow import cli
from undertow._checks import UndertowError
from undertow.config import CartPoleTask, ControlDataConfig, ControllerConfig, PolicyConfig, TrainingConfig
from undertow.core.flow import closed_loop
from undertow.envs.cartpole import CartPole
from undertow.envs.conservation import Conservation
from undertow.export import artefact, portable
from undertow.laws.burgers import Burgers
from undertow.numerics.grid import UniformGrid
from undertow.numerics.timestep import FixedStep
from undertow.schemes.semidiscrete import SemiDiscrete

FILES = {"README.md", "policy.json", "policy.safetensors", "policy.stablehlo", "portable.py", "step.stablehlo"}
SCHEME = tiny(policy=PolicyConfig("paired", hidden=(4,)))
CART = CartPoleTask(
    policy=ControllerConfig(hidden=(4,)),
    data=ControlDataConfig(train=2, test=2),
    training=TrainingConfig(batch=2, precision="float32"),
)


@pytest.fixture(scope="module")
def scheme(tmp_path_factory):
    """A run of a learned scheme, and its artefact."""
    run = random_run(SCHEME, tmp_path_factory.mktemp("scheme") / "run", preset="tiny")
    return run, ut.export(run, cells=12, boundary="outflow")


@pytest.fixture(scope="module")
def cart(tmp_path_factory):
    """A run of a controller, and its artefact."""
    run = random_run(CART, tmp_path_factory.mktemp("cart") / "run", preset="cartpole")
    return run, ut.export(run)


@pytest.fixture
def copy(scheme, tmp_path):
    """A copy of the scheme's artefact, to be damaged."""
    return shutil.copytree(scheme[1].path, tmp_path / "copy")


def program(folder: Path, name: str):
    return jax.export.deserialize(bytearray(portable.read(folder, name)))


def test_it_is_whole(scheme):
    run, exported = scheme
    assert exported.path == run / "export"
    assert {path.name for path in exported.path.iterdir()} == FILES
    assert sorted(portable.verify(exported.path)) == sorted(FILES - {"policy.json"})
    assert not list(run.glob(".*.tmp"))
    assert set(exported.agreement) == {"numpy", "stablehlo"} and max(exported.agreement.values()) < 1e-12
    document = json.loads((exported.path / "policy.json").read_text())
    assert document == exported.document
    assert document["provenance"]["preset"] == "tiny" and document["provenance"]["checkpoint"].startswith(
        "best_update_"
    )
    about = document["scheme"]
    assert (about["law"]["kind"], about["grid"]["num_cells"], about["order"]) == ("Burgers", [12], 3)
    assert (about["boundary"]["kind"], about["time"]["dt"], about["integrator"]["name"]) == (["outflow"], 0.01, "euler")


def test_no_file_names_a_folder_of_whoever_exported(scheme, cart):
    for _, exported in (scheme, cart):
        for path in exported.path.iterdir():
            for folder in (Path(__file__).parents[2], exported.path.parent.parent):
                assert str(folder).encode() not in path.read_bytes(), path.name


def test_the_same_run_gives_the_same_bytes(scheme, tmp_path):
    run, exported = scheme
    again = ut.export(run, out=tmp_path / "again", cells=12, boundary="outflow")
    for name in FILES:
        assert (again.path / name).read_bytes() == (exported.path / name).read_bytes(), name


ALONE = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"jax", "jaxlib", "undertow", "equinox", "optax", "jaxtyping", "ml_dtypes", "safetensors"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
for name in ("jax", "undertow", "equinox"):
    try:
        __import__(name)
    except ModuleNotFoundError:
        continue
    raise SystemExit(f"{name} is there")
sys.path.insert(0, ".")
import numpy, portable
numpy.save("%s", portable.load(".")(numpy.load("%s")))
foreign = {name.split(".")[0] for name in sys.modules} - set(sys.stdlib_module_names)
print(*sorted(name for name in foreign if not name.startswith("_")))
"""


def test_numpy_is_all_it_takes(scheme, tmp_path, rng):
    """In a process of its own, where this library, JAX and all that they stand on cannot be imported."""
    run, exported = scheme
    stencils = rng.normal(size=(2, 20, 3))
    np.save(tmp_path / "in.npy", stencils)
    code = ALONE % (tmp_path / "out.npy", tmp_path / "in.npy")
    done = subprocess.run(
        [sys.executable, "-I", "-B", "-c", code], cwd=exported.path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["numpy", "portable"]
    expected = jax.jit(lambda s: ut.load_policy(run)((s,))[0])(stencils)
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected, rtol=0, atol=1e-12)


def test_the_loader_imports_numpy_alone(scheme):
    source = (scheme[1].path / "portable.py").read_bytes()
    assert source == Path(portable.__file__).read_bytes()
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
    assert found - set(sys.stdlib_module_names) == {"numpy"}


def test_programs_of_a_scheme(scheme, rng):
    """Of any number of faces and samples; the step is the solver's."""
    run, exported = scheme
    policy = ut.load_policy(run)
    weights = program(exported.path, "policy.stablehlo")
    assert weights.platforms == ("cpu", "cuda", "tpu")
    for n in (1, 7):
        stencils = jnp.asarray(rng.normal(size=(2, n, 3)))
        expected = jax.jit(lambda s: policy((s,))[0])(stencils)
        np.testing.assert_allclose(weights.call(stencils), expected, rtol=0, atol=1e-12)
    environment = Conservation(
        SemiDiscrete(Burgers(), UniformGrid(12), "outflow", order=3), FixedStep(0.02), ut.ForwardEuler()
    )
    u = jnp.asarray(rng.normal(size=(3, 1, 12)))
    step = jax.jit(jax.vmap(lambda u: closed_loop(environment, policy)(environment.initial(u))[0].u))
    np.testing.assert_allclose(program(exported.path, "step.stablehlo").call(u, 0.02), step(u), rtol=0, atol=1e-12)


def test_programs_of_a_controller(cart, rng):
    run, exported = cart
    policy = ut.load_policy(run)
    states = jnp.asarray(rng.normal(size=(5, 2, 2)), jnp.float32)
    action = program(exported.path, "policy.stablehlo").call(states.reshape(5, 4))
    after, held = program(exported.path, "step.stablehlo").call(states)
    assert action.dtype == after.dtype == jnp.float32
    state, expected = jax.jit(jax.vmap(closed_loop(CartPole(), policy)))(states)
    np.testing.assert_allclose(action, expected, rtol=0, atol=1e-6)
    np.testing.assert_allclose(held, expected, rtol=0, atol=1e-6)
    np.testing.assert_allclose(after, state, rtol=0, atol=1e-6)
    system = exported.document["system"]
    assert system["environment"] == {"kind": "CartPole"} | {
        "gravity": 9.8, "pole_mass": 0.1, "total_mass": 1.1, "half_length": 0.5, "dt": 0.01,
    }  # fmt: skip
    assert system["action"]["bounds"] is None and system["cost"]["kind"] == "Upright"


def rewritten(folder: Path, **changes) -> None:
    """Change the description as somebody would who knows how its checksum is made."""
    document = json.loads((folder / "policy.json").read_text()) | changes
    document["checksum"] = portable.checksum(document)
    (folder / "policy.json").write_text(json.dumps(document))


@pytest.mark.parametrize("name", sorted(FILES))
def test_damage_is_told(copy, name):
    path = copy / name
    whole = path.read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    for data in (whole[:-9], b"", flipped):
        path.write_bytes(data)
        with pytest.raises(portable.PortableError, match=rf"{name}.*(damaged|cut)"):
            portable.verify(copy)
    path.unlink()
    with pytest.raises(portable.PortableError, match=rf"{name} is missing"):
        portable.verify(copy)


def test_an_edited_or_foreign_description_is_told(copy):
    text = (copy / "policy.json").read_text()
    for old, new, match in (
        ('"version": 1', '"version": 2', "has format version 2, this file reads 1"),
        ('"undertow-policy"', '"something-else"', "does not describe an exported policy"),
        ('"activation": "relu"', '"activation": "tanh"', "edited: its checksum does not fit"),
    ):
        assert old in text
        (copy / "policy.json").write_text(text.replace(old, new))
        with pytest.raises(portable.PortableError, match=match):
            portable.load(copy)
    (copy / "policy.json").write_text("[]")
    with pytest.raises(portable.PortableError, match="does not describe"):
        portable.load(copy)


def test_weights_that_do_not_fit_the_description_are_told(copy):
    about = portable.describe(copy)["policy"]
    first = next(iter(about["tensors"]))
    rewritten(copy, policy={**about, "tensors": {**about["tensors"], first: [5, 4]}})
    with pytest.raises(portable.PortableError, match=r"has shape \(6, 4\), \(5, 4\) was expected"):
        portable.load(copy)
    rewritten(copy, policy={**about, "tensors": {**about["tensors"], "more": [1]}})
    with pytest.raises(portable.PortableError, match="has no array 'more'"):
        portable.load(copy)
    rewritten(copy, policy={**about, "kind": "oracle"})
    with pytest.raises(portable.PortableError, match="kind 'oracle' is unknown to this file"):
        portable.load(copy)


@settings(max_examples=150)
@given(data=st.data())
def test_any_value_at_any_place_of_a_description(data, scheme, tmp_path_factory):
    """With a checksum that fits: it can be evaluated all the same, or an error of one line says why not."""
    document = json.loads((scheme[1].path / "policy.json").read_text())
    places = [("policy", *path) for path in leaves(document["policy"])] + [
        ("files", *path) for path in leaves(document["files"])
    ]
    changed = put(document, data.draw(st.sampled_from(places)), data.draw(st.sampled_from((..., *ODD))))
    folder = tmp_path_factory.mktemp("odd")
    for name in ("policy.json", "policy.safetensors"):
        shutil.copy(scheme[1].path / name, folder)
    rewritten(folder, **{"policy": None, "files": None, **changed})
    for call in (portable.load, portable.verify):
        try:
            policy = call(folder)
        except portable.PortableError as error:
            assert "\n" not in str(error)
        else:
            assert call is portable.load and np.isfinite(policy(np.ones((2, policy.order)))).all()


def test_nothing_is_overwritten(scheme):
    run, exported = scheme
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in exported.path.iterdir()}
    with pytest.raises(UndertowError, match="exists already and is left as it is"):
        ut.export(run)
    assert before == {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in exported.path.iterdir()}


def test_what_does_not_agree_is_not_written(scheme, tmp_path, monkeypatch):
    monkeypatch.setitem(portable.ACTIVATIONS, "relu", lambda x: np.maximum(x, 1e-3))
    with pytest.raises(UndertowError, match="differs from the policy by .*; nothing is written"):
        ut.export(scheme[0], out=tmp_path / "out", programs=False)
    assert list(tmp_path.iterdir()) == []


def test_a_policy_that_numpy_cannot_evaluate_is_refused(scheme, tmp_path, monkeypatch):
    class Sharper(ut.PairedPolicy):
        pass

    def load(path, which):
        directory, experiment, _ = ut.load_run(path, which)
        return directory, experiment, Sharper(key=jax.random.key(0), order=3)

    monkeypatch.setattr(artefact, "load_run", load)
    with pytest.raises(UndertowError, match="a Sharper cannot be exported"):
        ut.export(scheme[0], out=tmp_path / "out", programs=False)
    assert list(tmp_path.iterdir()) == []


def test_without_the_extra(scheme, tmp_path, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "flatbuffers" else found(name, *rest)
    )
    with pytest.raises(UndertowError, match=r"pip install 'undertow\[export\]', or leave it out with --no-programs"):
        ut.export(scheme[0], out=tmp_path / "out")
    exported = ut.export(scheme[0], out=tmp_path / "out", programs=False)
    assert {path.name for path in exported.path.iterdir()} == {name for name in FILES if "stablehlo" not in name}


def test_wrong_options_are_told(scheme, cart, tmp_path):
    for run, options, match in (
        (scheme[0], {"boundary": "periodc"}, "did you mean 'periodic'"),
        (scheme[0], {"cells": 2}, "order 3 needs at least 3 cells"),
        (cart[0], {"cells": 32}, "are for learned schemes, not for cartpole"),
        (scheme[0], {"which": "lost"}, "has no checkpoint 'lost'"),
    ):
        with pytest.raises(UndertowError, match=match):
            ut.export(run, out=tmp_path / "out", programs=False, **options)
    assert list(tmp_path.iterdir()) == []


def test_the_command(scheme, tmp_path, capsys):
    run = scheme[0]
    assert cli.main(["export", str(run), "--out", str(tmp_path / "a"), "--no-programs", "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["kind"] == "paired" and set(values["files"]) == {"README.md", "policy.safetensors", "portable.py"}
    checkpoint = next((run / "checkpoints").glob("best_*"))
    assert cli.main(["export", str(checkpoint), "--out", str(tmp_path / "b"), "--no-programs"]) == 0
    assert f"artefact: {tmp_path / 'b'}" in capsys.readouterr().out.replace("\n", " ")
    assert (tmp_path / "a" / "policy.safetensors").read_bytes() == (tmp_path / "b" / "policy.safetensors").read_bytes()
    assert cli.main(["export", str(run), "--out", str(tmp_path / "a")]) == 2
    assert "exists already" in capsys.readouterr().err


def test_steps_of_named_conditions_take_their_boundary(tmp_path):
    config = replace(SCHEME, data=replace(SCHEME.data, conditions=("smooth_sine", "rarefaction")))
    exported = ut.export(random_run(config, tmp_path / "run"), programs=False)
    condition = ut.burgers_condition("smooth_sine")
    assert exported.document["scheme"]["boundary"]["kind"] == [condition.boundary]

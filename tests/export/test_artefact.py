"""Artefacts: whole or absent, read with numpy alone and through `jax.export`, refused when damaged."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import undertow as ut
from tests.exports import random_run
from tests.tiny import tiny
from undertow import cli
from undertow._checks import UndertowError
from undertow.config import CONTROL_CONFIGS, ControlDataConfig, ControllerConfig, PolicyConfig, TrainingConfig
from undertow.core.flow import closed_loop
from undertow.envs.conservation import Conservation
from undertow.export import artefact, portable
from undertow.laws.burgers import Burgers
from undertow.numerics.grid import UniformGrid
from undertow.numerics.timestep import FixedStep
from undertow.schemes.semidiscrete import SemiDiscrete
from undertow.tasks.cartpole import CartPole

FILES = {"README.md", "policy.json", "policy.safetensors", "policy.stablehlo", "portable.py", "step.stablehlo"}
SCHEME = tiny(policy=PolicyConfig("paired", hidden=(4,)))
CART = CONTROL_CONFIGS["cartpole"](
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
import warnings
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
        SemiDiscrete(Burgers(), UniformGrid(12), "outflow", order=3), FixedStep(0.02), ut.numerics.ForwardEuler()
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
    class Sharper(ut.policies.PairedPolicy):
        pass

    def load(path, which):
        directory, experiment, _ = ut.experiment.load_run(path, which)
        return directory, experiment, Sharper(key=jax.random.key(0), order=3)

    monkeypatch.setattr(artefact, "load_run", load)
    with pytest.raises(UndertowError, match="a Sharper cannot be exported"):
        ut.export(scheme[0], out=tmp_path / "out", programs=False)
    assert list(tmp_path.iterdir()) == []


def test_without_the_extra(scheme, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "flatbuffers", None)
    with pytest.raises(UndertowError, match=r"--no-programs leaves it out.*pip install 'undertow\[export\]'"):
        ut.export(scheme[0], out=tmp_path / "out")
    exported = ut.export(scheme[0], out=tmp_path / "out", programs=False)
    assert {path.name for path in exported.path.iterdir()} == {name for name in FILES if "stablehlo" not in name}


def test_a_policy_in_memory_is_no_run():
    with pytest.raises(UndertowError, match="export takes a run directory or one of its checkpoints, got") as told:
        ut.export(object())  # type: ignore[arg-type]
    assert "\n" not in str(told.value)


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


# --- what comes from elsewhere ----------------------------------------------------------------------------------------

ODD = (None, True, -1, 0, 2**70, 1e300, "x", [], {}, [1], {"a": 1}, [[["x"]]])


def places(value, path=()):
    """Every place in plain values."""
    yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from places(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value[:2]):
            yield from places(item, (*path, index))


def with_value(value, path, new):
    if not path:
        return new
    copied = dict(value) if isinstance(value, dict) else list(value)
    copied[path[0]] = with_value(value[path[0]], path[1:], new)
    return copied


@pytest.mark.parametrize("which", ["scheme", "cart"])
def test_odd_descriptions_with_right_checksums(which, request, tmp_path):
    """Refused with a line, or evaluated; nothing else, whatever stands where."""
    whole = request.getfixturevalue(which)[1].path
    folder = shutil.copytree(whole, tmp_path / "copy")
    document = json.loads((folder / "policy.json").read_text())
    tried = [("policy", *path) for path in places(document["policy"])] + [
        ("files", *p) for p in places(document["files"])
    ]
    refused = 0
    for number, path in enumerate(tried):
        for new in (ODD[number % len(ODD)], ODD[(5 * number + 3) % len(ODD)]):
            odd = with_value(document, path, new)
            odd["checksum"] = portable.checksum(odd)
            (folder / "policy.json").write_text(json.dumps(odd))
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore", np.exceptions.ComplexWarning)
                try:
                    policy = portable.load(folder)
                    policy(np.zeros((2, 3, *policy.about["observation"]["shape"])))
                except portable.PortableError as error:
                    assert "\n" not in str(error)
                    refused += 1
    assert refused > len(tried) / 2  # the rest are words for people


def test_sizes_of_an_artefact_are_looked_at_first(copy):
    with open(copy / "policy.safetensors", "r+b") as file:
        file.truncate(2**40)  # takes no space on the disk
    with pytest.raises(portable.PortableError, match="policy.safetensors has 1099511627776 bytes"):
        portable.load(copy)
    with open(copy / "policy.json", "r+b") as file:
        file.truncate(2**40)
    with pytest.raises(portable.PortableError, match="at most 16777216 were expected"):
        portable.load(copy)
    (copy / "policy.json").write_text("[" * 100_000)
    with pytest.raises(portable.PortableError, match="is not valid JSON"):
        portable.load(copy)


def test_the_loader_is_for_older_pythons():
    """What Python 3.8 has no words for is not in it. `validation/test_portable.py` runs it there, where one is found."""
    tree = ast.parse(Path(portable.__file__).read_text(), feature_version=(3, 8))
    words = {each.arg for node in ast.walk(tree) if isinstance(node, ast.Call) for each in node.keywords}
    methods = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    newer = {"removeprefix", "removesuffix", "bit_count", "pairwise", "is_relative_to", "StrEnum", "Self"}
    assert "strict" not in words and not methods & newer
    built_in = {"list", "dict", "tuple", "set", "type", "Callable", "Mapping", "Sequence", "Iterable"}
    for node in tree.body:  # what is worked out as the file is read
        if isinstance(node, ast.Assign):
            made = {ast.unparse(each.value) for each in ast.walk(node.value) if isinstance(each, ast.Subscript)}
            assert not built_in & made, ast.unparse(node)


@pytest.mark.parametrize(
    ("version", "good"), [("0.8.0", False), ("0.4.38", False), ("0.9.0.1", True), ("0.10.2.dev1", True), ("1.0", True)]
)
def test_programs_ask_for_a_jax_that_reads_them(scheme, monkeypatch, version, good):
    """Older ones find no devices in them, and say so in words that help nobody."""
    folder = scheme[1].path
    monkeypatch.setattr(jax, "__version__", version)
    portable.read(folder, "policy.safetensors")
    if good:
        portable.read(folder, "step.stablehlo")
    else:
        with pytest.raises(
            portable.PortableError, match=f"step.stablehlo is for JAX 0.9 or newer, and this is {version}"
        ):
            portable.read(folder, "step.stablehlo")
    about = scheme[1].document["programs"]["step.stablehlo"]
    assert about["read_by"] == {"jax": ">=0.9"} and "JAX 0.9 or newer" in (folder / "README.md").read_text()

"""Agents of the published code: their files, what they say, and what a wrong file is told."""

from __future__ import annotations

import io
import itertools
import json
import tracemalloc
import zipfile
from pathlib import Path

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from tests.tiny import tiny
from undertow._checks import UndertowError
from undertow.assembly import build
from undertow.config import DataConfig, PolicyConfig
from undertow.experiment import evaluate_run, import_agent, load_policy, load_run
from undertow.policies import archive
from undertow.policies.published import is_published, read_published
from undertow.store.rundir import RunDirectory


def write(path: Path, arrays: dict[str, np.ndarray], **parts: bytes) -> Path:
    """A file in the published format; `parts` instead of its own."""
    values = io.BytesIO()
    np.savez(values, **arrays)
    contents = {"data": b"{}", "parameters": values.getvalue(), "parameter_list": json.dumps(list(arrays)).encode()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in {**contents, **parts}.items():
            archive.writestr(name, data)
    return path


def agent(order: int = 5, hidden: tuple[int, ...] = (7, 6), prefix: str = "policy") -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    sizes = [2 * order, *hidden, order + 1]
    arrays = {}
    for index, (m, n) in enumerate(itertools.pairwise(sizes)):
        layer = "action" if index == len(hidden) else f"fc{index}"
        arrays[f"{prefix}/{layer}/kernel:0"] = rng.normal(size=(m, n))
        arrays[f"{prefix}/{layer}/bias:0"] = rng.normal(size=n)
    return arrays


def by_hand(arrays: dict[str, np.ndarray], stencils: np.ndarray) -> np.ndarray:
    """What the published program does with the two stencils of one face, `"2 stencil"`, in plain NumPy."""
    z = (stencils - stencils.mean(axis=-1, keepdims=True)) / (stencils.std(axis=-1, keepdims=True) + 1e-10)
    x = z.ravel()
    values = list(arrays.values())
    for kernel, bias in zip(values[:-2:2], values[1:-2:2], strict=True):
        x = np.maximum(x @ kernel + bias, 0)
    logits = (x @ values[-2] + values[-1]).reshape(2, -1)
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


@eqx.filter_jit
def ask(policy, stencils):
    return policy(stencils)


@pytest.mark.parametrize(("order", "prefix"), [(5, "policy"), (3, "policy_net")])
def test_it_says_what_the_published_program_says(order, prefix, tmp_path, rng):
    arrays = agent(order, prefix=prefix)
    policy = read_published(write(tmp_path / "model.zip", arrays))
    assert (policy.order, policy.network.activation, policy.noise) == (order, "relu", 0.0)
    stencils = rng.normal(size=(2, 3, 4, order))  # direction, component, face
    (weights,) = ask(policy, (jnp.asarray(stencils),))
    for c in range(3):
        for j in range(4):
            np.testing.assert_allclose(weights[:, c, j], by_hand(arrays, stencils[:, c, j]), rtol=1e-12)


def test_layers_come_by_number_and_not_by_place(tmp_path):
    arrays = agent(hidden=(2,) * 11)
    shuffled = dict(sorted(arrays.items()))  # fc10 before fc2
    policies = [read_published(write(tmp_path / f"{n}.zip", a)) for n, a in enumerate((arrays, shuffled))]
    for one, other in zip(policies[0].network.kernels, policies[1].network.kernels, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("r", "parameters"), [(2, 4868), (3, 5254)])
def test_the_authors_agents(reference_dir, r, parameters):
    """Two hidden layers of 64, as their logs say, and weights that depend on what they see."""
    policy = read_published(reference_dir / "rl_pde" / "agents" / f"euler_componentwise_r{r}.zip")
    assert [bias.size for bias in policy.network.biases] == [64, 64, 2 * r]
    assert (policy.order, policy.network.num_parameters) == (2 * r - 1, parameters)
    step = jnp.where(jnp.arange(2 * r - 1) < r - 1, 1.0, 0.0)
    (weights,) = ask(policy, (jnp.stack([step, step[::-1]])[:, None, None],))
    np.testing.assert_allclose(weights.sum(axis=-1), 1, rtol=1e-12)
    assert weights.max() > 0.9


# Runs of them


def test_an_imported_agent_is_a_run(tmp_path):
    arrays = agent(3, (4,))
    file = write(tmp_path / "model_best.zip", arrays)
    directory = import_agent(file, tiny(), out=tmp_path / "run", command=["undertow", "import-agent", "model_best.zip"])
    assert directory.path == tmp_path / "run" and RunDirectory.open(directory.path).status == "finished"
    summary = directory.read_summary()
    assert (summary["imported"], summary["updates"], summary["parameters"]) == ("model_best.zip", 0, 6 * 4 + 4 + 20)
    policies = [load_run(directory.path, which)[2] for which in ("best", "last")]
    policies += [load_policy(directory.path), load_policy(directory.checkpoint("best")), load_policy(file)]
    for policy in policies:
        for found, given in zip(policy.network.kernels, list(arrays.values())[::2], strict=True):
            np.testing.assert_array_equal(found, given)
    _, experiment, _ = load_run(directory.path)
    assert experiment.config.policy == PolicyConfig("paired", hidden=(4,)) and experiment.config.grid.order == 3
    evaluation = evaluate_run(directory.path, ["held-out"], cells=16, end_time=0.01, n=2)["held-out"]
    assert "learned" in evaluation.summary()
    start = tiny(policy=PolicyConfig("paired", hidden=(4,), start=directory.path))
    np.testing.assert_array_equal(build(start).policy.network.biases[0], arrays["policy/fc0/bias:0"])


def test_what_is_wrong_is_said_before_anything_is_made(tmp_path):
    file, out = write(tmp_path / "model.zip", agent(3, (4,))), tmp_path / "run"
    (tmp_path / "there").mkdir()
    bad = tiny(data=DataConfig(pool=0))
    for arguments, options, message in (
        ((file, tiny()), {"out": tmp_path / "there"}, "there exists already and is left as it is"),
        ((tmp_path / "absent.zip", tiny()), {}, "does not exist or is not a file"),
        ((file, tiny()), {"activation": "rely"}, "unknown activation 'rely'; did you mean 'relu'"),
        ((file, bad), {}, "data.pool must be a whole number above 0"),
    ):
        with pytest.raises(UndertowError, match=message):
            import_agent(*arguments, **{"out": out, **options})
    assert not out.exists() and not list((tmp_path / "there").iterdir())
    for use in (load_run, evaluate_run, lambda path: build(tiny(policy=PolicyConfig("paired", start=path)))):
        with pytest.raises(UndertowError, match="make a run of it first: undertow import-agent"):
            use(file)


def changed(name: str, value: np.ndarray) -> dict[str, np.ndarray]:
    return {**agent(), f"policy/{name}:0": value}


NOT_FINITE = np.full((10, 7), np.nan)
WRONG = {
    "layers": (changed("fc1/kernel", np.ones((8, 6))), {}, "layers do not fit together, .* shape \\(8, 6\\)"),
    "bias": (changed("fc1/bias", np.ones(5)), {}, "layers do not fit together, .* bias of shape \\(5,\\)"),
    "axes": (changed("fc0/kernel", np.ones(10)), {}, "fc0/kernel has shape \\(10,\\); a kernel has two axes"),
    "value": (changed("fc0/kernel", NOT_FINITE), {}, "fc0/kernel is not finite"),
    "order": (changed("fc0/kernel", np.ones((11, 7))), {}, "11 inputs and 6 outputs belong to no order"),
    "outputs": ({k: v for k, v in agent().items() if "action" not in k}, {}, "has no array action/kernel; it has fc0"),
    "list": (agent(), {"parameter_list": b"[1"}, "is not a checkpoint of the published code"),
    "names": (agent(), {"parameter_list": b'["policy/fc7/kernel:0"]'}, "is not a checkpoint of the published code"),
    "number": (agent(), {"parameter_list": b"3"}, "is not a checkpoint of the published code"),
    "values": (agent(), {"parameters": b"none"}, "is not a checkpoint of the published code"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_files(name, tmp_path):
    arrays, parts, message = WRONG[name]
    path = write(tmp_path / "model.zip", arrays, **parts)
    with pytest.raises(UndertowError, match=message) as error:
        load_policy(path)
    assert "\n" not in str(error.value) and "model.zip" in str(error.value)


def test_other_files(tmp_path):
    whole = write(tmp_path / "model.zip", agent()).read_bytes()
    for contents in (b"", b"text", whole[: len(whole) // 2], whole[: len(whole) // 2] + bytes(len(whole) // 2)):
        path = tmp_path / "other.zip"
        path.write_bytes(contents)
        with pytest.raises(UndertowError, match=r"other.zip is not a checkpoint of the published code"):
            read_published(path)
    with zipfile.ZipFile(tmp_path / "stranger.zip", "w") as archive:
        archive.writestr("readme", "nothing")
    with pytest.raises(UndertowError, match="is not a checkpoint of the published code: .*parameter_list"):
        read_published(tmp_path / "stranger.zip")
    with pytest.raises(UndertowError, match="does not exist or is not a file"):
        read_published(tmp_path)
    (tmp_path / "unnamed").write_bytes(whole)
    assert is_published(tmp_path / "unnamed") and not is_published(tmp_path) and not is_published(tmp_path / "absent")


# Archives that are made to do harm


def packed(contents: dict[str, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in contents.items():
            archive.writestr(name, part)
    return data.getvalue()


def npy(header: str, values: bytes = b"") -> bytes:
    text = header.encode("latin-1") + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + values


def claiming(size: int, data: bytes) -> bytes:
    """The same archive, of one member, which says that it has another size."""
    old = zipfile.ZipFile(io.BytesIO(data)).infolist()[0].file_size.to_bytes(4, "little")
    assert data.count(old) >= 2
    return data.replace(old, size.to_bytes(4, "little"))


FIRST = "policy/fc0/kernel:0"
HEADER = "{'descr': '%s', 'fortran_order': False, 'shape': %s, }"
ZEROS = bytes(2**24 + 1)  # above what may be packed at will
HARMFUL = {
    "large by its header": ({"parameters": packed({f"{FIRST}.npy": npy(HEADER % ("<f8", (10**13,)))})}, "does not fit"),
    "overflowing": ({"parameters": packed({f"{FIRST}.npy": npy(HEADER % ("<f8", (2**63, 2)))})}, "does not fit"),
    "negative": ({"parameters": packed({f"{FIRST}.npy": npy(HEADER % ("<f8", (-1, -8)), bytes(64))})}, "does not fit"),
    "many axes": ({"parameters": packed({f"{FIRST}.npy": npy(HEADER % ("<f8", (1,) * 999), bytes(8))})}, "not a check"),
    "wide": ({"parameters": packed({f"{FIRST}.npy": npy(HEADER % ("<S2000000000", (1,)))})}, "not real numbers"),
    "complex": ({"parameters": packed({f"{FIRST}.npy": npy(HEADER % ("<c16", (1,)), bytes(16))})}, "not real numbers"),
    "objects": ({"parameters": packed({f"{FIRST}.npy": npy(HEADER % ("|O", (1,)), b"cos\nsystem\n")})}, "not real"),
    "endless brackets": ({"parameters": packed({f"{FIRST}.npy": npy("(" * 9000)})}, "not a checkpoint"),
    "no header": ({"parameters": packed({f"{FIRST}.npy": b"\x93NUMPY\x02\x00\xff\xff\xff\xff"})}, "not a checkpoint"),
    "packed too well": ({"parameters": packed({f"{FIRST}.npy": ZEROS})}, "which no list of numbers has"),
    "packed too well outside": ({"parameters": ZEROS}, "which no list of numbers has"),
    "spaces": ({"parameter_list": b" " * (2**20 + 1)}, "at most 1,048,576 are read"),
    "deep": ({"parameter_list": b"[" * 500_000}, "not a checkpoint"),
    "other names": ({"parameter_list": b'[["policy/fc0/kernel:0"]]'}, "not a list of names"),
    "a dictionary": ({"parameter_list": b'{"policy/fc0/kernel:0": 1}'}, "not a list of names"),
}


@pytest.mark.parametrize("name", HARMFUL)
def test_sizes_are_looked_at_before_anything_is_unpacked(name, tmp_path):
    parts, message = HARMFUL[name]
    path = tmp_path / "model.zip"
    contents = {"parameter_list": json.dumps([FIRST]).encode(), "parameters": packed({}), **parts}
    path.write_bytes(packed(contents))
    tracemalloc.start()
    try:
        with pytest.raises(UndertowError, match=message) as error:
            load_policy(path)
        assert tracemalloc.get_traced_memory()[1] < 32 * 2**20
    finally:
        tracemalloc.stop()
    assert "\n" not in str(error.value) and "model.zip is not a checkpoint" in str(error.value)


@pytest.mark.parametrize("size", [10, 2**20, 2**31])
def test_an_archive_that_lies_about_a_size(size, tmp_path):
    """No more is unpacked than it says, and what is unpacked has to be that."""
    inner = claiming(size, packed({f"{FIRST}.npy": bytes(5_000_000)}))
    path = tmp_path / "model.zip"
    path.write_bytes(packed({"parameter_list": json.dumps([FIRST]).encode(), "parameters": inner}))
    tracemalloc.start()
    try:
        with pytest.raises(UndertowError, match="is not a checkpoint of the published code"):
            read_published(path)
        assert tracemalloc.get_traced_memory()[1] < 16 * 2**20
    finally:
        tracemalloc.stop()


def test_many_arrays_are_bounded_together(tmp_path, monkeypatch):
    arrays = agent()
    total = sum(array.nbytes + 128 for array in arrays.values())
    path = write(tmp_path / "model.zip", arrays)
    monkeypatch.setattr(archive, "LARGEST", path.stat().st_size)
    assert read_published(path).order == 5
    monkeypatch.setattr(archive, "LARGEST", total - 200)
    with pytest.raises(UndertowError, match="are read"):
        read_published(path)


@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<f2", "<i4", ">u2"])
def test_numbers_of_any_kind_and_order_are_read(dtype, tmp_path):
    arrays = {name: np.asfortranarray(np.abs(np.round(3 * values)).astype(dtype)) for name, values in agent().items()}
    policy = read_published(write(tmp_path / "model.zip", arrays))
    np.testing.assert_array_equal(policy.network.kernels[0], arrays[FIRST].astype(float))

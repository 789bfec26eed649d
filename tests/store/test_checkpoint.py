"""Checkpoints come back bit for bit, are never half there, and say what is wrong with a file that is."""

import errno
import hashlib
import json
import os
import random
import struct
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.odd import ODD, leaves, put
from undertow import _io
from undertow._checks import UndertowError
from undertow.store import _safetensors, checkpoint
from undertow.store.checkpoint import load_checkpoint, read_metadata, save_checkpoint
from undertow.store.keeping import load_newest, newest_metadata, rank_checkpoints


def mixed_tree():
    return {
        "float64": jnp.asarray([np.pi, -0.0, np.nan, np.inf, 5e-324]),
        "float32": jnp.asarray([[1e-45, np.nan], [-np.inf, 0.1]], jnp.float32),
        "bfloat16": jnp.asarray([1.5, -2.0], jnp.bfloat16),
        "int": jnp.asarray(-7, jnp.int32),
        "uint8": jnp.asarray([0, 255], jnp.uint8),
        "bool": jnp.asarray([True, False]),
        "complex64": jnp.asarray([1 - 2j], jnp.complex64),
        "complex": jnp.asarray(2 - 3j),
        "complex128": jnp.asarray([[1e-300 + 1j], [np.pi * 1j]]),
        "empty": jnp.zeros((0, 3)),
        "key": jax.random.key(3),
        "keys": jax.random.split(jax.random.key(4, impl="rbg"), (2, 3)),
        "numpy": np.arange(6.0).reshape(2, 3)[:, ::-1],
        "big-endian": np.arange(3, dtype=">i4"),
        "python": (True, 12, 0.1, 3 - 4j, None),
        "function": jnp.tanh,
    }


def bits(leaf):
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return (str(leaf.dtype), leaf.shape, np.asarray(jax.random.key_data(leaf)).tobytes())
    if isinstance(leaf, (jax.Array, np.ndarray)):
        return (type(leaf) is np.ndarray, leaf.dtype, leaf.shape, np.asarray(leaf).tobytes())
    return (type(leaf), leaf)


def blank(leaf):
    """Another leaf of the same type, so that nothing can come from `like` unnoticed."""
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jax.random.wrap_key_data(jnp.zeros_like(jax.random.key_data(leaf)), impl=jax.random.key_impl(leaf))
    if isinstance(leaf, (jax.Array, np.ndarray)):
        return (np if isinstance(leaf, np.ndarray) else jnp).full_like(leaf, 7)
    return type(leaf)() if isinstance(leaf, (bool, int, float, complex)) else leaf


def mlp(width=8, depth=2, key=0):
    return eqx.nn.MLP(5, 3, width, depth, key=jax.random.key(key))


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_round_trip_is_bit_exact_for_every_dtype(tmp_path):
    tree = mixed_tree()
    like = jax.tree.map(blank, tree)
    save_checkpoint(tmp_path / "a.safetensors", tree, {"update": 400, "names": ["x", "ü"]})
    loaded, metadata = load_checkpoint(tmp_path / "a.safetensors", like)
    assert metadata == {"update": 400, "names": ["x", "ü"]} == read_metadata(tmp_path / "a.safetensors")
    np.testing.assert_array_equal(loaded.pop("big-endian"), tree.pop("big-endian"))  # the order of bytes may change
    assert jax.tree.structure(loaded) == jax.tree.structure(tree)
    assert [bits(x) for x in jax.tree.leaves(loaded)] == [bits(x) for x in jax.tree.leaves(tree)]


def test_a_training_state_comes_back_and_a_part_of_it_alone(tmp_path):
    policy = mlp()
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(1e-3, 10)))
    state = {"policy": policy, "optimizer": optimizer.init(eqx.filter(policy, eqx.is_array)), "key": jax.random.key(1)}
    save_checkpoint(tmp_path / "s", state)
    like = eqx.filter_eval_shape(lambda: {**state, "policy": mlp(key=1), "key": jax.random.key(2)})
    loaded, _ = load_checkpoint(tmp_path / "s", like)
    assert eqx.tree_equal(loaded, state)
    part, _ = load_checkpoint(tmp_path / "s", mlp(key=5), subtree="['policy']")
    assert eqx.tree_equal(part, policy)
    with pytest.raises(UndertowError, match="holds nothing under"):
        load_checkpoint(tmp_path / "s", policy, subtree="['pol']")


def test_an_array_that_is_the_whole_tree(tmp_path):
    save_checkpoint(tmp_path / "x", jnp.arange(3))
    loaded, metadata = load_checkpoint(tmp_path / "x", jnp.zeros(3, int))
    assert loaded.tolist() == [0, 1, 2] and metadata == {}


def test_the_same_tree_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        save_checkpoint(tmp_path / name, mixed_tree(), {"update": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_file_is_a_valid_safetensors_file(tmp_path):
    library = pytest.importorskip("safetensors.numpy")
    policy = mlp()
    save_checkpoint(tmp_path / "a.safetensors", {"policy": policy, "half": jnp.ones(3, jnp.float16), "e": jnp.zeros(0)})
    tensors = library.load_file(tmp_path / "a.safetensors")
    np.testing.assert_array_equal(tensors["['policy'].layers[0].weight"], policy.layers[0].weight)
    assert tensors["['e']"].shape == (0,) and tensors["['half']"].dtype == np.float16
    ours, metadata = _safetensors.decode(library.save({"x": np.arange(4.0)}, {"a": "b"}))
    assert ours["x"].tolist() == [0, 1, 2, 3] and metadata == {"a": "b"}


@pytest.mark.parametrize(
    ("like", "words"),
    [
        (mlp(width=9), r"leaf \.layers\[0\]\.weight is float64\[8, 5\] in the file, but float64\[9, 5\] was expected"),
        (mlp(depth=3), r"leaf \.layers\[2\]\.weight is float64\[3, 8\] in the file, but float64\[8, 8\] was expected"),
        (
            jax.tree.map(lambda x: x.astype(jnp.float32) if eqx.is_array(x) else x, mlp()),
            r"float32\[8, 5\] was expected",
        ),
        (eqx.tree_at(lambda m: m.layers[1].bias, mlp(), None), r"leaf \.layers\[1\]\.bias is float64\[8\] in the file"),
        (eqx.tree_at(lambda m: m.layers[0].bias, mlp(), 0.5), "but a Python float was expected"),
        ((mlp(), jnp.ones(2)), r"is absent in the file"),
    ],
)
def test_a_checkpoint_of_another_shape_names_the_first_leaf(tmp_path, like, words):
    save_checkpoint(tmp_path / "a", mlp())
    with pytest.raises(UndertowError, match=words) as caught:
        load_checkpoint(tmp_path / "a", like)
    assert "checkpoint of another shape" in str(caught.value) and str(tmp_path / "a") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_random_keys_of_another_kind_are_another_shape(tmp_path):
    save_checkpoint(tmp_path / "a", jax.random.key(0))
    with pytest.raises(UndertowError, match=r"key<fry>\[\] in the file, but key<rbg>\[\] was expected"):
        load_checkpoint(tmp_path / "a", jax.random.key(0, impl="rbg"))


def test_every_flipped_byte_and_every_truncation_is_found(tmp_path):
    path = tmp_path / "a"
    save_checkpoint(path, {"w": jnp.arange(5.0), "key": jax.random.key(0)}, {"update": 3})
    good = path.read_bytes()
    like = {"w": jnp.zeros(5), "key": jax.random.key(1)}
    rng = random.Random(0)
    damaged = [good[:n] for n in range(0, len(good), 7)] + [good + b"x", good + good]
    for position in range(len(good)):
        changed = bytearray(good)
        changed[position] ^= 1 << rng.randrange(8)
        damaged.append(bytes(changed))
    for data in damaged:
        path.write_bytes(data)
        with pytest.raises(UndertowError, match=r"truncated, damaged|is damaged|not a checkpoint") as caught:
            load_checkpoint(path, like)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_foreign_and_missing_files(tmp_path):
    foreign = {
        "text": b"hello, this is not a checkpoint at all",
        "json": b"{}",
        "safetensors": _safetensors.encode({"x": np.ones(3)}, {}),
        "list": b"\x02\0\0\0\0\0\0\0[]",
        "nonsense": b'\x12\0\0\0\0\0\0\0{"x":{"dtype":17}}',
    }
    for name, data in foreign.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UndertowError, match=r"not a checkpoint|not that of a safetensors"):
            load_checkpoint(tmp_path / name, jnp.ones(3))
    with pytest.raises(UndertowError, match="there is no checkpoint"):
        load_checkpoint(tmp_path / "absent", jnp.ones(3))
    with pytest.raises(UndertowError, match="is a directory, but a file was expected"):
        load_checkpoint(tmp_path, jnp.ones(3))


def test_a_later_format_is_refused_with_the_version_that_wrote_it(tmp_path, monkeypatch):
    monkeypatch.setattr("undertow.store.checkpoint.FORMAT_VERSION", 2)
    save_checkpoint(tmp_path / "a", jnp.ones(3))
    monkeypatch.undo()
    with pytest.raises(
        UndertowError, match="has checkpoint format 2, this version reads 1; it was written by undertow"
    ):
        load_checkpoint(tmp_path / "a", jnp.ones(3))


@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_failing_disk_leaves_the_old_checkpoint_and_no_litter(tmp_path, monkeypatch, call, number):
    path = tmp_path / "last.safetensors"
    save_checkpoint(path, {"w": jnp.zeros(4)})
    before = path.read_bytes()

    def fail(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(*{"open": ("builtins.open", fail)}.get(call, (os, call, fail)))
    with pytest.raises(UndertowError) as caught:
        save_checkpoint(path, {"w": jnp.ones(4)})
    monkeypatch.undo()
    assert os.strerror(number) in str(caught.value) and str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before and files(tmp_path) == ["last.safetensors"]


def test_a_disk_that_fills_up_half_way_leaves_no_litter(tmp_path, monkeypatch):
    real = open

    def half(*arguments, **options):
        file = real(*arguments, **options)

        class Full:
            def __enter__(self):
                return self

            def __exit__(self, *_):
                file.close()

            def fileno(self):
                return file.fileno()

            def write(self, data):
                file.write(data[: len(data) // 2])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        return Full()

    monkeypatch.setattr("builtins.open", half)
    with pytest.raises(UndertowError, match=os.strerror(errno.ENOSPC)):
        save_checkpoint(tmp_path / "a", jnp.ones(100))
    monkeypatch.undo()
    assert files(tmp_path) == []


def test_an_interrupt_between_write_and_rename_changes_nothing(tmp_path, monkeypatch):
    save_checkpoint(tmp_path / "a", jnp.zeros(2))
    before = (tmp_path / "a").read_bytes()

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(tmp_path / "a", jnp.ones(2))
    monkeypatch.undo()
    assert (tmp_path / "a").read_bytes() == before and files(tmp_path) == ["a"]


def test_the_bytes_are_on_the_disk_before_the_name_and_the_name_before_the_return(tmp_path, monkeypatch):
    order = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, name=name, real=real: (order.append(name), real(*a))[1])
    _io.atomic_write_bytes(tmp_path / "a", b"x")
    assert order == ["fsync", "replace", "fsync"]


def test_a_missing_directory_is_said(tmp_path):
    with pytest.raises(UndertowError, match=r"cannot write .*No such file or directory"):
        save_checkpoint(tmp_path / "no" / "a", jnp.ones(1))


def test_values_that_cannot_be_stored(tmp_path):
    with pytest.raises(UndertowError, match="a shape but no values"):
        save_checkpoint(tmp_path / "a", jax.ShapeDtypeStruct((2,), float))
    with pytest.raises(UndertowError, match="cannot be stored"):
        save_checkpoint(tmp_path / "a", {"n": 1 << 80})
    with pytest.raises(UndertowError, match=r"value\['metadata'\]\['f'\] cannot be written as JSON"):
        save_checkpoint(tmp_path / "a", {}, {"f": object()})
    assert files(tmp_path) == []


def test_json_has_no_words_that_other_readers_refuse():
    text = _io.to_json({"a": float("nan"), "b": (np.float32(0.5), -np.inf), "c": jnp.arange(2), 3: os.curdir})
    assert json.loads(text, parse_constant=pytest.fail) == {"a": "nan", "b": [0.5, "-inf"], "c": [0, 1], "3": "."}


LIKE = {"a": jnp.ones((2, 3)), "key": jax.random.key(0), "z": np.ones(2, np.complex128), "n": 3}
ABOUT = {
    "run": "x", "preset": "p", "config": {"seed": 1}, "update": 4, "metrics": {"loss": 1.0},
    "best": {"metric": "loss", "mode": "min", "value": 1.0, "update": 4},
    "recorder": {
        "measured_at": 4, "begun": {"loss": 2.0}, "pending": {"loss": {"dtype": "float64", "values": [1.0]}}, "seconds": 1.0,
        "metrics_csv": {"bytes": 1, "sha256": "x", "header": "loss", "lines": ["x"]},
    },
}  # fmt: skip


def signed(header: dict[str, Any], payload: bytes) -> bytes:
    """The bytes of a checkpoint whose checksum fits, as somebody would make them who knows how."""
    metadata = {**header["__metadata__"], "sha256": checkpoint._NO_DIGEST}
    first = {"sha256": metadata.pop("sha256"), **metadata}
    rest = {name: entry for name, entry in header.items() if name != "__metadata__"}
    text = json.dumps({"__metadata__": first, **rest}, separators=(",", ":"))
    data = bytearray(struct.pack("<Q", len(text.encode())) + text.encode() + payload)
    data[checkpoint._DIGEST_AT] = hashlib.sha256(data).hexdigest().encode()
    return bytes(data)


@settings(max_examples=200)
@given(data=st.data())
def test_any_value_at_any_place_with_a_checksum_that_fits(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
):
    """It is read, or skipped with a word, or an error of one line says what is wrong."""
    folder = tmp_path_factory.mktemp("odd")
    file = folder / "best_update_000004.safetensors"
    save_checkpoint(file, LIKE, ABOUT)
    whole = file.read_bytes()
    (length,) = struct.unpack_from("<Q", whole)
    header = json.loads(whole[8 : 8 + length])
    about = json.loads(header["__metadata__"]["undertow"])
    new = data.draw(st.sampled_from((..., *ODD)))
    if data.draw(st.booleans()):
        about = put(about, data.draw(st.sampled_from(list(leaves(about)))), new)
        header["__metadata__"]["undertow"] = json.dumps(about)
    else:
        places = [path for path in leaves(header) if path and path[0] != "__metadata__"]
        header = put(header, data.draw(st.sampled_from(places)), new)
    file.write_bytes(signed(header, whole[8 + length :]))
    for call in (
        lambda: load_checkpoint(file, LIKE),
        lambda: load_checkpoint(file, LIKE["a"], subtree="['a']"),
        lambda: read_metadata(file),
        lambda: load_newest(folder, LIKE, "x"),
        lambda: newest_metadata(folder),
        lambda: rank_checkpoints(folder),
    ):
        try:
            call()
        except UndertowError as error:
            assert "\n" not in str(error)


def test_a_file_without_end_is_not_read(tmp_path: Path):
    file = tmp_path / "x.safetensors"
    save_checkpoint(file, jnp.ones(3))
    with open(file, "r+b") as grown:
        grown.truncate(1 << 42)
    with pytest.raises(UndertowError, match="bytes, at most .* were expected"):
        read_metadata(file)
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(UndertowError, match="is a pipe, but a file was expected"):
        read_metadata(file)

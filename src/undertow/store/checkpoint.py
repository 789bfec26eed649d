"""Checkpoints: any pytree of arrays as one file that is whole or absent.

A checkpoint is a safetensors file. Its tensors are the leaves, named by their path in the tree (`.layers[0].weight`).
Its metadata hold the format's version, the leaves' types, the caller's own JSON metadata, the versions it was written
by, and a SHA-256 over the whole file in which the digest's own 64 characters count as zeros: no byte can change unseen.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from undertow._checks import UndertowError, at_home, require
from undertow._io import atomic_write_bytes, to_json
from undertow._reader import LARGEST_TEXT, check_shape, parse_json, read_bytes
from undertow.store import _safetensors
from undertow.store.machine import package_version

__all__ = ["SUFFIX", "load_checkpoint", "read_metadata", "save_checkpoint"]

Tree = TypeVar("Tree")
SUFFIX = ".safetensors"
FORMAT_VERSION = 1

_NO_DIGEST = "0" * 64
# The digest is the first thing of the header, so it stands at the same place in every file.
_DIGEST_AT = slice(8 + len('{"__metadata__":{"sha256":"'), 8 + len('{"__metadata__":{"sha256":"') + 64)


def save_checkpoint(path: Path | str, tree: Any, metadata: Mapping[str, Any] | None = None) -> None:
    """Write the numbers of a pytree to `path`, atomically: a reader finds the old file or the new one, never a part.

    **Arguments**

    - `path`: the file; its directory must exist. An older file of that name is replaced.
    - `tree`: any pytree. jax and numpy arrays of every dtype, random key arrays and Python numbers are stored bit for
        bit; other leaves (functions, strings) are not, and are taken from `like` on loading.
    - `metadata`: a JSON dictionary that comes back from `load_checkpoint` and `read_metadata`. Numbers that are not
        finite come back as strings.

    **Raises** `UndertowError` with the system's reason if the file cannot be written (disk full, read-only): the older
    file is then untouched, and nothing is left beside it.
    """
    tensors, leaves = {}, {}
    for name, leaf in _stored_leaves(tree):
        leaves[name] = _describe(leaf)
        tensors[name] = _to_tensor(name, leaf)
    about = {
        "format": FORMAT_VERSION,
        "written_by": {package: package_version(package) for package in ("undertow", "jax")},
        "leaves": leaves,
        "metadata": dict(metadata or {}),
    }
    data = bytearray(_safetensors.encode(tensors, {"sha256": _NO_DIGEST, "undertow": to_json(about, indent=None)}))
    data[_DIGEST_AT] = hashlib.sha256(data).hexdigest().encode("ascii")
    atomic_write_bytes(path, bytes(data))


def load_checkpoint(path: Path | str, like: Tree, *, subtree: str = "") -> tuple[Tree, dict[str, Any]]:
    """Read a checkpoint into the structure of `like`.

    **Arguments**

    - `path`: the file.
    - `like`: a pytree of the structure, shapes and dtypes expected; its numbers are not used, so
        `equinox.filter_eval_shape` will do. Leaves that are not numbers are taken from it.
    - `subtree`: the path of the part of the file wanted, when it holds more than `like`: `".policy"` reads the policy
        alone out of a whole training state. Default: everything.

    **Returns** the tree and the metadata it was saved with.

    **Raises** `UndertowError`, one line that names the file: missing, truncated, damaged, foreign, of a later format,
    or of another shape, naming the first leaf that differs with what the file has and what was expected.
    """
    path = at_home(path)
    tensors, about = _read(path)
    found = {name[len(subtree) :]: text for name, text in about["leaves"].items() if _is_under(name, subtree)}
    require(bool(found) or not subtree, f"{path} holds nothing under {subtree!r}")
    wanted = {name: _describe(leaf) for name, leaf in _stored_leaves(like)}
    for name in (*wanted, *found):  # in the order of `like`, then what the file has beyond it
        if found.get(name) != wanted.get(name):
            raise UndertowError(
                f"{path} is a checkpoint of another shape: leaf {name or 'of the whole tree'} is "
                f"{found.get(name, 'absent')} in the file, but {wanted.get(name, 'absent')} was expected; "
                f"load it with the configuration it was saved with"
            )

    def restore(key_path: Any, leaf: Any) -> Any:
        if not _is_stored(leaf):
            return leaf
        name = jax.tree_util.keystr(key_path)
        return _from_tensor(path, name, tensors[subtree + name], leaf)

    return jax.tree_util.tree_map_with_path(restore, like), about["metadata"]


def read_metadata(path: Path | str) -> dict[str, Any]:
    """The metadata of a checkpoint, after the whole file has been checked. Raises as `load_checkpoint` does."""
    return _read(at_home(path))[1]["metadata"]


def _read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    require(os.path.lexists(path), f"there is no checkpoint {path}")
    try:
        # Its header says how long it is, so that what goes on for ever is not read.
        length = _safetensors.header_length(read_bytes(path, only=8))
        size = _safetensors.whole_length(read_bytes(path, only=8 + min(length, LARGEST_TEXT)))
        data = read_bytes(path, limit=size)
        tensors, metadata = _safetensors.decode(data)
    except UndertowError:
        raise
    except (ValueError, RecursionError) as error:
        raise UndertowError(f"{path} is truncated, damaged or not a checkpoint: {_one_line(error)}") from error
    require("undertow" in metadata and "sha256" in metadata, f"{path} is not a checkpoint of undertow's")
    blank = bytearray(data)
    blank[_DIGEST_AT] = _NO_DIGEST.encode("ascii")
    if data[_DIGEST_AT] != hashlib.sha256(blank).hexdigest().encode("ascii"):
        raise UndertowError(f"{path} is damaged: its checksum does not fit its contents; use another checkpoint")
    # A checksum is easily made: that it fits says nothing of who made it.
    about = parse_json(path, metadata["undertow"], {"format": int, "?written_by": {...: (str, None)}})
    require(
        about["format"] == FORMAT_VERSION,
        f"{path} has checkpoint format {about['format']}, this version reads {FORMAT_VERSION}; "
        f"it was written by undertow {about.get('written_by', {}).get('undertow')}",
    )
    check_shape(about, {"leaves": {...: str}, "metadata": dict}, path)
    for name in about["leaves"]:
        require(name in tensors, f"{path} is damaged: it tells of a leaf {name!r} and has none")
    return tensors, about


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:120]


def _is_under(name: str, subtree: str) -> bool:
    rest = name[len(subtree) :]
    return name.startswith(subtree) and (not subtree or not rest or rest[0] in ".[")


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, (jax.Array, jax.ShapeDtypeStruct, np.ndarray, np.generic))


def _is_stored(leaf: Any) -> bool:
    return _is_array(leaf) or isinstance(leaf, (bool, int, float, complex))


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _stored_leaves(tree: Any) -> list[tuple[str, Any]]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return [(jax.tree_util.keystr(path), leaf) for path, leaf in leaves if _is_stored(leaf)]


def _describe(leaf: Any) -> str:
    """A leaf's type, for people and for comparison: `float64[32, 5]`, `key<fry>[]`, `a Python float`."""
    if _is_array(leaf):
        return f"{leaf.dtype}{list(leaf.shape)}"
    return f"a Python {type(leaf).__name__}"


def _to_tensor(name: str, leaf: Any) -> np.ndarray:
    require(not isinstance(leaf, jax.ShapeDtypeStruct), f"leaf {name} has a shape but no values to save")
    array: np.ndarray = np.asarray(jax.random.key_data(leaf) if _is_array(leaf) and _is_key(leaf) else leaf)
    array = array.astype(array.dtype.newbyteorder("="), copy=False)  # numpy arrays may be foreign-endian
    if array.dtype == np.complex128:  # the format has no name for it: real and imaginary part, last axis 2
        return np.stack([array.real, array.imag], axis=-1)
    require(_safetensors.supports(array.dtype), f"leaf {name} cannot be stored: its dtype is {array.dtype}")
    return array


def _from_tensor(path: Path, name: str, tensor: np.ndarray, like: Any) -> Any:
    stored = _stored_as(like)
    require(
        (tensor.dtype, tensor.shape) == stored,
        f"{path} is damaged: leaf {name} is {tensor.dtype}{list(tensor.shape)}, {stored[0]}{list(stored[1])} was expected",
    )
    if not _is_array(like):
        if isinstance(like, complex):
            return complex(*tensor.tolist())
        return type(like)(tensor.item())
    if _is_key(like):
        return jax.random.wrap_key_data(jnp.array(tensor), impl=_key_implementation(like))
    if like.dtype == np.complex128:
        tensor = np.array(tensor).view(np.complex128)[..., 0]
    if isinstance(like, np.generic):
        return like.dtype.type(tensor.item())
    if isinstance(like, np.ndarray):
        return np.array(tensor)
    array = jnp.array(tensor)
    require(array.dtype == like.dtype, f"{path}: leaf {name} is {like.dtype}, which needs jax_enable_x64")
    return array


def _stored_as(leaf: Any) -> tuple[np.dtype, tuple[int, ...]]:
    """The type and shape of the tensor that `_to_tensor` makes of a leaf."""
    if not _is_array(leaf):
        leaf = np.asarray(leaf)
    elif _is_key(leaf):
        leaf = jax.eval_shape(jax.random.key_data, leaf)
    if leaf.dtype == np.complex128:
        return np.dtype(np.float64), (*leaf.shape, 2)
    return np.dtype(leaf.dtype).newbyteorder("="), tuple(leaf.shape)


def _key_implementation(like: Any) -> Any:
    if isinstance(like, jax.Array):
        return jax.random.key_impl(like)
    for name in ("threefry2x32", "rbg", "unsafe_rbg"):  # a bare shape has the dtype only
        if jax.eval_shape(lambda name=name: jax.random.key(0, impl=name)).dtype == like.dtype:
            return name
    raise UndertowError(f"random keys of type {like.dtype} can only be loaded into a key, not into a shape")

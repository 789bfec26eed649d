"""Agents of the published code, read from its checkpoint files."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from undertow._checks import UndertowError, at_home, require
from undertow.policies import archive
from undertow.policies.stencil import PairedPolicy
from undertow.schemes.coefficients import ORDERS

_NAMES = 2**20  # bytes of the list of names


def is_published(path: Path | str) -> bool:
    """Whether a file looks like a checkpoint of the published code: a zip archive, by its contents or its name."""
    path = at_home(path)
    return path.is_file() and (path.suffix == ".zip" or zipfile.is_zipfile(path))


def read_published(path: Path | str, *, activation: str = "relu") -> PairedPolicy:
    r"""The agent in a checkpoint of the code of arXiv 2203.08937 as a [`PairedPolicy`][undertow.policies.stencil.PairedPolicy].

    Such a file is a zip archive with the arrays' names (`parameter_list`, JSON) and values (`parameters`, NumPy's npz):
    `policy/fc0/kernel:0` of shape (in, out), `policy/fc0/bias:0`, ..., `policy/action/kernel:0`, `policy/action/bias:0` (older
    files say `policy_net`). Inputs are the $2(2r-1)$ values of both stencils, outputs the $2r$ logits, right-going first: this
    library's own order, so that nothing has to be permuted.

    **Arguments:** `path`; `activation` of the hidden layers, which the file does not tell (default `relu`, as published).

    **Returns:** the policy, of the order that its input width implies.

    **Raises:** `UndertowError` for a file that is not such a checkpoint, naming what is missing, of the wrong shape or not
    finite.
    """
    arrays = _read_arrays(at_home(path))
    kernels: list[jax.Array] = []
    biases: list[jax.Array] = []
    for layer in [*_hidden_layers(arrays), "action"]:
        for kind, parts in (("kernel", kernels), ("bias", biases)):
            name = f"{layer}/{kind}"
            require(name in arrays, f"{path} has no array {name}; it has {', '.join(sorted(arrays))}")
            require(
                arrays[name].ndim == (2 if kind == "kernel" else 1),
                f"{path}: array {name} has shape {arrays[name].shape}; a kernel has two axes, a bias one",
            )
            require(bool(np.isfinite(arrays[name]).all()), f"{path}: array {name} is not finite")
            parts.append(jnp.asarray(arrays[name]))
    sizes = [kernels[0].shape[0], *(kernel.shape[1] for kernel in kernels)]
    for kernel, bias, fan_in, fan_out in zip(kernels, biases, sizes[:-1], sizes[1:], strict=True):
        require(
            kernel.shape == (fan_in, fan_out) and bias.shape == (fan_out,),
            f"{path}: layers do not fit together, a kernel of shape {kernel.shape} with a bias of shape {bias.shape}",
        )
    r = sizes[-1] // 2
    order = 2 * r - 1
    require(
        2 * order == sizes[0] and sizes[-1] == 2 * r and order in ORDERS,
        f"{path}: {sizes[0]} inputs and {sizes[-1]} outputs belong to no order; order 2r-1 (3, 5, 7 ...) has 2(2r-1) and 2r",
    )
    policy = PairedPolicy(key=jax.random.key(0), order=order, hidden=tuple(sizes[1:-1]), activation=activation)
    return eqx.tree_at(lambda p: (p.network.kernels, p.network.biases), policy, (tuple(kernels), tuple(biases)))


def _hidden_layers(arrays: dict[str, np.ndarray]) -> list[str]:
    numbers = sorted(int(match[1]) for name in arrays if (match := re.fullmatch(r"fc(\d+)/kernel", name)))
    return [f"fc{number}" for number in numbers]


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays by layer and kind, such as `fc0/kernel`."""
    require(path.is_file(), f"{path} does not exist or is not a file; give a checkpoint (.zip) of the published code")
    try:
        size = path.stat().st_size
        if size > archive.LARGEST:
            raise ValueError(f"it has {size:,} bytes, at most {archive.LARGEST:,} are read")
        with zipfile.ZipFile(path) as outer:
            names: Any = json.loads(archive.member(outer, "parameter_list", _NAMES))
            if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
                raise ValueError("parameter_list is not a list of names")
            arrays = archive.arrays(archive.member(outer, "parameters"), names)
    except Exception as error:  # three readers at a file from anywhere: what they raise has no common name
        reason = " ".join(str(error).split())
        more = f": {reason[:300]}" if reason else f" ({type(error).__name__})"
        raise UndertowError(f"{path} is not a checkpoint of the published code{more}") from error
    return {re.sub(r"^policy(_net)?/|:0$", "", name): array for name, array in arrays.items()}

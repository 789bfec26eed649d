"""Evaluate an exported policy with numpy alone: this file, beside the artefact's, is all it takes.

    import portable

    policy = portable.load(".")      # the folder; checks versions, shapes and checksums
    weights = policy(stencils)       # a learned scheme: (2, ..., 2r-1) to (2, ..., r)
    action = policy(observation)     # a controller: (..., *observation) to (..., *action)

It imports numpy and the standard library, no other module of the package that wrote it. Python 3.8 and numpy 1.17 or newer.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, List, Tuple  # noqa: UP035  # for Python 3.8

import numpy as np

__all__ = ["FORMAT", "VERSION", "Policy", "PortableError", "checksum", "load", "read", "verify"]

FORMAT, VERSION = "undertow-policy", 1
DESCRIPTION, WEIGHTS = "policy.json", "policy.safetensors"

OLDEST_JAX = "0.9"  # that finds the number of devices in a program as it is written today
_LARGEST = 2**24  # bytes of a description, numbers of an observation: far more than any policy has
Network = List[Tuple[np.ndarray, np.ndarray]]  # noqa: UP006  # kernels (in, out) and biases, layer by layer


class PortableError(ValueError):
    """An artefact that is missing, damaged or of another version, or an input of another shape."""


# --- reading ----------------------------------------------------------------------------------------------------------


def load(folder: Path | str) -> Policy:
    """The policy in a folder that `undertow export` wrote.

    **Raises:** `PortableError` for a folder without one, another version, a checksum that does not fit, weights of other
    shapes than the description says, or a description that no policy can be made of.
    """
    folder = Path(folder).expanduser()
    document = describe(folder)
    tensors = _tensors(read(folder, WEIGHTS), folder / WEIGHTS)
    try:
        return Policy(document, tensors)._tried()
    except PortableError:
        raise
    except Exception as error:  # whatever a description with odd contents leads to
        raise PortableError(f"{folder / DESCRIPTION} describes no policy for this file: {error!r}") from error


def describe(folder: Path | str) -> dict[str, Any]:
    """What `policy.json` says, after format, version and checksum have been looked at."""
    path = Path(folder).expanduser() / DESCRIPTION
    data = _bytes(path, _LARGEST)
    try:
        document = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise PortableError(f"{path} is damaged: it is not valid JSON ({error})") from error
    ours = isinstance(document, dict) and document.get("format") == FORMAT
    _require(ours, f"{path} does not describe an exported policy: its format is not {FORMAT!r}")
    version = document.get("version")
    told = f"{path} has format version {version!r}, this file reads {VERSION}; use the portable.py beside it"
    _require(version == VERSION, told)
    whole = document.get("checksum") == checksum(document)
    _require(whole, f"{path} is damaged or was edited: its checksum does not fit its contents; export it again")
    return document


def checksum(document: Mapping[str, Any]) -> str:
    """SHA-256 of a description without its own `checksum`, as JSON with sorted keys and no spaces."""
    rest = {name: value for name, value in document.items() if name != "checksum"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode("ascii")).hexdigest()


def read(folder: Path | str, name: str) -> bytes:
    """The bytes of one of the artefact's files, whose checksum fits; of a program, that the JAX which is imported can read.
    For `policy.stablehlo`: `jax.export` checks neither."""
    path = Path(folder).expanduser() / name
    listed: Any = describe(folder).get("files")
    _require(isinstance(listed, dict), f"{path.parent / DESCRIPTION} lists no files; export it again")
    _require(name in listed, f"{path} is not a file of the artefact, which has {', '.join(sorted(listed))}")
    about = listed[name] if isinstance(listed[name], dict) else {}
    data = _bytes(path, about.get("bytes"))
    size = about["bytes"]
    _require(len(data) == size, f"{path} has {len(data)} bytes, {size} were expected: it was cut; export it again")
    whole = hashlib.sha256(data).hexdigest() == about.get("sha256")
    _require(whole, f"{path} is damaged: its checksum does not fit its contents; export it again")
    jax = getattr(sys.modules.get("jax"), "__version__", OLDEST_JAX) if name.endswith(".stablehlo") else OLDEST_JAX
    new = [int(n) for n in jax.split(".")[:2]] >= [int(n) for n in OLDEST_JAX.split(".")[:2]]
    _require(new, f"{path} is for JAX {OLDEST_JAX} or newer, and this is {jax}; numpy reads the rest")
    return data


def verify(folder: Path | str) -> list[str]:
    """Check every file of an artefact; returns their names. Raises as `load` does."""
    load(folder)
    names = sorted(describe(folder)["files"])
    for name in names:
        read(folder, name)
    return names


def _bytes(path: Path, most: Any) -> bytes:
    """What a file holds, if it is not larger than it may be."""
    try:
        # A pipe would be waited for, a device has no end.
        _require(path.is_file() or not path.exists(), f"{path} is not a file; give the folder of an exported policy")
        size = path.stat().st_size
        fits = isinstance(most, int) and size <= most
        _require(fits, f"{path} has {size} bytes, at most {most} were expected: it was replaced; export it again")
        with open(path, "rb") as file:
            return file.read(size)
    except FileNotFoundError:
        raise PortableError(f"{path} is missing; give the folder that `undertow export` wrote") from None
    except (OSError, MemoryError) as error:
        raise PortableError(f"cannot read {path}: {error!r}") from error


def _tensors(data: bytes, path: Path) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file: the header's length in 8 bytes, the header as JSON, the arrays' bytes."""
    kinds: dict[str, Any] = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8")}
    try:
        (length,) = struct.unpack_from("<Q", data)
        header = json.loads(data[8 : 8 + length])
        payload = memoryview(data)[8 + length :]
        tensors = {}
        for name, entry in header.items():
            if name != "__metadata__":
                begin, end = entry["data_offsets"]
                tensors[name] = np.frombuffer(payload[begin:end], kinds[entry["dtype"]]).reshape(entry["shape"])
    except (struct.error, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise PortableError(f"{path} is not a safetensors file of float32 or float64 arrays: {error!r}") from error
    return tensors


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise PortableError(message)


# --- the policy -------------------------------------------------------------------------------------------------------


class Policy:
    """A policy, in the precision of what it is given: float32 of float32, otherwise float64.

    - `document`: all of `policy.json`; `about`: its part about the policy.
    - `kind`: `directional` or `paired` (learned schemes), `mlp-controller` or `wave-controller`.
    """

    def __init__(self, document: dict[str, Any], tensors: dict[str, np.ndarray]):
        self.document, self.about = document, document["policy"]
        self.kind: str = self.about["kind"]
        kinds = ", ".join(sorted(_KINDS))
        _require(self.kind in _KINDS, f"a policy of kind {self.kind!r} is unknown to this file, which has {kinds}")
        for name, shape in self.about["tensors"].items():
            _require(name in tensors, f"{WEIGHTS} has no array {name!r}; export it again")
            found, wanted = tensors[name].shape, tuple(shape)
            _require(found == wanted, f"array {name!r} in {WEIGHTS} has shape {found}, {wanted} was expected")
            _require(bool(np.isfinite(tensors[name]).all()), f"array {name!r} in {WEIGHTS} is not finite")
        self._layers = [(layer["kernel"], layer["bias"]) for layer in self.about["network"]["layers"]]
        self._networks = {
            kind: [(tensors[k].astype(kind), tensors[b].astype(kind)) for k, b in self._layers]
            for kind in (np.float32, np.float64)
        }

    def __call__(self, observation: Any) -> np.ndarray:
        """The action: of a learned scheme the weights of every stencil.

        **Arguments:** `observation`: of a scheme `(2, ..., 2r-1)`: the stencils of the right-going and of the left-going
        flux, both from upwind to downwind; of a controller `(..., *shape)` with the shape of one observation.

        **Returns:** `(2, ..., r)`, or `(..., *shape)` with the shape of one action.
        """
        x = np.asarray(observation)
        _require(x.dtype.kind in "fiu", f"an observation holds real numbers, got an array of {x.dtype}")
        x = x if x.dtype == np.float32 else x.astype(np.float64)
        shape = tuple(self.about["observation"]["shape"])
        wanted = ", ".join(map(str, shape))
        fits = x.ndim >= len(shape) and x.shape[x.ndim - len(shape) :] == shape
        _require(fits, f"this policy takes observations of shape (..., {wanted}), got {x.shape}")
        return _KINDS[self.kind](self.about, self._networks[x.dtype.type], x)

    def _tried(self) -> Policy:
        """The policy, evaluated once, so that a description with a hole in it is found out when it is read."""
        seen, action = (tuple(self.about[part]["shape"]) for part in ("observation", "action"))
        sound = all(isinstance(n, int) and n > 0 for n in seen) and math.prod(seen) <= _LARGEST
        _require(sound, f"an observation of shape {seen} is none; export it again")
        with np.errstate(all="ignore"):
            made = self(np.zeros((2, 1, *seen))).shape[2:]
            _require(made == action, f"the policy's actions have shape {made}, {action} was expected; export it again")
            if "order" in self.about:
                self.fluxes(np.zeros((2, 1, *seen)))
        return self

    @property
    def order(self) -> int:
        """Formal order 2r-1 of a learned scheme's stencils."""
        _require("order" in self.about, f"a {self.kind} has no stencils")
        return int(self.about["order"])

    def stencils(self, rightward: Any, leftward: Any) -> np.ndarray:
        r"""The stencils at every face from split fluxes in a row of cells.

        **Arguments:** `rightward`, `leftward`: $f^\pm = \frac12 (f \pm \alpha u)$, `(..., cells)`, ghost cells at both ends
        included: with r of them at each end there is a stencil at every face of the cells between.

        **Returns:** `(2, ..., faces, 2r-1)`; those of the left-going flux are mirrored.
        """
        width = self.order + 1
        plus, minus = np.asarray(rightward), np.asarray(leftward)
        _require(
            plus.shape == minus.shape and plus.ndim >= 1 and plus.shape[-1] >= width,
            f"split fluxes have one shape, with at least {width} cells last; got {plus.shape} and {minus.shape}",
        )
        faces = plus.shape[-1] - width + 1
        right = [plus[..., m : m + faces] for m in range(width - 1)]
        left = [minus[..., m : m + faces] for m in range(width - 1, 0, -1)]
        return np.stack([np.stack(right, axis=-1), np.stack(left, axis=-1)])

    def fluxes(self, stencils: Any, weights: Any = None) -> np.ndarray:
        r"""The numerical flux at every face, $\hat f = \sum_\pm \sum_k w_k^\pm \sum_l a_{kl}\,q^\pm_{k+l}$.

        **Arguments:** `stencils` as in a call; `weights`: those of another policy (default: this one's).

        **Returns:** `(...)`, what stands between the first and the last axis of `stencils`.
        """
        order = self.order
        q = np.asarray(stencils)
        w = self(q) if weights is None else np.asarray(weights)
        table = np.asarray(self.about["reconstruction"], w.dtype)
        r = (order + 1) // 2
        _require(w.shape == (*q.shape[:-1], r), f"stencils of shape {q.shape} have weights (..., {r}), got {w.shape}")
        values = [sum(table[k, m] * q[..., k + m] for m in range(r)) for k in range(r)]
        return _total([w[..., k] * values[k] for k in range(r)]).sum(axis=0)


# --- what policies are made of ----------------------------------------------------------------------------------------


def _sigmoid(x: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-x))


ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x: np.where(x >= 0, x, x * x.dtype.type(0.01)),
    "silu": lambda x: x * _sigmoid(x),
    "softplus": lambda x: np.logaddexp(x, x.dtype.type(0)),
    "sigmoid": _sigmoid,
    "tanh": np.tanh,
}


def _total(terms: list[np.ndarray]) -> np.ndarray:
    """The sum, from the first term to the last: near constant stencils another order is another number."""
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def _pairs(first: Sequence[Any], second: Sequence[Any]) -> Iterable[tuple[Any, Any]]:
    """`zip` of two sequences of one length: older Pythons cannot check it themselves."""
    _require(len(first) == len(second), f"{len(first)} constants were described, {len(second)} are needed")
    return zip(first, second)  # noqa: B905


def _entries(x: np.ndarray) -> list[np.ndarray]:
    return [x[..., m] for m in range(x.shape[-1])]


def _mlp(about: Mapping[str, Any], network: Network, x: np.ndarray) -> np.ndarray:
    act = ACTIVATIONS[about["activation"]]
    for kernel, bias in network[:-1]:
        x = act(x @ kernel + bias)
    kernel, bias = network[-1]
    return x @ kernel + bias


def _z_score(about: Mapping[str, Any], x: np.ndarray) -> np.ndarray:
    """(x - mean) / (standard deviation + epsilon), clipped."""
    n, dtype = x.shape[-1], x.dtype.type
    inverse = dtype(1 / n)  # a product, as compilers make of a division by a constant
    apart = x - x[..., :1]  # the mean of equal numbers is then exact
    centred = apart - (_total(_entries(apart)) * inverse)[..., None]
    largest = np.abs(centred).max(axis=-1)
    size = np.where(largest < np.finfo(dtype).tiny, dtype(1), largest)  # no square overflows or vanishes
    scaled = centred / size[..., None]
    deviation = size * np.sqrt(_total(_entries(scaled * scaled))) * dtype(1 / np.sqrt(n))
    scaled = centred / (deviation + dtype(about["epsilon"]))[..., None]
    return np.clip(scaled, -dtype(about["clip"]), dtype(about["clip"]))


def _smooth_z_score(about: Mapping[str, Any], x: np.ndarray) -> np.ndarray:
    """(x - mean) / sqrt(variance + epsilon^2)."""
    n, dtype = x.shape[-1], x.dtype.type
    apart = x - x[..., :1]
    centred = apart - (_total(_entries(apart)) / dtype(n))[..., None]
    variance = _total(_entries(centred * centred)) / dtype(n)
    return centred / np.sqrt(variance + dtype(about["epsilon"] ** 2))[..., None]


NORMALISATIONS = {"z-score": _z_score, "smooth-z-score": _smooth_z_score}


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / _total(_entries(powers))[..., None]


def smoothness(about: Mapping[str, Any], stencil: np.ndarray) -> list[np.ndarray]:
    r"""$\beta_k = \sum_j c_{kj} (\sum_m L_{kjm}\,\delta_{k+m})^2$ of the differences $\delta_m = q_{m+1} - q_m$."""
    squares, scales = (np.asarray(about[name], stencil.dtype) for name in ("smoothness_squares", "smoothness_scales"))
    delta = _entries(stencil[..., 1:] - stencil[..., :-1])
    betas = []
    for k in range(len(squares)):
        rows = [
            _total([squares[k, j, m] * delta[k + m] for m in range(j, len(squares) - 1)])
            for j in range(len(squares) - 1)
        ]
        betas.append(_total([scales[k, j] * (row * row) for j, row in enumerate(rows)]))
    return betas


def _weno_z(about: Mapping[str, Any], betas: list[np.ndarray], tau: np.ndarray) -> np.ndarray:
    dtype = betas[0].dtype.type
    ratios = [np.abs(tau) / (beta + dtype(about["epsilon"])) for beta in betas]
    alphas = [dtype(d) * (1 + ratio ** about["power"]) for d, ratio in _pairs(about["linear_weights"], ratios)]
    return np.stack(alphas, axis=-1) / _total(alphas)[..., None]


def _gated(about: Mapping[str, Any], stencil: np.ndarray, logits: np.ndarray) -> np.ndarray:
    r"""$w_k \propto (\omega_k + g\,\delta)\,e^{g N_k}$ with WENO-Z's $\omega$ and the gate $g$."""
    dtype = stencil.dtype.type
    prior = about["prior"]
    betas = smoothness(prior, stencil)
    tau = _total([dtype(c) * beta for c, beta in _pairs(prior["global_smoothness"], betas)])
    ratio = tau / (_total(betas) + dtype(about["epsilon"] ** 2))
    gate = (ratio**2 / (ratio**2 + dtype(about["threshold"] ** 2)))[..., None]
    powers = (_weno_z(prior, betas, tau) + dtype(about["freedom"]) * gate) * np.exp(gate * logits)
    return powers / _total(_entries(powers))[..., None]


def _logits(about: Mapping[str, Any], network: Network, seen: np.ndarray) -> np.ndarray:
    """What the network says, within its bound where it has one."""
    logits = _mlp(about["network"], network, seen)
    if about["output"].get("bound") is None:
        return logits
    bound = logits.dtype.type(about["output"]["bound"])
    return bound * np.tanh(logits / bound)


def _directional(about: Mapping[str, Any], network: Network, stencil: np.ndarray) -> np.ndarray:
    logits = _logits(about, network, NORMALISATIONS[about["normalisation"]["kind"]](about["normalisation"], stencil))
    output = about["output"]
    return _softmax(logits) if output["kind"] == "softmax" else _gated(output, stencil, logits)


def _paired(about: Mapping[str, Any], network: Network, stencils: np.ndarray) -> np.ndarray:
    told = f"this policy sees both stencils of a face, (2, ..., {about['order']}), got {stencils.shape}"
    _require(stencils.ndim >= 2 and stencils.shape[0] == 2, told)
    z = NORMALISATIONS[about["normalisation"]["kind"]](about["normalisation"], stencils)
    logits = _logits(about, network, np.concatenate([z[0], z[1]], axis=-1))
    return np.stack([_softmax(part) for part in np.split(logits, 2, axis=-1)])


def _controller(about: Mapping[str, Any], network: Network, x: np.ndarray) -> np.ndarray:
    batch = x.shape[: x.ndim - len(about["observation"]["shape"])]
    action = _mlp(about["network"], network, x.reshape(*batch, math.prod(about["observation"]["shape"])))
    return action.reshape(*batch, *about["action"]["shape"])


def _wave_controller(about: Mapping[str, Any], network: Network, x: np.ndarray) -> np.ndarray:
    """Convolutions of width 3 and stride 2 over (..., points, channels), then a linear layer on all that is left."""
    act = ACTIVATIONS[about["network"]["activation"]]
    for kernel, bias in network[:-1]:
        count = (x.shape[-2] - 3) // 2 + 1
        windows = np.concatenate([x[..., k : k + 2 * count - 1 : 2, :] for k in range(3)], axis=-1)
        x = act(windows @ kernel + bias)
    kernel, bias = network[-1]
    return x.reshape(*x.shape[:-2], -1) @ kernel + bias


_KINDS: dict[str, Callable[[Mapping[str, Any], Network, np.ndarray], np.ndarray]] = {
    "directional": _directional,
    "paired": _paired,
    "mlp-controller": _controller,
    "wave-controller": _wave_controller,
}

"""What a policy is, as plain values and named arrays: enough to evaluate it from."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from undertow._checks import UndertowError, require
from undertow.core.policy import AbstractPolicy
from undertow.policies.controller import Controller, WaveController
from undertow.policies.network import MLP
from undertow.policies.normalise import z_score
from undertow.policies.stencil import DirectionalPolicy, PairedPolicy
from undertow.schemes.coefficients import substencil_width, weno_coefficients
from undertow.schemes.weights import GLOBAL_SMOOTHNESS, WenoZ

_STENCILS = (
    "axis 0: 0 the right-going, 1 the left-going split flux (f +- alpha u) / 2; last axis: values from upwind to downwind, "
    "so that the left-going one is mirrored. The cell just upwind of the face is at index r - 1; between the two: any axes"
)
_WEIGHTS = (
    "as the observation, with the weights of the r substencils last: substencil k holds values k .. k + r - 1, 0 is the most "
    "upwind. The flux at a face is the sum over both directions of sum_k w_k sum_l reconstruction[k][l] q[k + l]"
)


class Description(NamedTuple):
    """A policy for `policy.json`, and the arrays that it names."""

    about: dict[str, Any]
    tensors: dict[str, np.ndarray]


def describe_policy(policy: AbstractPolicy, precision: str, shape: tuple[int, ...] = ()) -> Description:
    """The description of a policy that the portable loader can evaluate.

    **Arguments:** `policy`; `precision` of the stored weights, `float32` or `float64`; `shape`: of one observation, where the
    policy does not fix it (the perceptron of a controller flattens what it sees).

    **Raises:** `UndertowError` for any other kind of policy, for one with parts that are not described, and for weights that
    are not finite or do not fit the precision.
    """
    network: MLP | WaveController
    if type(policy) is DirectionalPolicy:
        _only(policy, "network", "prior", "order", "noise", "bound", "epsilon", "threshold", "freedom")
        about, network = _directional(policy), policy.network
    elif type(policy) is PairedPolicy:
        _only(policy, "network", "order", "noise", "bound")
        about, network = _paired(policy), policy.network
    elif type(policy) is Controller:
        _only(policy, "network", "action_shape")
        about, network = _mlp_controller(policy, shape), policy.network
    elif type(policy) is WaveController:
        _only(policy, "kernels", "biases", "points", "activation")
        about, network = _wave_controller(policy), policy
    else:
        raise UndertowError(
            f"a {type(policy).__name__} cannot be exported: the numpy loader evaluates DirectionalPolicy, PairedPolicy, "
            "Controller and WaveController, and nothing that it cannot evaluate is written"
        )
    if isinstance(policy, (DirectionalPolicy, PairedPolicy)) and policy.bound is not None:
        about["output"] |= {"bound": policy.bound, "bounded": "N is taken as bound tanh(N / bound)"}
    layers, tensors = _layers(network, precision)
    about["network"] |= {"layers": layers, "parameters": sum(array.size for array in tensors.values())}
    shapes = {name: list(array.shape) for name, array in tensors.items()}
    return Description({**about, "precision": precision, "tensors": shapes}, tensors)


def _only(module: Any, *known: str) -> None:
    """A field that nobody here has heard of may change what the policy does: refuse rather than leave it out."""
    more = {field.name for field in dataclasses.fields(module)} - set(known)
    require(
        not more,
        f"a {type(module).__name__} with {', '.join(sorted(more))} cannot be exported: the description has no words for it",
    )


def _directional(policy: DirectionalPolicy) -> dict[str, Any]:
    output: dict[str, Any] = {"kind": "softmax"}
    if policy.prior is not None:
        prior: Any = policy.prior
        require(
            type(prior) is WenoZ,
            f"a DirectionalPolicy with the prior {type(prior).__name__} cannot be exported: the numpy loader has WenoZ's",
        )
        _only(prior, "order", "epsilon", "power")
        output = {
            "kind": "gated-log-prior",
            "formula": "w_k ~ (omega_k + g freedom) exp(g N_k), "
            "g = tau^2 / (tau^2 + threshold^2 (sum_m beta_m + epsilon^2)^2), tau = |sum_k c_k beta_k|",
            "epsilon": policy.epsilon,
            "threshold": policy.threshold,
            "freedom": policy.freedom,
            "prior": _weno_z(prior),
        }
    scaling = {
        "kind": "smooth-z-score",
        "formula": "(q - mean) / sqrt(variance + epsilon^2)",
        "epsilon": policy.epsilon,
    }
    return {
        "kind": "directional",
        "agents": "one per direction: a stencil in, its weights out, the same network for both",
        **_stencil_layout(policy.order),
        "normalisation": scaling,
        "network": _perceptron(policy.network),
        "output": output,
        "noise": policy.noise,
    }


def _paired(policy: PairedPolicy) -> dict[str, Any]:
    defaults = {name: each.default for name, each in inspect.signature(z_score).parameters.items() if name != "x"}
    return {
        "kind": "paired",
        "agents": "one per face: both stencils in (right-going first), both sets of weights out",
        **_stencil_layout(policy.order),
        "normalisation": {"kind": "z-score", "formula": "(q - mean) / (standard deviation + epsilon)", **defaults},
        "network": _perceptron(policy.network),
        "output": {"kind": "softmax", "of": "each direction's half of the logits"},
        "noise": policy.noise,
    }


def _stencil_layout(order: int) -> dict[str, Any]:
    return {
        "order": order,
        "substencils": substencil_width(order),
        "observation": {"shape": [order], "layout": _STENCILS},
        "action": {"shape": [substencil_width(order)], "layout": _WEIGHTS},
        "reconstruction": weno_coefficients(order).reconstruction.tolist(),
    }


def _weno_z(prior: WenoZ) -> dict[str, Any]:
    table = weno_coefficients(prior.order)
    return {
        "kind": "weno-z",
        "formula": "omega_k ~ d_k (1 + (tau / (beta_k + epsilon))^power), beta_k = sum_j c_kj (sum_m L_kjm delta_{k+m})^2, "
        "delta_m = q_{m+1} - q_m",
        "epsilon": prior.epsilon,
        "power": prior.power,
        "linear_weights": table.linear_weights.tolist(),
        "smoothness_squares": table.smoothness_squares.tolist(),
        "smoothness_scales": table.smoothness_scales.tolist(),
        "global_smoothness": list(GLOBAL_SMOOTHNESS[substencil_width(prior.order)]),
    }


def _mlp_controller(policy: Controller, shape: tuple[int, ...]) -> dict[str, Any]:
    shape = shape or policy.network.kernels[0].shape[:1]
    return {
        "kind": "mlp-controller",
        "observation": {"shape": list(shape), "layout": "flattened, the last axis fastest"},
        "action": {"shape": list(policy.action_shape), "bounds": None},
        "normalisation": {"kind": "none"},
        "network": _perceptron(policy.network),
        "output": {"kind": "action", "formula": "what the last layer gives: no bounds, no scaling"},
    }


def _wave_controller(policy: WaveController) -> dict[str, Any]:
    return {
        "kind": "wave-controller",
        "observation": {"shape": [policy.points, 2], "layout": "points, then real and imaginary part"},
        "action": {"shape": [1], "bounds": None},
        "normalisation": {"kind": "none"},
        "network": {
            "kind": "convolutions",
            "formula": "two convolutions of width 3 and stride 2 without padding, each followed by the activation (kernels take "
            "windows position by position, channels fastest); a linear layer on all that is left, points first",
            "activation": policy.activation,
        },
        "output": {"kind": "action", "formula": "what the last layer gives: no bounds, no scaling"},
    }


def _perceptron(network: MLP) -> dict[str, Any]:
    _only(network, "kernels", "biases", "activation")
    return {
        "kind": "mlp",
        "formula": "x @ kernel + bias, layer by layer, with the activation between two layers",
        "sizes": [network.kernels[0].shape[0], *(kernel.shape[1] for kernel in network.kernels)],
        "activation": network.activation,
    }


def _layers(network: MLP | WaveController, precision: str) -> tuple[list[dict[str, str]], dict[str, np.ndarray]]:
    layers, tensors = [], {}
    for number, parts in enumerate(zip(network.kernels, network.biases, strict=True)):
        names = {kind: f"layers.{number}.{kind}" for kind in ("kernel", "bias")}
        layers.append(names)
        for name, part in zip(names.values(), parts, strict=True):
            tensors[name] = _stored(name, part, precision)
    return layers, tensors


def _stored(name: str, array: jax.Array, precision: str) -> np.ndarray:
    values = np.asarray(array)
    require(
        bool(np.isfinite(values).all()),
        f"{name} of the policy is not finite, and a policy with such weights has no use",
    )
    stored = values.astype(precision)
    require(
        bool((stored == values).all()),
        f"{name} of the policy does not fit {precision}: its {values.dtype} has more digits",
    )
    return stored


def constants(module: Any) -> Mapping[str, Any]:
    """The kind of a part of a scheme or system, and its numbers: every field that is one."""
    if not dataclasses.is_dataclass(module):  # a function of somebody's own
        return {"kind": getattr(module, "__name__", type(module).__name__)}
    numbers = {field.name: getattr(module, field.name) for field in dataclasses.fields(module)}
    plain = {name: _plain(value) for name, value in numbers.items()}
    return {"kind": type(module).__name__, **{name: value for name, value in plain.items() if value is not None}}


def _plain(value: Any) -> Any:
    if isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, tuple) and all(_plain(each) is not None for each in value):
        return [_plain(each) for each in value]
    if isinstance(value, (jax.Array, np.ndarray)) and value.ndim == 0:
        return value.item()
    return None

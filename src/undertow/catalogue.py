"""What there is to choose from, by name: the registries of all rooms side by side."""

from __future__ import annotations

from typing import get_args

from undertow.assembly.control_judge import CONTROL_SUITES
from undertow.core.gradient import GRADIENTS
from undertow.envs.suites import SUITES
from undertow.laws.catalogue import LAWS, plane_name
from undertow.laws.planes import PLANE_CASES
from undertow.numerics.boundary import BOUNDARIES
from undertow.numerics.integrator import INTEGRATORS
from undertow.policies.classical import CLASSICAL
from undertow.policies.network import ACTIVATIONS
from undertow.presets import PRESETS
from undertow.reproduction.grid import COMPARISONS
from undertow.schemes.splitting import SPEEDS
from undertow.training.optimizer import Name

ABOUT_GRADIENTS = {
    "full": "backpropagation through time (published: regular)",
    "physics": "through the physics, not through the policy's input (modified)",
    "policy": "through the policy's input, not through the physics",
    "stop": "every action is credited with its own step (one-step)",
    "sign-agreement": "physics' components whose sign full's share (combined)",
    "sign-agreement-swapped": "full's components whose sign physics' share",
    "tensor-agreement": "physics' tensors that do not oppose full's",
    "soft-agreement": "physics' components, less of them the less full's agree",
    "conflict-projection": "physics', without what opposes full's (PCGrad)",
    "norm-balanced": "full, every step's share brought to one size",
    "evolution-strategy": "from losses alone, at random weights around the policy's",
}


def catalogue() -> dict[str, dict[str, str]]:
    """Every name there is to choose from and a word about it, by kind."""
    from undertow.games.registry import GAMES  # not at the top: `import undertow` plays no games

    return {
        "presets": {name: each.description for name, each in PRESETS.items()},
        "laws": {name: entry.about for name, entry in LAWS.items()},
        **{entry.line.title: {name: each.about for name, each in entry.line.cases.items()} for entry in LAWS.values()},
        "plane cases": {
            **{
                plane_name(name): each.about
                for name, each in PLANE_CASES.items()
                if not name.startswith(("1d-", "combo-"))
            },
            "1d-CASE-x, 1d-CASE-y": "every gas case and Burgers condition, along one axis",
            "combo-CASE-CASE": "two of Burgers' conditions, one along each axis (arXiv 2203.08937, code)",
        },
        "policies": dict.fromkeys(CLASSICAL, "")
        | {
            "directional": "learned",
            "paired": "learned, as published",
            "mlp": "controller",
            "cnn": "controller of waves",
        },
        "games": {id: spec.summary for id, spec in GAMES.items()},
        "published comparisons": {name: f"undertow reproduce {name}" for name in COMPARISONS},
        "suites": {name: getattr(each, "summary", "") for name, each in SUITES.items()}
        | {name: f"controllers: {about}" for name, about in CONTROL_SUITES.items()},
        "integrators": {name: f"order {each.order}, {each.num_stages} stages" for name, each in INTEGRATORS.items()},
        "boundaries": dict.fromkeys(BOUNDARIES, ""),
        "speeds": dict.fromkeys(SPEEDS, ""),
        "gradients": {name: ABOUT_GRADIENTS.get(name, "") for name in GRADIENTS},
        "activations": dict.fromkeys(ACTIVATIONS, ""),
        "optimizers": dict.fromkeys(get_args(Name), ""),
    }

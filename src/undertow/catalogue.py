"""What there is to choose from, by name: the registries of all rooms side by side."""

from __future__ import annotations

from typing import get_args

from undertow.core.gradient import GRADIENTS
from undertow.envs.suites import SUITES
from undertow.laws.burgers_conditions import BURGERS_CONDITIONS
from undertow.numerics.boundary import BOUNDARIES
from undertow.numerics.integrator import INTEGRATORS
from undertow.policies.classical import CLASSICAL
from undertow.policies.network import ACTIVATIONS
from undertow.presets import PRESETS
from undertow.schemes.splitting import SPEEDS
from undertow.training.optimizer import Name


def catalogue() -> dict[str, dict[str, str]]:
    """Every name there is to choose from and a word about it, by kind."""
    return {
        "presets": {name: each.description for name, each in PRESETS.items()},
        "conditions": {
            name: f"{family.formula} ({family.boundary}{', random parameters' if family.draw else ''})"
            for name, family in BURGERS_CONDITIONS.items()
        },
        "policies": dict.fromkeys(CLASSICAL, "") | {"directional": "learned", "paired": "learned, as published"},
        "suites": {name: getattr(each, "summary", "") for name, each in SUITES.items()},
        "integrators": {name: f"order {each.order}, {each.num_stages} stages" for name, each in INTEGRATORS.items()},
        "boundaries": dict.fromkeys(BOUNDARIES, ""),
        "speeds": dict.fromkeys(SPEEDS, ""),
        "gradients": dict.fromkeys(GRADIENTS, ""),
        "activations": dict.fromkeys(ACTIVATIONS, ""),
        "optimizers": dict.fromkeys(get_args(Name), ""),
    }

r"""The solver and the simulators as games for reinforcement learning, with pure functions or through other libraries.

- `make` gives a game and its parameters: `reset(key, params)` and `step(key, state, action, params)`, for JAX.
- `undertow.games.gymnasium` registers them with Gymnasium, one at a time and many in one call (the extra `gymnasium`).
- `undertow.games.pettingzoo` has an agent per face (the extra `pettingzoo`).
"""

from undertow.games.actions import ACTIONS, AbstractActions, Flux, Lattice, Logits, Simplex, SplitFlux
from undertow.games.control import ControlEpisode, ControlGame, ControlParams
from undertow.games.fields import Episode, FieldGame, FieldParams
from undertow.games.game import AbstractGame, Space
from undertow.games.registry import GAMES, REWARDS, make

__all__ = [
    "ACTIONS",
    "GAMES",
    "REWARDS",
    "AbstractActions",
    "AbstractGame",
    "ControlEpisode",
    "ControlGame",
    "ControlParams",
    "Episode",
    "FieldGame",
    "FieldParams",
    "Flux",
    "Lattice",
    "Logits",
    "Simplex",
    "Space",
    "SplitFlux",
    "make",
]

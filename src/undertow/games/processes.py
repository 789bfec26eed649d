"""Games in several processes: why a fork cannot play, said before it hangs."""

from __future__ import annotations

import os
import sys

from undertow._checks import require

_stopped = False


def _in_use() -> bool:
    """Whether JAX has begun to work, and with it threads that a fork does not have."""
    bridge = sys.modules.get("jax._src.xla_bridge")
    begun = getattr(bridge, "backends_are_initialized", None)
    return begun is None or bool(begun())


def _after_fork() -> None:
    global _stopped
    _stopped = _stopped or _in_use()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def require_no_fork() -> None:
    """Raise `UndertowError` in a process that was forked from one in which JAX was at work: its first program never ends."""
    require(
        not _stopped,
        "this process was forked from one in which JAX was at work, where a game would hang; start processes with spawn: "
        "context='spawn' of Gymnasium's AsyncVectorEnv, start_method='spawn' of Stable-Baselines3's SubprocVecEnv",
    )

"""Programs that are compiled fast instead of running fast: most of what the tests run, they run once."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import jax

QUICK = os.environ.get("JAX_DISABLE_MOST_OPTIMIZATIONS") is None
"""JAX_DISABLE_MOST_OPTIMIZATIONS=0 in the environment compiles everything as users do."""
_quickly = False


def switch(quickly: bool) -> None:
    """Whether what is compiled from now on is to be compiled fast."""
    global _quickly
    _quickly = quickly
    jax.config.update("jax_disable_most_optimizations", quickly)


def compile_quickly() -> None:
    """From now on, unless the environment says otherwise."""
    if not QUICK:
        return
    switch(True)
    # XLA's newer generator of CPU code takes three times as long to compile a training as its older one. The flag for it
    # is of a whole process, but some tests need programs as users have them: so it goes where JAX makes its options.
    # Where that has moved, the tests are slower and no worse.
    with contextlib.suppress(ImportError, AttributeError):
        from jax._src import compiler

        made = compiler.get_compile_options

        def get_compile_options(*args: Any, **kwargs: Any) -> Any:
            options = made(*args, **kwargs)
            if _quickly and jax.default_backend() == "cpu":
                options.env_option_overrides = [*options.env_option_overrides, ("xla_cpu_use_fusion_emitters", False)]
            return options

        compiler.get_compile_options = get_compile_options


@contextlib.contextmanager
def as_users_do() -> Iterator[None]:
    """What is compiled in here is optimised as it is for users; for what is compared bit for bit, or close to that."""
    before = _quickly
    switch(False)
    try:
        yield
    finally:
        switch(before)

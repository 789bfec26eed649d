"""What every test shares: double precision, and the way to recorded reference data."""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import settings

# Orders of accuracy and exact solutions are told apart below single precision. The platform stays as it is found.
jax.config.update("jax_enable_x64", True)

QUICK = os.environ.get("JAX_DISABLE_MOST_OPTIMIZATIONS") is None
"""JAX_DISABLE_MOST_OPTIMIZATIONS=0 in the environment compiles everything as users do."""
FAST_TO_COMPILE = {"xla_cpu_use_fusion_emitters": False, "xla_cpu_parallel_codegen_split_count": 1}
_quickly = False


def switch(quickly: bool) -> None:
    """Whether what is compiled from now on is to be compiled fast."""
    global _quickly
    _quickly = quickly
    jax.config.update("jax_disable_most_optimizations", quickly)


def compile_quickly() -> None:
    """From now on, unless the environment says otherwise: most of what the tests compile, they run once."""
    if not QUICK:
        return
    switch(True)
    # XLA's newer generator of CPU code takes three times as long to compile a training as its older one, and many parts
    # longer than one. The flags are of a whole process, but some tests need programs as users have them: so they go where
    # JAX makes its options. And JAX makes an MLIR context for every program, which is a tenth of the time of a small one,
    # and keeps it, which is half of the memory: one for all will do. Where these places have moved, or XLA knows the
    # flags no more, the tests are slower and no worse, and this can go.
    with contextlib.suppress(ImportError, AttributeError):
        from jax._src import compiler
        from jax._src.interpreters import mlir

        made = compiler.get_compile_options

        def get_compile_options(*args: Any, **kwargs: Any) -> Any:
            options = made(*args, **kwargs)
            if _quickly and jax.default_backend() == "cpu":
                options.env_option_overrides = [*options.env_option_overrides, *FAST_TO_COMPILE.items()]
            return options

        compiler.get_compile_options = get_compile_options
        mlir.make_ir_context = functools.cache(mlir.make_ir_context)


@contextlib.contextmanager
def as_users_do() -> Iterator[None]:
    """What is compiled in here is optimised as it is for users; for what is compared bit for bit, or close to that."""
    before = _quickly
    switch(False)
    try:
        yield
    finally:
        switch(before)


compile_quickly()

# A job in the background has Ctrl-C ignored, and undertow leaves that so; here it is tried what it does.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Many tests train the same small run: what one has compiled another finds, in a folder of this process's own (a file that
# another one is writing could be read), made anew each time.
PROGRAMS = tempfile.mkdtemp(prefix="undertow-tests-")
atexit.register(shutil.rmtree, PROGRAMS, ignore_errors=True)
jax.config.update("jax_compilation_cache_dir", PROGRAMS)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)  # smaller ones are made faster than found

# Traced programs are many small objects that stay: looking through them for garbage as often as usual takes a twentieth
# of the time.
gc.set_threshold(20_000, 20, 50)

# The same examples in every run; the first one may compile.
settings.register_profile("repeatable", derandomize=True, deadline=None, database=None, max_examples=50)
settings.load_profile("repeatable")

REPOSITORY = Path(__file__).resolve().parents[1]
REFERENCE = Path(os.environ.get("UNDERTOW_REFERENCE", REPOSITORY.parent / "shared" / "reference"))


# Every compiled program is several pieces of mapped memory. Linux gives a process 65530; the compiler crashes beyond. No
# module of tests makes as many as are left here, and what is forgotten has to be made again.
MAPS, MANY = Path("/proc/self/maps"), 40_000


@pytest.fixture(scope="module", autouse=True)
def few_programs() -> Iterator[None]:
    """Forget the compiled programs after a module of tests, where there are many."""
    yield
    if MAPS.exists() and MAPS.read_bytes().count(b"\n") > MANY:
        jax.clear_caches()
        gc.collect()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> Iterator[None]:
    """What was logged about odd names may hold half a character, which a report cannot take to another process."""
    report = yield
    report.sections = [
        (name, text.encode("utf-8", "backslashreplace").decode("utf-8")) for name, text in report.sections
    ]
    return report


@pytest.fixture(scope="session")
def reference_dir() -> Path:
    """The folder of arrays recorded from other programs, beside the checkout or at $UNDERTOW_REFERENCE; else a skip."""
    if not REFERENCE.is_dir():
        pytest.skip(f"no reference data at {REFERENCE}; UNDERTOW_REFERENCE names another folder")
    return REFERENCE


@pytest.fixture
def optimised() -> Iterator[None]:
    """What the test compiles is optimised as it is for users."""
    with as_users_do():
        yield


@pytest.fixture(scope="session")
def as_users() -> Callable:
    """The context in which programs are compiled as users have them, for fixtures that outlive a test."""
    return as_users_do


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers, the same in every run and for every test."""
    return np.random.default_rng(0)

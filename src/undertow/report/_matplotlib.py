"""Matplotlib, whatever surrounds it: a back end that is not there, an rc file that is somebody's journal's or broken."""

from __future__ import annotations

import contextlib
import functools
import importlib
import logging
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
_log = logging.getLogger(__name__)


def load() -> None:
    """Import matplotlib, unless it has been.

    A notebook tells its programs by `MPLBACKEND` how to show figures. Where what it names is not installed matplotlib cannot be
    imported at all, though nothing here needs a back end.
    """
    if "matplotlib" in sys.modules:
        return
    backend = os.environ.pop("MPLBACKEND", None)
    try:
        try:
            importlib.import_module("matplotlib")
        except ImportError:
            raise
        except Exception as error:  # at an rc file that is broken
            _log.warning("matplotlib's rc file is left out (%s)", " ".join(str(error).split()))
            _load_without_rc()
        if backend is not None:
            with contextlib.suppress(ValueError):
                sys.modules["matplotlib"].rcParams["backend"] = backend  # as it would have taken it itself
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend


def _load_without_rc() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        del sys.modules[name]
    given = os.environ.get("MATPLOTLIBRC")
    os.environ["MATPLOTLIBRC"] = os.devnull
    try:
        importlib.import_module("matplotlib")
    finally:
        if given is None:
            del os.environ["MATPLOTLIBRC"]
        else:
            os.environ["MATPLOTLIBRC"] = given


_inside = threading.local()
_NOT_LOOKS = ("backend", "interactive", "toolbar", "timezone", "date.epoch", "docstring.hardcopy", "backend_fallback")


@functools.cache
def _looks() -> dict[str, Any]:
    """Matplotlib's own settings, as they are without anybody's rc file."""
    import matplotlib

    default = matplotlib.rcParamsDefault
    return {name: dict.__getitem__(default, name) for name in default if name not in _NOT_LOOKS}


@contextlib.contextmanager
def own_look() -> Iterator[None]:
    """Figures are made and drawn with settings that no rc file changes, and whoever called finds his own again."""
    import matplotlib

    if getattr(_inside, "deep", False):
        yield
        return
    _inside.deep = True
    try:
        with matplotlib.rc_context(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
            settings: Any = matplotlib.rcParams
            dict.update(settings, _looks())
            yield
    finally:
        _inside.deep = False


def drawn(function: Callable[P, R]) -> Callable[P, R]:
    """A function that makes a figure, or part of one, with `own_look`."""

    @functools.wraps(function)
    def within(*arguments: P.args, **keywords: P.kwargs) -> R:
        with own_look():
            return function(*arguments, **keywords)

    return within

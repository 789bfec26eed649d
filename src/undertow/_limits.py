"""Whether this machine can bear what is asked of it: memory, disk and time, estimated before anything is begun.

What needs room says so as a list of `Need`s, lower bounds that follow from shapes and counts. `require_memory`,
`require_disk` and `require_time` compare their sum with what there is and refuse in one line: what it would take, what there
is, what to change. A lower bound refuses only what certainly cannot work.
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax

from undertow._checks import UndertowError

SHARE = 0.9
"""Of the free memory or disk that one piece of work may need; the rest is for everything else."""
PATIENCE = 3600.0
"""Seconds. What certainly takes longer is begun only where `long` says so."""


class NoRoomError(UndertowError):
    """Memory or disk is not enough, which says nothing of tomorrow or of another machine."""


class Need(NamedTuple):
    """What something takes at least: `what` in plain words, `amount` in bytes or seconds, and which options to `change`."""

    what: str
    amount: float
    change: str


# --- what there is ----------------------------------------------------------------------------------------------------


def free_memory(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> float | None:
    """Bytes of memory that this process can still take; None where nothing tells.

    The least of what the system has left (where it does not say so: all it has), of the limits of the control groups around
    this process, and of its own limit of address space. `proc` and `groups` are where Linux tells.
    """
    found = [_system_memory(proc), _group_memory(proc, groups), _address_space(proc)]
    known = [each for each in found if each is not None]
    return max(0.0, min(known)) if known else None


def free_device_memory() -> float | None:
    """Bytes that arrays can still take: on a CPU those of `free_memory`, else those of the device; None if unknown."""
    device = jax.devices()[0]
    if device.platform == "cpu":
        return free_memory()
    try:
        told = device.memory_stats() or {}
    except jax.errors.JaxRuntimeError:  # a device that keeps no account
        told = {}
    return told["bytes_limit"] - told.get("bytes_in_use", 0) if "bytes_limit" in told else None


def free_disk(folder: Path | str) -> float | None:
    """Bytes that can still be written into `folder`, or into what will be its nearest parent; None if unknown."""
    place = Path(folder).absolute()
    while not place.is_dir() and place != place.parent:
        place = place.parent
    try:
        return float(shutil.disk_usage(place).free)
    except OSError:
        return None


def cores() -> int:
    """How many processors this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _system_memory(proc: Path) -> float | None:
    for line in _read(proc / "meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return 1024.0 * int(line.split()[1])
    try:
        return float(os.sysconf("SC_PHYS_PAGES")) * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _group_memory(proc: Path, groups: Path) -> float | None:
    """The closest of the limits of this process's control groups and of those that they lie in."""
    found = []
    for line in _read(proc / "self" / "cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        roots: tuple[Path, ...]
        if number == "0" and not controllers:
            roots, names = (groups, groups / "unified"), ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            old = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            roots, names = (groups / "memory",), old
        else:
            continue
        inside = Path(path.lstrip("/"))
        for root in roots:
            found += [_left_in_group(root / part, *names) for part in (inside, *inside.parents)]
    return min((each for each in found if each is not None), default=None)


def _left_in_group(folder: Path, limit: str, usage: str, reclaimable: str) -> float | None:
    most, used = _read(folder / limit).strip(), _read(folder / usage).strip()
    if not most.isdigit() or not used.isdigit() or int(most) > 2**60:  # "max", or the old way to say so
        return None
    caches = [line.split() for line in _read(folder / "memory.stat").splitlines()]
    given_back = sum(int(value) for name, value in (pair for pair in caches if len(pair) == 2) if name == reclaimable)
    return float(int(most) - int(used) + given_back)


def _address_space(proc: Path) -> float | None:
    try:
        import resource  # not on every system
    except ImportError:
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY or limit < 0:
        return None
    pages = _read(proc / "self" / "statm").split()
    return float(limit) - (int(pages[0]) * os.sysconf("SC_PAGE_SIZE") if pages else 0)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


# --- what things take -------------------------------------------------------------------------------------------------
# Far below what was measured on any machine, so that what follows from them is a lower bound.

STEP_SECONDS = 2e-6
"""One stage of a time step, or one step of a controlled system, forward, however small."""
BACKWARD = 4
"""How many times as long a step takes in training: forward, again when going back, and the way back, which is two."""
CELL_SECONDS = 4e-9
"""One component of one cell in one stage, on one core."""


def least_seconds(stages: float, cells: float, parameters: float = 0, *, training: bool = False) -> float:
    """Seconds that so many stages one after another take at least, of so many `cells` (values that change) at a time.

    **Arguments:** `parameters`: of a network that is asked in every cell.
    """
    if jax.devices()[0].platform == "cpu":
        per_cell = CELL_SECONDS + 2 * parameters / 2e11
        # Small steps keep one core busy, whatever there is; the products of large networks more.
        share = cells / min(cores(), 1 + cells * (1 + parameters / 1000) / 4096)
    else:
        per_cell, share = CELL_SECONDS / 1e3 + 2 * parameters / 1e15, cells
    return stages * max(STEP_SECONDS, per_cell * share) * (BACKWARD if training else 1)


def sum_bytes(tree: object) -> float:
    """Bytes of the arrays, or of the descriptions of arrays, in a pytree."""
    leaves = [leaf for leaf in jax.tree.leaves(tree) if hasattr(leaf, "shape") and hasattr(leaf, "dtype")]
    return float(sum(math.prod(leaf.shape) * getattr(leaf.dtype, "itemsize", 8) for leaf in leaves))


# --- refusing ---------------------------------------------------------------------------------------------------------


def require_memory(needs: Iterable[Need], *, host: bool = False) -> None:
    """Raise `NoRoomError` if these needs, in bytes and all at one time, are more than the memory that is free.

    `host`: of the machine, where arrays may lie in the memory of a device.
    """
    _require_room(list(needs), "memory", free_memory() if host else free_device_memory(), "")


def require_program(program: Any, change: str) -> None:
    """Raise `NoRoomError` if a compiled program of JAX, whose input is there already, needs more memory than is free.

    This is no lower bound but the number itself: the compiler has laid the memory out.
    """
    try:
        told = program.memory_analysis()
    except (NotImplementedError, jax.errors.JaxRuntimeError):  # a device that keeps no account
        return
    if told is not None:
        amount = float(told.temp_size_in_bytes + told.output_size_in_bytes)
        require_memory([Need("the compiled training", amount, change)])


def require_disk(needs: Iterable[Need], folder: Path | str) -> None:
    """Raise `NoRoomError` if these needs, in bytes, are more than can be written into `folder`."""
    _require_room(list(needs), "disk", free_disk(folder), f" in {folder}")


def require_time(needs: Iterable[Need], *, long: bool = False) -> None:
    """Raise `UndertowError` if these needs, in seconds, add up to hours, unless `long` says that this is meant."""
    needs = list(needs)
    total = sum(need.amount for need in needs)
    if long or not total > PATIENCE:
        return
    largest = max(needs, key=lambda need: need.amount)
    raise UndertowError(
        f"this takes at least {duration(total)}, for {largest.what}: lower {largest.change}, "
        "or start it all the same with --long (in Python long=True)"
    )


def _require_room(needs: Sequence[Need], kind: str, free: float | None, where: str) -> None:
    total = sum(need.amount for need in needs)
    if free is None or total <= SHARE * free:
        return
    largest = max(needs, key=lambda need: need.amount)
    raise NoRoomError(
        f"this needs at least {size(total)} of {kind}, for {largest.what}, and {size(free)} are free{where}: "
        f"lower {largest.change}"
    )


# --- in words ---------------------------------------------------------------------------------------------------------


def size(amount: float) -> str:
    """Bytes as people say them: `1.5 GB`."""
    for unit in ("bytes", "kB", "MB", "GB", "TB", "PB"):
        if amount < 999.5 or unit == "PB":
            return f"{amount:.3g} {unit}"
        amount /= 1000
    raise AssertionError


def duration(seconds: float) -> str:
    """Seconds as people say them: `3.5 hours`."""
    if not seconds < 1000 * 365.25 * 86400:
        return "a thousand years"
    for length, unit in ((365.25 * 86400, "years"), (86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds / 60:.3g} minutes" if seconds >= 60 else f"{seconds:.3g} seconds"


def number(count: float) -> str:
    """A count as people read it: `1,000,000`; from a thousand million million on in powers of ten."""
    return f"{count:,.0f}" if count < 1e15 else f"{real(count):.3g}"


def real(count: float) -> float:
    """A count of any size as a floating-point number, so that products of such counts are numbers, too."""
    try:
        return float(count)
    except OverflowError:
        return math.inf


# --- the last resort --------------------------------------------------------------------------------------------------

OUT_OF_MEMORY = (MemoryError, RuntimeError, ValueError)
"""What may say that memory was not enough: JAX's errors are `RuntimeError`s."""
_FULL = ("RESOURCE_EXHAUSTED", "Out of memory", "out of memory", "Unable to allocate", "bad_alloc")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of Python, numpy or JAX says that memory was not enough."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, OUT_OF_MEMORY) and any(word in str(error) for word in _FULL)


@contextlib.contextmanager
def out_of_memory_told(change: str) -> Iterator[None]:
    """What runs out of memory in here, or in a function with this as its decorator, ends in an `UndertowError` of one line.

    `change`: what to do about it, after "take".
    """
    try:
        yield
    except UndertowError:
        raise
    except OUT_OF_MEMORY as error:
        if not is_out_of_memory(error):
            raise
        free = free_device_memory()
        told = "" if free is None else f", of which {size(free)} are free"
        raise NoRoomError(f"out of memory{told}; take {change}") from error

"""Draw command lines, run each as a process of its own, and check what it leaves.

    python -m validation.fuzz --commands 500 --seed 1
    python -m validation.fuzz --only "simulate sod --dt 1e-300"          # one of them again

Every command runs in a fresh directory, with a limit of its address space and its time. It fails with a traceback, an exit
code that is none of 0, 1, 2 and 128 + a signal, a message of several lines, a file that a refused command (exit code 2) left
or changed, a process that outlives it, or a peak of memory above the bound. What ran into the time limit is counted apart.
Prints what failed, and a table of the exit codes; the exit code is 1 if anything failed.

The server that the commands are forked from has imported everything and started nothing, so that a refused command takes a
tenth of a second. The first command lines are those of the reports that this was written after.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import gc
import itertools
import os
import random
import resource
import shlex
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from validation.command_lines import BASE, CONTROLLER, FILES, REPORTED, SCHEME, drawn

GIB = 2**30
CODES = {0, 1, 2, *(128 + number for number in (signal.SIGINT, signal.SIGTERM))}


@dataclass
class Limits:
    """Of every command."""

    address_space: int = 12 * GIB
    memory: int = 8 * GIB
    seconds: float = 60.0


@dataclass
class Outcome:
    """What a command did."""

    words: list[str]
    code: int = 0
    seconds: float = 0.0
    peak: int = 0
    timed_out: bool = False
    said: str = ""
    faults: list[str] = field(default_factory=list)


def run(words: list[str], given: Path, limits: Limits) -> Outcome:
    """One command in a child process and an empty directory, beside copies of `given` and `FILES`."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        outer = Path(name)
        place = outer / "place"
        place.mkdir()
        shutil.copytree(given, place / "given")
        for file, text in FILES.items():
            (place / file).write_text(text)
        before = _contents(place)
        start = time.monotonic()
        child = os.fork()
        if child == 0:
            _become(words, place, outer, limits)
        outcome = Outcome(words)
        code, usage = _wait(child, start + limits.seconds, outcome)
        outcome.seconds, outcome.peak = time.monotonic() - start, usage.ru_maxrss * 1024
        outcome.code = os.waitstatus_to_exitcode(code)
        outcome.said = (outer / "stderr").read_bytes().decode(errors="replace")
        left = _kill_session(child)
        _judge(outcome, limits, before, _contents(place), left)
        return outcome


def _become(words: list[str], place: Path, outer: Path, limits: Limits) -> None:
    """The command itself; does not come back."""
    code = 70
    try:
        os.setsid()
        os.chdir(place)
        home = outer / "home"
        home.mkdir()
        os.environ |= {"HOME": str(home), "XDG_CACHE_HOME": str(home), "TMPDIR": str(home), "UNDERTOW_LOG": ""}
        resource.setrlimit(resource.RLIMIT_AS, (limits.address_space, limits.address_space))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
        for number, stream in ((1, "stdout"), (2, "stderr")):
            os.dup2(os.open(outer / stream, os.O_WRONLY | os.O_CREAT), number)
        from undertow.cli import main

        code = main(words)
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _wait(child: int, until: float, outcome: Outcome) -> tuple[int, resource.struct_rusage]:
    pause = 0.002
    while True:
        done, code, usage = os.wait4(child, os.WNOHANG)
        if done:
            return code, usage
        if time.monotonic() > until:
            outcome.timed_out = True
            os.kill(child, signal.SIGKILL)
            return os.wait4(child, 0)[1:]
        time.sleep(pause)
        pause = min(2 * pause, 0.1)


def _kill_session(leader: int) -> list[str]:
    """Ends whatever is left of a command's session; returns what it was."""
    left = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == leader:
            continue
        with contextlib.suppress(OSError, ValueError, IndexError):
            state, _, _, session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
            if int(session) == leader and state != "Z":
                left.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[:100])
                os.kill(int(entry.name), signal.SIGKILL)
    return left


def _contents(place: Path) -> dict[str, tuple[int, int]]:
    found = {}
    for folder, names, files in os.walk(place):
        for each in (*names, *files):
            path = os.path.join(folder, each)
            stat = os.lstat(path)
            found[path] = (stat.st_size, stat.st_mtime_ns) if each in files else (0, 0)
    return found


def _judge(outcome: Outcome, limits: Limits, before: dict, after: dict, left: list[str]) -> None:
    if "Traceback (most recent call last)" in outcome.said:
        outcome.faults.append("a traceback")
    if outcome.timed_out:
        return
    if outcome.code not in CODES:
        outcome.faults.append(f"exit code {outcome.code}")
    lines = [line for line in outcome.said.splitlines() if line.strip()]
    if outcome.code == 2 and len(lines) != 1:
        outcome.faults.append(f"{len(lines)} lines on standard error")
    if any(len(line) > 2000 for line in lines):
        outcome.faults.append("a line of more than 2000 characters")
    if outcome.code == 2 and before != after:
        changed = [path for path in {**before, **after} if before.get(path) != after.get(path)]
        outcome.faults.append(f"refused, and wrote {', '.join(sorted(changed)[:5])}")
    if left:
        outcome.faults.append(f"left processes: {'; '.join(left)}")
    if outcome.peak > limits.memory:
        outcome.faults.append(f"{outcome.peak / GIB:.1f} GiB of memory")


def make_given(folder: Path, limits: Limits) -> None:
    """The two runs that commands are tried on."""
    for preset, where in (("burgers", SCHEME), ("cartpole", CONTROLLER)):
        words = ["train", preset, *BASE["scheme" if preset == "burgers" else "control"].split(), "--quiet"]
        child = os.fork()
        if child == 0:
            folder.mkdir(exist_ok=True)
            os.chdir(folder)
            from undertow.cli import main

            with open("train.log", "w") as log, contextlib.redirect_stdout(log):
                os._exit(main([*words, "--out", where]))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code:
            raise SystemExit(f"the run to try commands on could not be trained: exit code {code}")


def report(outcomes: list[Outcome]) -> int:
    """Says what failed; returns how many."""
    for each in (each for each in outcomes if each.faults):
        tail = "\n".join(f"    {line[:200]}" for line in each.said.strip().splitlines()[-3:])
        print(f"FAILED undertow {shlex.join(each.words)[:400]}\n  {'; '.join(each.faults)}\n{tail}")
    for each in (each for each in outcomes if each.timed_out):
        print(f"TOO LONG undertow {shlex.join(each.words)[:400]}")
    codes = collections.Counter("too long" if each.timed_out else each.code for each in outcomes)
    failed = sum(bool(each.faults) for each in outcomes)
    peak = max(each.peak for each in outcomes)
    print(
        f"{len(outcomes)} commands, {failed} failed; exit codes "
        f"{', '.join(f'{code}: {count}' for code, count in sorted(codes.items(), key=str))}; "
        f"largest memory {peak / GIB:.2f} GiB; {sum(each.seconds for each in outcomes):.0f} s"
    )
    return failed


def command_lines(commands: int, seed: int) -> Iterator[list[str]]:
    """Those of the reports, then drawn ones."""
    known = (shlex.split(line) for line in REPORTED)
    return itertools.islice(itertools.chain(known, drawn(random.Random(seed))), commands)


def main() -> int:
    """Read the arguments, draw and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commands", type=int, default=500, help="how many")
    parser.add_argument("--skip", type=int, default=0, help="leave so many of the first ones out")
    parser.add_argument("--seed", type=int, default=1, help="of the draw")
    parser.add_argument("--only", action="append", help="a command line to run instead; may be given several times")
    parser.add_argument("--given", type=Path, help="a folder to keep the two runs in that commands are tried on")
    parser.add_argument("--seconds", type=float, default=Limits.seconds, help="time limit of a command")
    parser.add_argument("--address-space", type=float, default=12.0, help="limit of a command, in GiB")
    parser.add_argument("--show", action="store_true", help="print every command with its exit code and what it said")
    asked = parser.parse_args()

    # Programs that run once need not be fast; the compiler takes most of the time otherwise.
    os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true")
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    import matplotlib.pyplot  # noqa: F401  # before the fork, as everything that takes long to load

    import undertow.cli
    import undertow.report.figures  # noqa: F401

    gc.freeze()
    limits = Limits(int(asked.address_space * GIB), seconds=asked.seconds)
    lines = [shlex.split(line) for line in asked.only] if asked.only else command_lines(asked.commands, asked.seed)
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="fuzz-given-") as name:
        folder = asked.given or Path(name)
        if not (folder / CONTROLLER).is_dir():
            make_given(folder, limits)
        for words in itertools.islice(lines, asked.skip, None):
            outcome = run(words, folder / "given", limits)
            outcomes.append(outcome)
            if asked.show or outcome.faults:
                mark = "FAILED" if outcome.faults else "too long" if outcome.timed_out else "ok"
                said = " ".join(outcome.said.split())[-200:]
                print(f"{mark} {outcome.code} {outcome.seconds:.1f}s {shlex.join(words)[:300]} | {said}", flush=True)
    return 1 if report(outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())

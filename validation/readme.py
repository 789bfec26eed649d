"""Every command of README.md, in its order, in a fresh clone of the last commit and an environment made as README.md says.

    python -m validation.readme                       # as they stand there: hours, most of them the sweep and PPO
    python -m validation.readme --quick               # the long ones with fewer updates, cases and seeds
    python -m validation.readme --full-bench          # all tables of `make bench`
    python -m validation.readme --folder DIR --only simulate   # some commands again, in the clone that an earlier call left

The commands are read from README.md itself: its blocks of shell and of Python, and the targets of make and the installation
that its text names. Prints the seconds of each; the first that fails ends it with exit code 1, its output and the list of all.
Needs no more than git, make and a Python of the standard library.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

REPOSITORY = Path(__file__).resolve().parents[1]

# A block of code with its language, or a word of code in the text.
CODE = re.compile(r"^```(?P<language>\w*)\n(?P<block>.*?)^```|(?<!`)`(?P<word>[^`\n]+)`(?!`)", re.DOTALL | re.MULTILINE)

TABLES = "start forward games"
"""Of `make bench`, where not all are asked for: a minute."""

TINY = """--training.updates 4 --training.batch 4 --training.dispatch 2 --grid.num-cells 16 --grid.steps 10 --grid.end-time 0.04
    --evaluation.every 2 --evaluation.cases 4 --evaluation.suites --evaluation.no-figures"""
QUICK = {
    "make train": f'ARGS="{TINY} --data.pool 8"',
    "make test": 'ARGS="tests/core -k flow"',
    "undertow train euler": f"{TINY} --data.pool 8",
    "undertow train cartpole": "--training.updates 320",
    "undertow reproduce": "--seeds 1 --epochs 2",
    "undertow sweep": f"{TINY} --data.pool 8 --seeds 1",
    "undertow train burgers --method": f"{TINY} --data.pool 8",
}
"""What `--quick` adds to the commands that begin so. Of an option that is given twice the last one counts."""

# A Python that runs one block after another, as a reader would type them into one session.
SESSION = """
import json, sys, traceback
names = {"__name__": "__main__"}
answers, sys.stdout = sys.stdout, sys.stderr
for line in sys.stdin:
    try:
        exec(compile(json.loads(line), "README.md", "exec"), names)
        print("ok", file=answers, flush=True)
    except BaseException:
        traceback.print_exc()
        print("failed", file=answers, flush=True)
"""


class Item(NamedTuple):
    """Something that README.md tells the reader to do: a line for the shell, or a block of Python."""

    language: str
    text: str

    @property
    def title(self) -> str:
        """One line."""
        first, *rest = [line for line in self.text.splitlines() if line.strip()]
        return f"Python: {first} ... ({len(rest) + 1} lines)" if self.language == "python" else first


def items(readme: str) -> Iterator[Item]:
    """What there is to do, in its order. A target of make that the text names a second time is done once."""
    done = set()
    for found in CODE.finditer(readme):
        if found["language"] == "python":
            yield Item("python", found["block"])
            continue
        lines = found["block"].splitlines() if found["language"] == "sh" else [found["word"] or ""]
        for line in lines:
            words = shlex.split(line, comments=True)
            told = found["word"] is None or (words[:1] == ["make"] and len(words) > 1) or line == "pip install ."
            if words and told and tuple(words) not in done:
                done.add(tuple(words))
                yield Item("sh", shlex.join(words))


class Reader:
    """Somebody who follows README.md in a folder, with the environment that `make` puts there."""

    def __init__(self, folder: Path, log: IO[str], *, quick: bool, full_bench: bool):
        self.folder, self.log, self.quick, self.full_bench = folder, log, quick, full_bench
        foreign = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "JAX_ENABLE_X64", "MAKEFLAGS", "MFLAGS", "MAKELEVEL")
        self.environment = {name: value for name, value in os.environ.items() if name not in foreign}
        self.environment["PATH"] = f"{folder / '.venv' / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        self.session: subprocess.Popen[str] | None = None

    def command(self, line: str) -> str:
        """The line as it is run here."""
        if line == "pip install .":  # README.md: into an environment of your own
            return "python3 -m venv own && own/bin/pip install --quiet . && own/bin/undertow --version"
        if line == "make bench" and not self.full_bench:
            return f'make bench ARGS="{TABLES}"'
        if self.quick:
            for start, more in QUICK.items():
                if line.startswith(start):
                    return f"{line} {' '.join(more.split())}"
        return line

    def do(self, item: Item) -> bool:
        """Whether it ended well."""
        if item.language == "python":
            return self._python(item.text)
        if item.text.startswith("undertow resume"):
            self._stopped_run()
        return self._wait(self._start(self.command(item.text))) == 0

    def _start(self, line: str) -> subprocess.Popen[bytes]:
        print(f"\n$ {line}", file=self.log, flush=True)
        return subprocess.Popen(
            ["bash", "-c", line],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def _wait(self, process: subprocess.Popen[bytes]) -> int:
        try:
            return process.wait()
        except BaseException:  # Ctrl-C ends what was begun, too
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
            raise

    def _stopped_run(self) -> None:
        """A training that was stopped, as the newest run: `resume` needs one. Not by SIGINT, which a background job ignores."""
        metrics = self.folder / "runs" / "last" / "metrics.csv"
        before = metrics.resolve()
        process = self._start("exec undertow train cartpole")
        begun = time.monotonic()
        while process.poll() is None and (metrics.resolve() == before or not metrics.exists()):
            time.sleep(0.05)
            if time.monotonic() - begun > 600:
                break
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        if self._wait(process) != 143:
            raise RuntimeError("the training that was to be stopped and resumed did not end with exit code 143")

    def _python(self, block: str) -> bool:
        if self.session is None:
            self.session = subprocess.Popen(
                ["python", "-c", SESSION],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.log,
                text=True,
            )
        assert self.session.stdin is not None and self.session.stdout is not None
        print(f"\n>>> {block}", file=self.log, flush=True)
        self.session.stdin.write(json.dumps(block) + "\n")
        self.session.stdin.flush()
        return self.session.stdout.readline() == "ok\n"

    def close(self) -> None:
        """End the Python session."""
        if self.session is not None:
            assert self.session.stdin is not None
            self.session.stdin.close()
            self.session.wait()


def clone(folder: Path) -> None:
    """The last commit in a folder of its own."""
    changed = subprocess.run(
        ["git", "-C", str(REPOSITORY), "status", "--porcelain"], capture_output=True, text=True, check=True
    ).stdout
    if changed:
        print("note: changes that are not committed are not in the clone")
    subprocess.run(["git", "clone", "--quiet", str(REPOSITORY), str(folder)], check=True)


def tail(log: Path, lines: int = 40) -> str:
    """The end of the log."""
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def main(arguments: list[str]) -> int:
    """Do all of it; 0 if all went well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="shorten the long commands by their own options")
    parser.add_argument("--full-bench", action="store_true", help=f"all tables of make bench, not {TABLES} alone")
    parser.add_argument("--folder", type=Path, help="a clone that is there already, or a new one to be kept")
    parser.add_argument("--only", action="append", default=[], help="commands that hold this text; may be repeated")
    parser.add_argument("--list", action="store_true", help="show the commands and run none")
    given = parser.parse_args(arguments)
    if given.list:
        print("\n".join(item.title for item in items((REPOSITORY / "README.md").read_text(encoding="utf-8"))))
        return 0
    # Resolved: an environment notes the path it was made for.
    place = Path(tempfile.mkdtemp(prefix="undertow-readme-")).resolve()
    folder = (given.folder or place / "undertow").resolve()
    if not folder.exists():
        clone(folder)
    todo = [
        item
        for item in items((folder / "README.md").read_text(encoding="utf-8"))
        if not given.only or any(text in item.text for text in given.only)
    ]
    if not todo:
        print("README.md has no such command", file=sys.stderr)
        return 2
    rows, log = [], place / "output.log"
    print(f"{len(todo)} commands in {folder}, their output in {log}", flush=True)
    with log.open("w", encoding="utf-8") as file:
        reader = Reader(folder, file, quick=given.quick, full_bench=given.full_bench)
        try:
            for item in todo:
                begun = time.monotonic()
                good = reader.do(item)
                rows.append(f"{time.monotonic() - begun:9.1f} s  {'ok    ' if good else 'FAILED'}  {item.title}")
                print(rows[-1], flush=True)
                if not good:
                    break
        finally:
            reader.close()
    if len(rows) < len(todo) or "FAILED" in rows[-1]:
        print(f"\n{tail(log)}\n\nstopped at the last of these, {len(todo) - len(rows)} commands were not tried:")
        print("\n".join(rows))
        print(f"the clone is left in {folder}, the output in {log}")
        return 1
    print(f"all {len(rows)} commands went well")
    if given.folder is None:
        shutil.rmtree(place)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

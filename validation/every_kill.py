"""Kill train, resume, report and export at each of their changes to the disk; compare what is left with the undisturbed one's.

    python -m validation.every_kill                                # all four
    python -m validation.every_kill --command export --only 3 4    # two changes of one

After a kill the command is given again, or the run resumed. All files have to be the same then, byte for byte but for times
and the run's own name, and none may be left over. Prints a line per kill; the exit code is 1 if anything differed.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.traces import essence
from undertow import experiment
from undertow.cli import main as undertow
from undertow.config import config_from_dict
from undertow.store.rundir import RunDirectory
from validation.killing import Work, in_a_fork, kill_at_each, use_cache

FLAGS = """
    --horizon 4 --data.train 2 --data.test 2 --policy.hidden 2 --training.updates 6 --training.batch 2 --training.dispatch 2
    --evaluation.every 4 --evaluation.keep 1 --evaluation.suites --checkpoint.updates 1 --checkpoint.keep 1
    --tensorboard False --quiet
"""


def train(place: Path) -> int:
    """A small training."""
    return undertow(["train", "cartpole", *FLAGS.split(), "--out", str(place)])


def go_on(place: Path) -> int:
    """What a user does after a kill."""
    if not place.exists():
        return train(place)
    if RunDirectory.open(place).status == "finished":
        return 0
    return undertow(["resume", str(place), "--quiet", "--tensorboard", "False"])


def stop_early(place: Path) -> int:
    """A training that is stopped between two evaluations."""
    whole = place.with_name("whole")
    train(whole)  # for its configuration, and so that the flags are those of the command line
    config = config_from_dict(RunDirectory.open(whole).config)
    shutil.rmtree(whole)
    early = (lambda progress: progress.done == 2,)
    run = experiment.train(config, preset="cartpole", out=place, quiet=True, tensorboard=False, callbacks=early)
    return int(run.status != "interrupted")


def files(place: Path) -> dict[str, Any]:
    """Every file, byte for byte."""
    return {
        str(each.relative_to(place)): hashlib.sha256(each.read_bytes()).hexdigest()
        for each in sorted(place.rglob("*"))
        if each.is_file()
    }


def works(room: Path) -> dict[str, Work]:
    """All commands, with the runs that they need, made in a folder."""
    whole, stopped = room / "finished" / "run", room / "stopped" / "run"
    for made, call in ((whole, train), (stopped, stop_early)):
        made.parent.mkdir()
        assert in_a_fork(lambda made=made, call=call: call(made), log=room / "log") == 0, (room / "log").read_text()

    def copy(run: Path) -> Any:
        return lambda place: shutil.copytree(run, place)

    def report(place: Path) -> int:
        return undertow(["report", str(place), "--quiet"])

    def export(place: Path) -> int:
        done = (place / "export").exists()  # killed on its way out
        return 0 if done else undertow(["export", str(place)])

    return {
        "train": Work(lambda _: None, train, go_on, essence),
        "resume": Work(copy(stopped), go_on, go_on, essence),
        "report": Work(copy(whole), report, report, files),
        "export": Work(copy(whole), export, export, files),
    }


def main() -> int:
    """The command line."""
    names = ("train", "resume", "report", "export")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--command", nargs="+", choices=names, default=names)
    parser.add_argument("--only", nargs="+", type=int, help="the numbers of some changes")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="undertow-kills-") as room:
        use_cache(Path(room, "programs"))
        made = works(Path(room))
        say = lambda line: print(line, flush=True)
        return int(sum(kill_at_each(name, made[name], only=given.only, say=say) for name in given.command) > 0)


if __name__ == "__main__":
    sys.exit(main())

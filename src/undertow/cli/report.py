"""The command `report`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from undertow import experiment
from undertow._checks import require
from undertow.cli.parse import parse, say, show, show_json
from undertow.experiment.serving import PORTS
from undertow.progress import Display


@dataclass(frozen=True)
class ReportArguments:
    """Options of `report`."""

    run: tyro.conf.Positional[Path]
    """a run directory"""
    out: Path | None = None
    """a new .html file; None: report.html in the run directory, made anew each time"""
    checkpoint: str = "best"
    """best, last, or a file in checkpoints/"""
    suite: tuple[str, ...] = ()
    """suites to evaluate on (`undertow list suites`); none: the run's own"""
    serve: bool = False
    """serve the page on this machine, and follow the run while it trains; Ctrl-C stops it"""
    port: Annotated[int, PORTS] = 0
    """of the server; 0: any that is free"""
    json: bool = False
    """print JSON: the file, its size in bytes"""
    quiet: bool = False
    """show no progress bar"""


def report(arguments: list[str]) -> int:
    """Write a run's report, or serve it; print where it is."""
    about = "Write a run's report, one HTML file that needs nothing else; or serve it while the run trains."
    given = parse(ReportArguments, arguments, "report", about)
    require(not (given.serve and given.out), "--serve writes no file, so that it takes no --out")
    require(not (given.serve and given.json), "--serve prints an address, so that it takes no --json")
    require(given.serve or given.port == 0, "--port is for --serve")
    with Display(quiet=given.quiet) as display:
        if not given.serve:
            path = experiment.report_run(
                given.run, given.out, which=given.checkpoint, suites=given.suite or None, on_stage=display.stage
            )
        else:
            server = experiment.ReportServer(
                given.run, port=given.port, which=given.checkpoint, suites=given.suite or None, on_stage=display.stage
            )
    if not given.serve:
        size = path.stat().st_size
        if given.json:
            show_json({"path": path, "bytes": size})
        else:
            show(f"{path}  ({size / 1e6:.1f} MB)")
        return 0
    with server:
        show(server.url)
        say("serving; Ctrl-C stops it")
        try:
            server.serve()
        except KeyboardInterrupt:  # how it is meant to end
            say("stopped")
    return 0

"""The program in odd surroundings, each in a process of its own: streams that are narrow, full or closed; homes and working
directories that are absent or read-only; rc files and back ends of matplotlib; optional packages that are there and broken."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from tests.runs.fakes import make_run


def run(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    given = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment}
    shell = re.sub(r"\bundertow (?=[a-z])", f"{sys.executable} -m undertow ", command)
    return subprocess.run(["bash", "-c", shell], capture_output=True, text=True, env=given, timeout=120)


ASCII = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def test_streams_that_are_narrow_full_or_closed(tmp_path):
    """One shell, as every process takes seconds to begin."""
    letters = tmp_path / "größe"
    make_run(letters / "lauf")
    script = f"""
    undertow runs '{letters}'; echo "ascii $?"
    undertow list boundaries > /dev/full; echo "full $?"
    undertow list boundaries 2>&- >&- <&-; echo "closed $?"
    undertow runs '{tmp_path / "nothing-größe"}' 2>&-; echo "unheard $?"
    """
    done = run(script, **ASCII, COLUMNS="1", TERM="dumb")
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr
    codes = dict(line.split() for line in done.stdout.splitlines() if re.fullmatch(r"\w+ \d+", line))
    assert codes["ascii"] == "0" and codes["full"] == "2" and codes["closed"] == "0" and codes["unheard"] in ("0", "2")
    assert "No space left on device" in done.stderr and "lauf" in done.stdout


def test_closed_streams_lead_nowhere(tmp_path):
    """The first file that is opened would be standard error, and get all that libraries write there."""
    code = (
        "import sys; from undertow.cli import streams; streams.secure(); sys.exit(open(sys.argv[1], 'w').fileno() < 3)"
    )
    done = run(f'{sys.executable} -c "{code}" {tmp_path / "file"} 2>&- >&- <&-')
    assert done.returncode == 0

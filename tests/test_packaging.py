"""What is installed is what is declared: lock files are complete, hashed, consistent and free of addresses."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
REQUIREMENTS = REPOSITORY / "requirements"
PYPROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
PIN = re.compile(r"([a-z0-9-]+)==([0-9][0-9a-z.+!]*)(?: ; ([^\\]+))?")


def normalise(requirement: str) -> str:
    return re.split(r"[\s\[<>=!~;]", requirement)[0].lower().replace("_", "-")


def pins(name: str) -> dict[str, set[tuple[str, str]]]:
    """Package -> its (version, marker) lines, checking that every one of them is pinned and hashed."""
    found: dict[str, set[tuple[str, str]]] = {}
    text = (REQUIREMENTS / f"{name}.txt").read_text().replace("\\\n", "\\")
    for line in filter(None, text.splitlines()):
        match = PIN.match(line)
        assert match, f"{name}.txt: not a pin: {line[:80]}"
        assert "--hash=sha256:" in line, f"{name}.txt: no hash: {line[:80]}"
        found.setdefault(match[1], set()).add((match[2], (match[3] or "").strip()))
    return found


FILES = sorted(path.stem for path in REQUIREMENTS.glob("*.txt"))


def test_lock_files_are_there():
    assert FILES == ["core", "dev", "docs", "lock"]


@pytest.mark.parametrize("name", FILES)
def test_lock_files_name_no_address(name: str):
    text = (REQUIREMENTS / f"{name}.txt").read_text()
    assert not re.search(r"://|--index|--find-links|--extra|@|#", text)


@pytest.mark.parametrize(
    ("name", "requirements"),
    [
        ("core", PYPROJECT["project"]["dependencies"] + PYPROJECT["dependency-groups"]["build"]),
        ("dev", PYPROJECT["project"]["dependencies"] + PYPROJECT["project"]["optional-dependencies"]["dev"]),
        ("docs", PYPROJECT["project"]["dependencies"] + PYPROJECT["project"]["optional-dependencies"]["docs"]),
        ("lock", PYPROJECT["dependency-groups"]["lock"]),
    ],
)
def test_lock_files_hold_what_is_declared(name: str, requirements: list[str]):
    missing = {normalise(line) for line in requirements} - set(pins(name))
    assert not missing, f"requirements/{name}.txt lacks {', '.join(sorted(missing))}; run: make lock"


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(FILES, 2)))
def test_lock_files_agree(one: str, other: str):
    """Installed one after the other into one environment, they must not take turns at replacing a version."""

    def versions(lines: set[tuple[str, str]]) -> set[str]:
        return {version for version, _ in lines}

    first, second = pins(one), pins(other)
    shared = first.keys() & second.keys()
    different = {package for package in shared if versions(first[package]) != versions(second[package])}
    assert not different, f"{one}.txt and {other}.txt differ in {', '.join(sorted(different))}; run: make lock"


def test_build_backend_is_locked():
    assert set(PYPROJECT["build-system"]["requires"]) == set(PYPROJECT["dependency-groups"]["build"])


def test_newer_pythons_take_newer_jax():
    """jax 0.10.2 is the last for Python 3.11, and must not hold the others back."""
    markers = dict(pins("core")["jax"])
    assert len(markers) > 1, "one jax for all Pythons: was the lock made with --universal?"
    assert any("python_full_version < '3.12'" in marker for marker in markers.values())


def test_the_wheel_holds_the_package(tmp_path: Path):
    """Every module, the command and the licence, and nothing of the tests."""
    pytest.importorskip("hatchling", reason="the build backend comes with `make setup`")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(tmp_path),
    ]
    done = subprocess.run([*command, str(REPOSITORY)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (commands,) = (archive.read(name).decode() for name in names if name.endswith("entry_points.txt"))
    source = REPOSITORY / "src"
    modules = {path.relative_to(source).as_posix() for path in (source / "undertow").rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == modules
    assert "undertow = undertow.cli:main" in commands
    assert any(name.endswith("licenses/LICENSE") for name in names)

"""The shape of the house: imports point one way, files stay small, global settings are touched in one place."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

from undertow.tasks import TASKS as CATALOGUE

REPOSITORY = Path(__file__).resolve().parents[1]
SOURCE = REPOSITORY / "src"
PACKAGE = SOURCE / "undertow"
METADATA = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]

MAX_LINES = 400

# A room and the rooms below it that it may see. Rooms on one level may also see each other as long as no circle forms;
# `core` is alone on its level for the solver, and the solver for `core`.
BASE = {"_types", "_tree", "_checks", "_fields", "_limits", "_own", "_rooms", "_io", "_reader", "_flock"}
SOLVER = {"numerics", "laws", "schemes"}
PARTS = BASE | SOLVER | {"core"}
TASKS = BASE | {"core"}
LOOP = PARTS | {"envs", "policies", "tasks"}
USES = LOOP | {"training", "evaluation", "instruments", "report"}
SEES: dict[str, set[str]] = {
    **dict.fromkeys(BASE, BASE),
    "core": BASE,
    "numerics": BASE | {"laws"},
    "laws": BASE | {"numerics"},
    "schemes": BASE | SOLVER,
    "envs": LOOP,
    "policies": LOOP,
    "tasks": TASKS,
    "training": USES,
    "evaluation": USES,
    "instruments": USES,
    "report": USES,
    "store": BASE,
    "config": USES | {"presets", "store"},
    "presets": USES | {"config"},
    "assembly": USES | {"config", "store"},
    "progress": BASE,
    "simulate": USES,
    "catalogue": USES | {"config", "presets", "assembly", "reproduction", "games"},
    "baselines": USES | {"config", "assembly", "games"},
    "experiment": USES | {"config", "presets", "assembly", "store", "progress", "runs", "baselines"},
    "export": USES | {"config", "assembly", "experiment", "store"},
    "runs": USES | {"config", "presets", "store"},
    "games": USES | {"config", "presets", "assembly"},
    "sweeps": USES | {"config", "assembly", "store", "progress", "experiment"},
    "reproduction": USES | {"config", "presets", "assembly", "store", "progress", "experiment"},
    "cli": USES
    | {
        "assembly",
        "config",
        "presets",
        "catalogue",
        "simulate",
        "experiment",
        "sweeps",
        "reproduction",
        "runs",
        "export",
        "store",
    }
    | {"progress"},
    "__main__": {"cli"},
}
FRONT_DOOR = ""  # undertow/__init__.py: for users; it may see all but the command line, and no room imports from it
SEES[FRONT_DOOR] = set(SEES) - {"cli", "__main__"}

# Adapters to other libraries are classes of theirs: modules that an extra is for, and that nothing else imports at its top.
ADAPTERS = {f"undertow.games.{name}" for name in ("gymnasium", "spaces", "vector", "pettingzoo")}
ADAPTERS |= {f"undertow.baselines.{name}" for name in ("algorithms", "games", "learner", "snapshot", "vector")}

# Below training, a plain library: no command line, progress bars or pictures.
PLAIN = {"jax", "numpy", "equinox", "optax", "jaxtyping"}


def module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text(encoding="utf-8"), str(path)) for name, path in FILES.items()}


def room(module: str) -> str:
    """The room of a module: undertow.laws.burgers -> laws, undertow.cli -> cli, undertow -> the front door."""
    return module.split(".")[1] if "." in module else FRONT_DOOR


class Import(NamedTuple):
    line: int
    name: str  # absolute; the imported module itself where there is one, else the module it comes from
    lazy: bool  # inside a function


def imports(module: str) -> Iterator[Import]:
    """Everything a module imports, also inside functions and under TYPE_CHECKING."""
    tree = TREES[module]
    functions = (node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))
    lazy = {id(node) for function in functions for node in ast.walk(function)}
    package = module if FILES[module].name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (Import(node.lineno, alias.name, id(node) in lazy) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = node.module or ""
            if node.level:
                above = package.split(".")
                origin = ".".join([*above[: len(above) - (node.level - 1)], *filter(None, [origin])])
            for alias in node.names:
                name = f"{origin}.{alias.name}"
                yield Import(node.lineno, name if name in FILES else origin, id(node) in lazy)


def own_imports(module: str) -> Iterator[Import]:
    return (found for found in imports(module) if top(found.name) == "undertow")


def foreign_imports(module: str) -> Iterator[Import]:
    return (found for found in imports(module) if top(found.name) not in {"undertow", *sys.stdlib_module_names})


def top(name: str) -> str:
    return name.split(".")[0]


def distribution(requirement: str) -> str:
    return re.split(r"[\s\[<>=!~;]", requirement)[0].lower().replace("-", "_")


DEPENDENCIES = {distribution(line) for line in METADATA["dependencies"]}
EXTRAS = {distribution(line) for lines in METADATA["optional-dependencies"].values() for line in lines} - DEPENDENCIES


def at(module: str, line: int) -> str:
    return f"{FILES[module].relative_to(REPOSITORY)}:{line}"


def assert_none(violations: list[str], rule: str) -> None:
    assert not violations, rule + "\n  " + "\n  ".join(violations)


def test_every_room_has_a_place():
    unknown = sorted({room(module) for module in FILES} - set(SEES))
    assert_none(unknown, "rooms without a place in the house; give each one in SEES:")


def test_imports_point_one_way():
    wrong = [
        f"{at(module, line)} in {room(module) or 'the front door'!r} imports {name}"
        for module in FILES
        for line, name, _ in own_imports(module)
        if room(name) != room(module) and room(name) not in SEES[room(module)]
    ]
    assert_none(wrong, "imports against the direction of the house:")


def test_rooms_form_no_circle():
    graph: dict[str, set[str]] = {name: set() for name in SEES}
    for module in FILES:
        graph[room(module)] |= {room(found.name) for found in own_imports(module)} - {room(module)}
    assert_acyclic(graph)


def test_modules_form_no_circle():
    assert_acyclic({module: {found.name for found in own_imports(module)} for module in FILES})


def assert_acyclic(graph: dict[str, set[str]]) -> None:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail("imports go in a circle: " + " <- ".join(name or "the front door" for name in error.args[1]))


def test_foreign_imports_are_declared():
    """An extra may be imported inside a function only: without it, everything else goes on working."""
    wrong = [
        f"{at(module, line)} imports {name}"
        for module in FILES
        for line, name, lazy in foreign_imports(module)
        if top(name) not in DEPENDENCIES and not ((lazy or module in ADAPTERS) and top(name).lower() in EXTRAS)
    ]
    assert_none(wrong, "imports that pyproject.toml does not declare, or extras outside a function:")


def test_adapters_are_imported_by_those_who_ask_for_them():
    wrong = [
        f"{at(module, line)} imports {name}"
        for module in FILES
        if module not in ADAPTERS
        for line, name, lazy in own_imports(module)
        if name in ADAPTERS and not lazy
    ]
    assert_none(wrong, "modules that need an extra are imported inside a function only:")


def test_the_library_is_plain():
    wrong = [
        f"{at(module, line)} imports {name}"
        for module in FILES
        if room(module) in LOOP
        for line, name, _ in foreign_imports(module)
        if top(name) not in PLAIN
    ]
    assert_none(wrong, f"below training, the library needs no more than {', '.join(sorted(PLAIN))}:")


def test_files_stay_small():
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in FILES.values()}
    wrong = [f"{path.relative_to(REPOSITORY)}: {count}" for path, count in lengths.items() if count > MAX_LINES]
    assert_none(wrong, f"files of more than {MAX_LINES} lines; split them by idea:")


def test_tasks_are_known_by_their_catalogue_alone():
    """Who needs something of a control task asks it; no other room holds its name, nor opens its file but for users."""
    names = set(CATALOGUE)
    modules = {f"undertow.tasks.{name}" for name in names}
    wrong = [
        f"{at(module, line)} opens {name}"
        for module in FILES
        if room(module) not in {"tasks", FRONT_DOOR}
        for line, name, _ in own_imports(module)
        if name in modules
    ]
    wrong += [
        f"{at(module, node.lineno)} says {node.value!r}"
        for module, tree in TREES.items()
        if room(module) not in {"tasks", *SOLVER}  # a contact is also a wave
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value in names
    ]
    assert names and not wrong, "control tasks are asked, not known:\n  " + "\n  ".join(wrong)


def settings_touched(tree: ast.AST) -> Iterator[int]:
    """Lines that reach for JAX's process-wide settings."""
    switches = {"config", "enable_x64", "disable_x64"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in switches:
            owner = ast.unparse(node.value)
            if owner == "jax" or owner.startswith("jax."):
                yield node.lineno
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "jax":
            if "config" in (node.module or "").split(".") or switches & {alias.name for alias in node.names}:
                yield node.lineno
        elif isinstance(node, ast.Import) and any(alias.name.startswith("jax.config") for alias in node.names):
            yield node.lineno


def test_jax_settings_are_touched_in_one_place():
    """A library that changes precision or platform changes it for its host. Only the program and the tests may."""
    tests = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted((REPOSITORY / "tests").rglob("*.py"))}
    trees = {FILES[module]: tree for module, tree in TREES.items() if room(module) != "cli"}
    trees |= {path: tree for path, tree in tests.items() if path != REPOSITORY / "tests" / "conftest.py"}
    wrong = [
        f"{path.relative_to(REPOSITORY)}:{line}" for path, tree in trees.items() for line in settings_touched(tree)
    ]
    assert_none(wrong, "jax.config is for src/undertow/cli.py and tests/conftest.py:")


@pytest.mark.parametrize(
    "text",
    [
        "import jax\njax.config.update('jax_enable_x64', True)",
        "from jax import config",
        "import jax.config",
        "from jax.config import config",
        "import jax\nwith jax.enable_x64(True): pass",
        "from jax.experimental import enable_x64",
    ],
)
def test_the_settings_rule_sees(text: str):
    assert list(settings_touched(ast.parse(text)))


def test_imports_without_extras():
    """The front door and every room below the program open with the core dependencies alone, and draw no pictures."""
    rooms = sorted(f"undertow.{name}" for name in LOOP | {"games"} if f"undertow.{name}" in FILES)
    script = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0].lower() in {sorted(EXTRAS)!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
import undertow, {", ".join(rooms)}
print(*sorted({{"matplotlib", "tyro"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "", f"import undertow loads {done.stdout.strip()}, which only the program needs"

"""Importing does nothing, exports what it says, and keeps the layers."""

import ast
import importlib
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGES = ("pivot_envs", "wrappers", "pivot_agents")
HEAVY = ("torch", "transformers", "peft", "docker", "playwright")
ROOT = Path(__file__).parents[1]


def module_names(package: str) -> list[str]:
    """Return every module of a package but its command-line programs."""
    root = importlib.import_module(package)
    found = pkgutil.walk_packages(root.__path__, f"{package}.")
    return [package, *(one.name for one in found if not one.name.endswith("__main__"))]


MODULES = {package: module_names(package) for package in PACKAGES}

# Runs inside the box, where its neighbour is a module of the top level.
PROGRAMS = {"pivot_envs.sandbox.agent.warm"}

LOOK_ROUND = """
import importlib, json, logging, os, random, sys, threading
from pathlib import Path
def surroundings():
    return {
        "threads": threading.active_count(),
        "children": Path(f"/proc/self/task/{os.getpid()}/children").read_text(),
        "files": sorted(os.listdir(".")),
        "handlers": [str(one) for one in logging.getLogger().handlers],
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "random": hash(random.getstate()),
    }
for name in json.loads(sys.argv[1]):
    importlib.import_module(name)
after_libraries = surroundings()
for name in json.loads(sys.argv[2]):
    importlib.import_module(name)
print(json.dumps([sorted(sys.modules), after_libraries, surroundings()]))
"""


def import_in_new_process(
    names: list[str], folder: Path, libraries: list[str]
) -> tuple[list[str], dict[str, object], dict[str, object]]:
    """Import libraries and then modules, with warnings as errors.

    Returns what is loaded in the end, and the process's surroundings before and after the modules.
    """
    command = [sys.executable, "-W", "error", "-c", LOOK_ROUND]
    finished = subprocess.run(
        [*command, json.dumps(libraries), json.dumps(names)],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "HOME": str(folder), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert (finished.returncode, finished.stderr) == (0, "")
    loaded, before, after = json.loads(finished.stdout)
    return loaded, before, after


def test_importing_the_environments_loads_no_heavy_library(tmp_path):
    names = [*MODULES["pivot_envs"], *MODULES["wrappers"]]
    names = [name for name in names if name not in PROGRAMS]
    loaded, before, after = import_in_new_process(names, tmp_path, ["gymnasium"])
    assert [name for name in HEAVY if name in loaded] == []
    assert before == after


def test_policies_without_a_model_load_no_heavy_library(tmp_path):
    names = ["pivot_agents", "pivot_agents.policy", "pivot_agents.rollout"]
    loaded, _, _ = import_in_new_process(names, tmp_path, [])
    assert [name for name in HEAVY if name in loaded] == []


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_importing_the_agents_starts_nothing(tmp_path):
    libraries = ["torch", "transformers", "peft"]
    _, before, after = import_in_new_process(MODULES["pivot_agents"], tmp_path, libraries)
    # transformers loads parts of itself when they are first named, and they set variables.
    del before["environment"], after["environment"]
    assert before == after


@pytest.mark.parametrize("package", PACKAGES)
def test_all_names_what_is_importable(package):
    for name in MODULES[package]:
        if name in PROGRAMS:
            continue
        module = importlib.import_module(name)
        exported = getattr(module, "__all__", [])
        assert sorted(set(exported)) == sorted(exported), name
        assert [one for one in exported if not hasattr(module, one)] == [], name


@pytest.mark.parametrize("package", ["pivot_envs", "wrappers"])
def test_a_package_exports_everything_that_it_imports_by_name(package):
    module = importlib.import_module(package)
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    imported = [
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
    assert sorted(module.__all__) == sorted(imported)


def test_the_program_in_the_box_needs_nothing_but_the_standard_library():
    # pytest runs in the box too; the last name is for the type checker.
    own = {"code_cache", "pivot_envs.sandbox.agent.code_cache"}
    allowed = sys.stdlib_module_names | {"_pytest", "pytest"}
    for path in (ROOT / "pivot_envs/sandbox/agent").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [str(node.module)]
            else:
                continue
            needed = [name for name in names if name not in own]
            foreign = [name for name in needed if name.partition(".")[0] not in allowed]
            assert foreign == [], path.name


def test_the_layers_are_kept():
    program = Path(sys.executable).with_name("lint-imports")
    if not program.exists():
        pytest.skip("import-linter is not installed; it comes with the extra dev")
    finished = subprocess.run(
        [str(program), "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stdout

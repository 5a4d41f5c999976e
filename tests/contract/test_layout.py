"""The house: what may import what, how long a file may be, and that all of it is in the package."""

from __future__ import annotations

import ast
import shutil
import statistics
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("core", "plugins", "observability", "sql")
LONGEST, MEDIAN = 400, 120


def tracked(*suffixes: str) -> list[Path]:
    """Files of the four folders that git knows or would add."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *FOLDERS]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    paths = [Path(name) for name in names if (ROOT / name).exists()]
    return [path for path in paths if not suffixes or path.suffix in suffixes]


def imports(path: Path) -> list[str]:
    """Every module that a file imports, at any depth."""
    found = []
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.append(node.module)
    return found


def test_imports_go_one_way() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_nothing_imports_our_folders_by_their_bare_names() -> None:
    """Two module objects for one file would each have their own classes and registries."""
    tests = [path.relative_to(ROOT) for path in (ROOT / "tests").rglob("*.py")]
    bare = [
        f"{path}: {name}"
        for path in [*tracked(".py"), *tests]
        for name in imports(path)
        if name.split(".")[0] in FOLDERS
    ]
    assert not bare


def test_declarations_import_nothing_of_ours() -> None:
    assert not [name for name in imports(Path("core/declarations.py")) if name.startswith("cito")]


def test_plugins_and_observability_never_import_each_other() -> None:
    wrong = []
    for path in tracked(".py"):
        own = ".".join(("cito", *path.parts[:2])) if path.parts[0] == "plugins" else f"cito.{path.parts[0]}"
        for name in imports(path):
            domain = ".".join(name.split(".")[:3])
            foreign = name.startswith("cito.plugins.") and domain not in (own, "cito.plugins.clinical")
            foreign |= name.startswith("cito.observability") and own != "cito.observability"
            if foreign and not name.startswith(own):
                wrong.append(f"{path}: {name}")
    assert not wrong


def test_files_are_short() -> None:
    lengths = {str(path): len((ROOT / path).read_text().splitlines()) for path in tracked(".py")}
    code = {path: lines for path, lines in lengths.items() if lines > 5 and path != "core/hookspecs.py"}
    assert not {path: lines for path, lines in code.items() if lines > LONGEST}
    assert statistics.median(code.values()) <= MEDIAN


@pytest.fixture(scope="module")
def mapped() -> dict[str, str]:
    """Folder -> package, as pyproject.toml maps them."""
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    roots = {folder: f"cito.{folder}" for folder in FOLDERS}
    assert {package: folder for folder, package in roots.items()}.items() <= tool["package-dir"].items()
    return {package.removeprefix("cito.").replace(".", "/"): package for package in tool["packages"]}


def test_the_list_of_packages_is_the_tree(mapped: dict[str, str]) -> None:
    folders = {str(path.parent) for path in tracked(".py")} | {"sql"}
    assert set(mapped) == folders
    without = [folder for folder in folders if not (ROOT / folder / "__init__.py").exists()]
    assert not without, "a package without __init__.py"


def test_a_wheel_holds_every_file(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for path in [*tracked(), Path("pyproject.toml"), Path("README.md"), Path("LICENSE")]:
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, source / path)
    command = [
        Path(sys.executable).with_name("uv"),
        "build",
        "--wheel",
        "--quiet",
        "--offline",
        "--no-build-isolation",
    ]
    command += ["--python", sys.executable, "--out-dir", tmp_path, source]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    held = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("cito/")}
    assert held == {f"cito/{path}" for path in tracked()}

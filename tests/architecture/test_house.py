"""The house rules of the code: who may import whom, what every module has, what must run on old Pythons."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = ("bundle", "builder", "installer", "validator", "recovery")
FAR_SIDE = ("bundle", "installer", "validator", "recovery")
ENTRIES = ("enterprise_validator.py", "recovery_assistant.py", "bundle_template/04_Scripts/install.py")

# Which of our own packages each package may import, beside itself.
MAY_IMPORT = {
    "bundle": set(),
    "builder": {"bundle"},
    "installer": {"bundle"},
    "validator": {"bundle"},
    "recovery": {"bundle", "validator", "installer"},
}
# What the builder may use that is not the standard library: the root project's dependencies.
BUILDER_LIBRARIES = {
    "cryptography",
    "cyclonedx",
    "httpx",
    "httpx2",  # what huggingface_hub speaks with: its exceptions have to be caught
    "huggingface_hub",
    "packageurl",  # part of cyclonedx-python-lib, which takes its objects
    "packaging",
    "rich",
    "uv",
}
# What the conversion's child process may use besides; the builder itself imports none of these modules.
CONVERSION = ROOT / "builder/models/convert"
CONVERSION_LIBRARIES = {"numpy", "onnx", "onnxruntime", "safetensors", "tokenizers", "torch", "transformers"}
CONVERSION_DOOR = ("__init__", "child", "interpreter", "job", "run", "worker")
# psutil is used where it happens to be; nothing depends on it.
OPTIONAL = {"validator": {"psutil"}}
# Inside the service dependencies point inward.
LAYERS = ("domain", "application", "adapters", "entrypoints")
LAYER_MAY_IMPORT = {
    "domain": set(),
    "application": {"domain"},
    "adapters": {"domain", "application"},
    "entrypoints": {"domain", "application"},
}


def modules(folder: Path) -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(folder.rglob("*.py")):
        yield path, ast.parse(path.read_text(encoding="utf-8"), str(path))


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_only_what_their_room_allows(package: str) -> None:
    allowed = MAY_IMPORT[package] | {package} | OPTIONAL.get(package, set())
    allowed |= BUILDER_LIBRARIES if package == "builder" else set()
    wrong = [
        f"{path.relative_to(ROOT)}: {name}"
        for path, tree in modules(ROOT / package)
        for name in imported(tree)
        if name.split(".")[0]
        not in sys.stdlib_module_names | allowed | (CONVERSION_LIBRARIES if _in_child(path) else set())
    ]
    assert not wrong


def _in_child(path: Path) -> bool:
    return path.parent == CONVERSION and path.stem not in CONVERSION_DOOR


def test_the_conversions_door_imports_none_of_its_child_at_the_top() -> None:
    for name in CONVERSION_DOOR:
        tree = ast.parse((CONVERSION / f"{name}.py").read_text(encoding="utf-8"))
        taken = [
            alias.name
            for node in tree.body
            if isinstance(node, ast.ImportFrom) and node.level == 1
            for alias in ([ast.alias(node.module)] if node.module else node.names)
        ]
        assert set(taken) <= {*CONVERSION_DOOR}, name


def test_only_the_bootstrap_of_the_builder_avoids_libraries() -> None:
    tree = ast.parse((ROOT / "builder/bootstrap.py").read_text(encoding="utf-8"))
    outside = {name.split(".")[0] for name in imported(tree)} - set(sys.stdlib_module_names) - {"bundle"}
    assert not outside
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level]


@pytest.mark.parametrize("layer", LAYERS)
def test_dependencies_of_the_service_point_inward(layer: str) -> None:
    root = ROOT / "service/src/ragtrace"
    wrong = []
    for path, tree in modules(root / layer):
        for node in ast.walk(tree):
            if not isinstance(node, ast.ImportFrom):
                continue
            parts = list(path.relative_to(root).parts[: -node.level]) if node.level else []
            parts += (node.module or "").split(".")
            parts = parts[1:] if parts[:1] == ["ragtrace"] else parts
            names = {parts[0]} if parts and parts[0] in LAYERS else set()
            if names - LAYER_MAY_IMPORT[layer] - {layer}:
                wrong.append(f"{path.relative_to(root)}: {'.'.join(parts)}")
    assert not wrong


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_says_what_it_is(package: str) -> None:
    silent = [
        str(path.relative_to(ROOT)) for path, tree in modules(ROOT / package) if not ast.get_docstring(tree)
    ]
    assert not silent


@pytest.mark.parametrize("package", FAR_SIDE)
def test_the_far_side_is_python_3_9_syntax(package: str) -> None:
    for path in [*sorted((ROOT / package).rglob("*.py")), *(ROOT / name for name in ENTRIES)]:
        ast.parse(path.read_text(encoding="utf-8"), str(path), feature_version=(3, 9))


@pytest.mark.parametrize("package", FAR_SIDE)
def test_the_far_side_evaluates_no_new_style_unions(package: str) -> None:
    """`X | None` outside annotations is evaluated, and fails before Python 3.10."""
    for path, tree in modules(ROOT / package):
        future = any(isinstance(n, ast.ImportFrom) and n.module == "__future__" for n in tree.body)
        assert future or not [n for n in ast.walk(tree) if isinstance(n, ast.AnnAssign)], path
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dataclass":
                used = {keyword.arg for keyword in node.keywords}
                assert not used & {"slots", "kw_only"}, f"{path}:{node.lineno}"
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "zip":
                assert not node.keywords, f"{path}:{node.lineno}"


@pytest.mark.parametrize("package", [*PACKAGES, "service/src/ragtrace"])
def test_modules_stay_readable(package: str) -> None:
    long = [
        f"{path.relative_to(ROOT)}: {lines}"
        for path, _ in modules(ROOT / package)
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 650
    ]
    assert not long


@pytest.mark.parametrize("package", [*PACKAGES, "service/src/ragtrace"])
def test_no_shell_no_pickle_no_eval_no_bare_except(package: str) -> None:
    wrong = []
    for path, tree in modules(ROOT / package):
        for node in ast.walk(tree):
            if isinstance(node, ast.ExceptHandler) and node.type is None:
                wrong.append(f"{path}:{node.lineno} bare except")
            if isinstance(node, ast.keyword) and node.arg == "shell":
                wrong.append(f"{path}:{node.value.lineno} shell=")
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "extractall"
            ):
                wrong.append(f"{path}:{node.lineno} extractall")
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in ("eval", "exec")
            ):
                wrong.append(f"{path}:{node.lineno} {node.func.id}")
        wrong += [f"{path}: {name}" for name in imported(tree) if name in ("pickle", "marshal", "shelve")]
    assert not wrong

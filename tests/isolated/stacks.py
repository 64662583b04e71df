"""Popular stacks that we did not write, as projects to lock against PyPI, plan for every target, and pack.

Each has an importable module, so that a build has a wheel of its own to carry.
"""

from __future__ import annotations

from pathlib import Path

_PROJECT = """\
[project]
name = "{name}"
version = "1.0.0"
requires-python = ">=3.11,<3.14"
dependencies = [{dependencies}]

[build-system]
requires = ["uv_build"]
build-backend = "uv_build"

# What PyPI publishes later does not change what the tests find.
[tool.uv]
exclude-newer = "2026-11-20T00:00:00Z"
"""

_DEPENDENCIES = {
    # A data page: pyarrow and pandas, wheels of every kind, one package that some systems do not need.
    "streamlit-app": ("streamlit", "pandas", "plotly", "openpyxl"),
    # A service with a database: C extensions, extras, a package that only has sdists on some systems.
    "fastapi-service": (
        "fastapi",
        "uvicorn[standard]",
        "sqlalchemy[asyncio]",
        "alembic",
        "psycopg[binary]",
        "pydantic-settings",
        "httpx",
        "beautifulsoup4",
    ),
    # Weights at run time: gigabytes of CUDA on Linux, none elsewhere; for plans, not for carrying in a test.
    "torch-transformers": ("torch", "transformers", "accelerate", "sentencepiece", "safetensors"),
}

STACKS = {
    name: _PROJECT.format(name=name, dependencies=", ".join(f'"{item}"' for item in dependencies))
    for name, dependencies in _DEPENDENCIES.items()
}


def write_stack(name: str, folder: Path) -> Path:
    """Write the project of a stack into `folder`, not yet locked, and return it."""
    package = folder / "src" / name.replace("-", "_")
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(f'"""{name}."""\n', encoding="utf-8")
    (folder / "pyproject.toml").write_text(STACKS[name], encoding="utf-8")
    return folder

"""Become the active release's service, in a container: no service manager, the environment decides.

Run by entrypoint.sh out of the release itself. What is started, with which environment, is the installer's word
(`installer.service.define`), so that a container runs exactly what a host would.

    serve               become the service: signals reach it, its exit status is the container's
    healthy             exit 0 when it answers as this release and says that it is ready
    ragtrace COMMAND…   become another command of the service's package, for example `ragtrace migrate`
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(SCRIPTS))

from bundle.errors import RagTraceError, UsageProblem  # noqa: E402
from bundle.text import Text, choose_language  # noqa: E402
from installer.children import minimal_environment  # noqa: E402
from installer.filesystem import make_directory  # noqa: E402
from installer.health import probe  # noqa: E402
from installer.hosts.interface import ServiceDefinition  # noqa: E402
from installer.paths import Prefix  # noqa: E402
from installer.service import define, manifest_of  # noqa: E402
from installer.settings import ServiceSettings, read_environment  # noqa: E402

# <prefix>/generations/<name>/tools/04_Scripts/docker/run.py
GENERATION = SCRIPTS.parent.parent
PREFIX = Prefix(GENERATION.parent.parent)
PASSED_ON = ("HOME", "TZ", "TMPDIR")


def main(words: list[str]) -> int:
    """Do one of the three things; the first and the last only return after a failure."""
    environment = container_environment()
    definition = described(environment)
    if words == ["healthy"]:
        problem = probe(definition)
        print("ok" if problem is None else problem.to(choose_language(None)))  # noqa: T201
        return 0 if problem is None else 1
    if words[:1] not in ([], ["serve"], ["ragtrace"]):
        raise UsageProblem(
            Text(f"알 수 없는 명령: {words[0]}", f"unknown command: {words[0]}"),
            hint=Text("serve, healthy, ragtrace …", "serve, healthy, ragtrace …"),
        )
    fill_volumes(GENERATION / "config.default")
    command = list(definition.command)
    if words[:1] == ["ragtrace"]:
        command = [*command[:3], *words[1:]]
    os.chdir(PREFIX.data)
    os.execve(command[0], command, {**minimal_environment({}), **definition.environment, **environment})
    return 70


def container_environment() -> dict[str, str]:
    """Return the service's variables: those of config/.env, then those that the container was started with."""
    given = {
        name: value for name, value in os.environ.items() if name.startswith("RAGTRACE_") or name in PASSED_ON
    }
    return {**read_environment(PREFIX), **given}


def described(environment: dict[str, str]) -> ServiceDefinition:
    """Return what to run, at the address that the environment gives."""
    service = manifest_of(PREFIX, GENERATION.name).service
    assert service is not None, "only bundles with a service carry this file"
    settings = ServiceSettings("none", "ragtrace", "", service.host, service.port, True)
    definition = define(PREFIX, GENERATION.name, settings.with_address(environment))
    assert definition is not None
    return definition


def fill_volumes(defaults: Path) -> None:
    """Make what an empty volume lacks: folders, and the configuration as the release brings it."""
    data = PREFIX.data
    for folder in (data / "documents", data / "index", PREFIX.logs, data / "cache", data / "cache/pycache"):
        make_directory(folder, 0o750)
    for default in sorted(defaults.iterdir()) if defaults.is_dir() else []:
        place = PREFIX.config / default.name
        if default.is_file() and not place.exists():
            shutil.copyfile(default, place)
            place.chmod(0o600)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except RagTraceError as error:
        sys.stderr.write(error.render(choose_language(None)) + "\n")
        sys.exit(error.exit_code)
    except OSError as error:
        # Most often a volume that does not belong to the container's user.
        sys.stderr.write(f"{error}\n  next: chown -R 10001:10001 data config\n")
        sys.exit(12)

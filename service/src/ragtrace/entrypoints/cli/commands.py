"""What each command does, between the arguments and the use cases."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from ragtrace import __version__
from ragtrace.bootstrap import Container
from ragtrace.entrypoints.cli import vectors
from ragtrace.entrypoints.cli.console import Console
from ragtrace.errors import BusyProblem, StorageProblem
from ragtrace.settings import Settings
from ragtrace.text import Text


def status(container: Container, _arguments: argparse.Namespace, console: Console) -> int:
    """Say what is stored, whether the index is in step, and whether the service answers."""
    from ragtrace.application.reconcile import in_step

    documents, chunks = container.records.counts()
    settings = container.settings
    facts: dict[str, Any] = {
        "version": __version__,
        "generation": os.environ.get("RAGTRACE_GENERATION", ""),
        "home": str(settings.home),
        "data": str(settings.data_folder),
        "documents": documents,
        "chunks": chunks,
        "index_chunks": container.index.size(),
        "index_in_step": in_step(container.records, container.index, container.analyzer),
        "service": _probe(settings),
    }
    facts.update(vectors.facts(container))
    for key, value in facts.items():
        console.say(f"{key:14} {value}")
    console.data(facts)
    return 0


def migrate(container: Container, _arguments: argparse.Namespace, console: Console) -> int:
    """Bring the data to this release's format; nothing is done where it has it already."""
    refuse_while_running(container)
    before, after = container.data.migrate(console.talk)
    if before == after:
        console.say(Text(f"데이터의 형식은 {after}입니다.", f"The data has format {after}."))
    else:
        console.say(
            Text(
                f"데이터의 형식을 {before}에서 {after}(으)로 바꾸었습니다.",
                f"Brought the data from format {before} to {after}.",
            )
        )
    console.data({"before": before, "after": after})
    return 0


def refuse_while_running(container: Container) -> None:
    """Raise `BusyProblem` where the service of this configuration answers, ready or not."""
    if _probe(container.settings) in ("ready", "starting", "not_ready"):
        raise BusyProblem(
            Text("서비스가 이 데이터를 쓰고 있습니다.", "The service is using this data."),
            where=str(container.settings.data_folder),
            state=Text("아무것도 바뀌지 않았습니다.", "Nothing was changed."),
            hint=Text(
                "서비스를 멈춘 뒤 실행하십시오: install.py --stop",
                "Stop the service first: install.py --stop",
            ),
        )


def _probe(settings: Settings) -> str:
    """Ask the service of this configuration how it is; `not running` where nobody answers."""
    import http.client
    import json

    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.server.host, settings.server.host)
    connection = http.client.HTTPConnection(host, settings.server.port, timeout=3)
    try:
        connection.request("GET", "/readyz")
        answer = json.loads(connection.getresponse().read(65536))
        return str(answer["status"])
    except (OSError, http.client.HTTPException):
        return "not running"
    except (ValueError, KeyError, TypeError):
        return "another program answers on this port"
    finally:
        connection.close()


def config_show(container: Container, _arguments: argparse.Namespace, console: Console) -> int:
    """Show the settings in force, defaults included, secrets hidden."""
    import yaml

    from ragtrace.config import shown

    values = shown(container.settings)
    console.say(
        f"# home: {container.settings.home}\n"
        + yaml.safe_dump(values, allow_unicode=True, sort_keys=False).rstrip()
    )
    console.data({"home": str(container.settings.home), **values})
    return 0


def check_folder(folder: Path) -> None:
    """Raise `StorageProblem` when the data folder may not be used by this user."""
    try:
        folder.stat()
        usable = os.access(folder, os.R_OK | os.W_OK | os.X_OK)
    except FileNotFoundError:
        return
    except OSError:
        usable = False
    if not usable:
        raise StorageProblem(
            Text("데이터 폴더를 쓸 권한이 없습니다.", "The data folder may not be used by this user."),
            where=str(folder),
            state=Text("아무것도 바뀌지 않았습니다.", "Nothing was changed."),
            hint=Text(
                "root 또는 서비스 사용자로 실행하십시오.", "Run this as root or as the user of the service."
            ),
        )

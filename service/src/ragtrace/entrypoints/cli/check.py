"""`ragtrace config check`: is a configuration right, before it is the one in force?"""

from __future__ import annotations

import argparse
import json
import os
import sys

from ragtrace.config import HIDDEN, Candidate, Place, is_secret, keys, load_with_origins, shown
from ragtrace.entrypoints.cli.console import Console
from ragtrace.errors import ConfigProblem, InvalidRequest
from ragtrace.limits import CONFIG_BYTES
from ragtrace.search_rules import search_rules
from ragtrace.text import Text


def config_check(place: Place, arguments: argparse.Namespace, console: Console) -> int:
    """Check the configuration, or the candidate on standard input; 0 right, 2 wrong. Nothing is written."""
    candidate = _candidate() if arguments.candidate else Candidate()
    known = {"keys": keys(), "secret": [key for key in keys() if is_secret(key)]}
    try:
        settings, origins = load_with_origins(place, os.environ, candidate)
        # Keys that contradict each other: the service would not start with them.
        search_rules(settings)
    except ConfigProblem as problem:
        console.data(
            {
                **known,
                "ok": False,
                "error": problem.summary._asdict(),
                "where": problem.where,
                "problems": [detail._asdict() for detail in problem.details],
            }
        )
        console.talk(problem.render(console.lang))
        return problem.exit_code
    values = {
        f"{section}.{key}": value for section, body in shown(settings).items() for key, value in body.items()
    }
    for key, value in values.items():
        console.say(f"{key} = {value}  ({origins.get(key, 'default')})")
    console.say(Text("설정이 올바릅니다.", "The configuration is right."))
    console.data({**known, "ok": True, "values": values, "origins": origins, "hidden": HIDDEN})
    return 0


def _candidate() -> Candidate:
    try:
        document = json.loads(sys.stdin.buffer.read(8 * CONFIG_BYTES))
        texts = {name: document.get(name) for name in ("yaml", "env")}
    except (ValueError, AttributeError) as error:
        raise InvalidRequest(
            Text("표준 입력이 JSON 객체가 아닙니다.", "Standard input is not a JSON object.")
        ) from error
    if not all(text is None or isinstance(text, str) for text in texts.values()):
        raise InvalidRequest(Text("yaml과 env는 글이어야 합니다.", "yaml and env are texts."))
    return Candidate(**texts)

"""`python -m tests.isolated.demo`: the whole way, short, for a person to watch."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence

from bundle.text import LANGUAGES, Text, choose_language

from .documents import QUESTIONS
from .host_root import HostKind, fresh_root, run_directory
from .journey import Journey
from .machine import IsolatedHost
from .outbound import OutboundRecorder
from .releases import REPOSITORY, next_versions, project_version
from .story import Story
from .tools import HarnessError, explain_missing, missing_prerequisites


def main(arguments: Sequence[str] | None = None) -> int:
    """Go the whole way once; 0 when everything went as it should, 12 when this machine cannot, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.isolated.demo", description=__doc__)
    parser.add_argument("--lang", choices=LANGUAGES, help="language (default: the locale)")
    lang = choose_language(parser.parse_args(arguments).lang)
    missing = missing_prerequisites()
    if missing:
        print(explain_missing(missing), file=sys.stderr)
        return 12
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return _show(Story(lang))
    except HarnessError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        stopped = Text("중단했습니다. 남은 것은 없습니다.", "Interrupted. Nothing is left running.")
        print(f"\n{stopped.to(lang)}", file=sys.stderr)
        return 130


def _show(story: Story) -> int:
    """Build, boot, install, ask, validate, upgrade, roll back, count outbound attempts."""
    later, _ = next_versions(project_version(REPOSITORY))
    with run_directory() as folder, OutboundRecorder(folder) as recorder:
        host = IsolatedHost(fresh_root(HostKind(), folder / "root"), folder / "console.log")
        journey = Journey(host, recorder, folder, story)
        first = journey.build("first")
        journey.gather_documents()
        journey.boot()
        try:
            unpacked = journey.carry_in(first)
            journey.install("empty", unpacked).expect()
            journey.ingest()
            journey.question(QUESTIONS[:3])
            journey.validate(unpacked)
            second = journey.carry_in(journey.build("second", later))
            journey.install("good", second).expect()
            journey.roll_back(second)
            journey.count_attempts()
        finally:
            host.close()
    return _close(journey)


def _close(journey: Journey) -> int:
    """Say how it went."""
    seen = journey.seen
    first, back = seen.states["first"], seen.states["rollback"]
    same = (back.generation, back.documents, back.sources) == (
        first.generation,
        first.documents,
        first.sources,
    )
    well = (
        same
        and seen.installs["rollback"].returncode == 0
        and seen.attempts == []
        and seen.commands["validator"].returncode in (0, 4)
    )
    seconds = seen.seconds["rollback until answered"]
    if well:
        text = Text(
            f"끝까지 잘 되었습니다. 되돌린 뒤 {seconds:.1f}초 만에 이전 릴리스가 답했고, 외부 접속 시도는 없었습니다.",
            f"All went well: the earlier release answered {seconds:.1f} s after the rollback began; nothing reached out.",
        )
    else:
        text = Text("기대와 다른 것이 있습니다. 위를 보십시오.", "Something was not as expected: see above.")
    journey.story.end(text)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())

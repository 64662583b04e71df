"""`--start`, `--stop`, `--restore-unit` and `--rebuild-index`."""

from __future__ import annotations

import argparse

from bundle.errors import UsageProblem
from bundle.text import Text

from ..console import Console
from ..operations.control import control
from ..paths import Prefix
from .common import report_done


def run(options: argparse.Namespace, prefix: Prefix, console: Console) -> int:
    """Carry out the command."""
    if options.dry_run:
        raise UsageProblem(
            Text("--dry-run은 이 명령에 쓸 수 없습니다", "--dry-run is not for this command"),
            hint=Text("--help에서 이 명령이 하는 일을 볼 수 있습니다", "--help says what this command does"),
        )
    if options.restore_unit:
        from ..operations.unit import restore_unit

        done = restore_unit(prefix, console)
    elif options.rebuild_index:
        from ..operations.reindex import rebuild_index

        done = rebuild_index(prefix, console)
    else:
        done = control(prefix, options.start, console)
    report_done(done, prefix, console)
    return 0

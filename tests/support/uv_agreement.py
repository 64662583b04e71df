"""Compare our selection with uv's for a real project, for every target: run by hand, connected.

python -m tests.support.uv_agreement PROJECT… [--extra NAME]… [--python X.Y]… [--target NAME]…
python -m tests.support.uv_agreement --stacks        those of tests/isolated/stacks.py, locked now
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from builder import inputs, uvtool
from builder.selection.lock import Lock, read_pylock
from builder.selection.select import select
from bundle.text import Text
from tests.isolated.stacks import STACKS, write_stack

from .uv_selection import PLATFORMS, Oracle


def compare(lock: Lock, target: str, pythons: Sequence[str], oracle: Oracle) -> Iterator[tuple[int, str]]:
    """Yield, for each interpreter, how many files were compared and what differs (nothing, if nothing)."""
    spec = inputs.load_target(target)
    for python in pythons:
        selection = select(lock, spec, (python,))
        refused = {item.package for item in selection.obstacles()}
        ours = {item.filename for item in selection.artifacts.values() if item.kind in ("wheel", "sdist")}
        theirs: set[str] = set()
        problems = []
        for patch in ("0", "99"):
            answer = oracle.choose(spec, f"{python}.{patch}", refused)
            theirs |= answer.files
            problems += [answer.refusal] if answer.refusal else []
        problems += [f"uv only: {name}" for name in sorted(theirs - ours)]
        problems += [f"ours only: {name}" for name in sorted(ours - theirs)]
        yield len(ours), "; ".join(problems)


def main() -> int:
    """Compare what the command line asks for; 1 where something differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("projects", nargs="*", type=Path)
    parser.add_argument("--stacks", action="store_true")
    parser.add_argument("--extra", action="append", default=[])
    parser.add_argument("--python", action="append")
    parser.add_argument("--target", action="append", choices=PLATFORMS)
    options = parser.parse_args()
    total = different = 0
    with tempfile.TemporaryDirectory() as work:
        projects = list(options.projects)
        for name in STACKS if options.stacks else ():
            projects.append(write_stack(name, Path(work) / "stacks" / name))
            uvtool.run_uv(["lock"], projects[-1], Text(name, name))
        for number, root in enumerate(projects):
            project = inputs.load_project(root)
            exported = uvtool.export_pylock(project, options.extra, ())
            lock = read_pylock(exported, project.workspace)
            oracle = Oracle(lock, Path(work) / str(number))
            for target in options.target or PLATFORMS:
                pythons = options.python or ("3.11", "3.12", "3.13")
                for count, difference in compare(lock, target, pythons, oracle):
                    total, different = total + count, different + bool(difference)
                    print(f"{project.name} {target}: {count} files {difference or 'the same'}", flush=True)
    print(f"{total} files compared, {different} selections differ")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())

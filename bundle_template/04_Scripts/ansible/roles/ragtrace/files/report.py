"""Write what Ansible knows about the hosts: one file for each, and the table and list of all.

Run on the control host with the outcomes as JSON on standard input; standard library only. One process for all
hosts, because a task of Ansible's own for every file would take longer than many an installation.
"""

import json
import os
import sys


def write(folder: str, name: str, text: str) -> None:
    """Replace one file, so that whoever reads it sees a whole one."""
    place = os.path.join(folder, name)
    with open(place + ".partial", "w", encoding="utf-8") as stream:
        stream.write(text)
    os.replace(place + ".partial", place)


def main() -> None:
    """Write all reports."""
    folder = sys.argv[1]
    os.umask(0o027)
    os.makedirs(folder, exist_ok=True)
    given = json.load(sys.stdin)
    for outcome in given["outcomes"]:
        # A host's name is the inventory's; it must not become a path.
        name = outcome["host"].replace("/", "_").lstrip(".")
        validator = outcome.pop("validator_report", "")
        if validator:
            write(folder, f"{name}.validator.json", validator + "\n")
        write(
            folder, f"{name}.json", json.dumps(outcome, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
        )
    everything = json.dumps(given["outcomes"], ensure_ascii=False, indent=1, sort_keys=True)
    write(folder, "summary.json", everything + "\n")
    write(folder, "summary.txt", given["table"])


if __name__ == "__main__":
    main()

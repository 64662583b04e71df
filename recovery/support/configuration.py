"""What of configuration and unit files leaves: names of keys, and values of a few that say nothing about anybody."""

from __future__ import annotations

import re
from typing import List, Tuple

from bundle.offline import OFFLINE_ENVIRONMENT

# Keys whose value may be told; every other one is only "set".
HARMLESS = frozenset(
    ("server.port", "server.max_body_kb", "server.max_concurrent", "server.stop_timeout_s", "server.language",
     "server.access_log", "analyzer.kind", "analyzer.workers", "analyzer.multiword", "chunks.size", "chunks.least",
     "chunks.overlap", "ingest.max_file_mb", "ingest.batch_documents", "search.top_n", "answer.model",
     "answer.sentences", "answer.min_support", "answer.max_question_chars")
)  # fmt: skip
_VARIABLES = {"RAGTRACE_" + key.replace(".", "_").upper() for key in HARMLESS}
_HARMLESS_VALUE = re.compile(r"[a-z0-9.]{1,16}\Z")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,80}\Z")
_ENTRY = re.compile(r"^( *)(?:- +)?([A-Za-z_][\w.-]{0,80})\s*:(?:\s+(.*))?$")
_SECTION = re.compile(r"\[[A-Z][A-Za-z]{1,20}\]\Z")
_DIRECTIVE = re.compile(
    r"(?:Description|After|Before|Wants|Requires|WantedBy|Type|User|Group|DynamicUser|WorkingDirectory|ExecStart|ExecReload|ExecStop"
    r"|Restart\w*|Timeout\w+|StartLimit\w+|Protect\w+|Private\w+|Restrict\w+|System\w+|Lock\w+|NoNewPrivileges|UMask"
    r"|IPAddress(?:Allow|Deny)|ReadWritePaths|ReadOnlyPaths|InaccessiblePaths|Memory\w+|Tasks\w+|Capability\w+|Ambient\w+"
    r"|KeyringMode|RemoveIPC|KillMode|KillSignal|Nice|OOM\w+|Limit[A-Z]+|Syslog\w+|Standard\w+|EnvironmentFile|Slice"
    r"|Condition\w+|DevicePolicy|DeviceAllow)\Z"
)


def keys_of(name: str, text: str) -> Tuple[str, int]:
    """Return the keys that a configuration file sets, one a line, and how many values were left out."""
    lines, left = _variables(text) if "yaml" not in name else _entries(text)
    return "".join(line + "\n" for line in lines) or "# nothing is set\n", left


def _variables(text: str) -> Tuple[List[str], int]:
    lines, left = [], 0
    for line in text.splitlines():
        key, mark, value = line.strip().partition("=")
        key, value = key.strip().rpartition(" ")[2], value.strip().strip("\"'")
        if not mark or key.startswith(("#", ";")) or not _VARIABLE.match(key):
            left += bool(line.strip()) and not line.lstrip().startswith(("#", ";"))
            continue
        shown = key in _VARIABLES and _HARMLESS_VALUE.match(value)
        left += not shown
        lines.append(f"{key}={value}" if shown else f"{key} ({'set' if value else 'empty'})")
    return lines, left


def _entries(text: str) -> Tuple[List[str], int]:
    lines, left = [], 0
    section = ""
    for line in text.splitlines():
        match = _ENTRY.match(line)
        if match is None:
            left += bool(line.strip()) and not line.lstrip().startswith("#")
            continue
        indent, key, value = (
            len(match.group(1)),
            match.group(2),
            (match.group(3) or "").split(" #")[0].strip(),
        )
        if indent == 0 and not value:
            section = key
            lines.append(f"{key}:")
            continue
        full = f"{section}.{key}" if indent and section else key
        shown = full in HARMLESS and _HARMLESS_VALUE.match(value)
        left += not shown
        lines.append(f"  {full}: {value}" if shown else f"  {full} (set)")
    return lines, left


def unit_of(text: str) -> Tuple[str, int]:
    """Return a unit file's directives; of its environment the names, and the offline switches with their values."""
    lines, left = [], 0
    for line in text.splitlines():
        name, mark, value = line.strip().partition("=")
        if _SECTION.match(line.strip()):
            lines.append(line.strip())
        elif mark and _DIRECTIVE.match(name):
            lines.append(f"{name}={value}")
        elif mark and name == "Environment":
            shown, hidden = _environment(value)
            left += hidden
            lines.append(f"Environment={shown}")
        elif line.strip() and not line.lstrip().startswith(("#", ";")):
            left += 1
    return "".join(line + "\n" for line in lines), left


def _environment(value: str) -> Tuple[str, int]:
    words, left = [], 0
    for word in re.findall(r"\"[^\"]*\"|'[^']*'|\S+", value):
        key, _, setting = word.strip("\"'").partition("=")
        if OFFLINE_ENVIRONMENT.get(key) == setting:
            words.append(f"{key}={setting}")
        else:
            left += 1
            words.append(f"{key}=…" if _VARIABLE.match(key) else "…")
    return " ".join(words), left

"""`--answers FILE`: options of the command line, kept in a file for unattended runs.

INI with one section ``[install]``, or one JSON object; the keys are the long option names without dashes. What the
command line says counts instead. A file says *how*; what is to be done, and what may be destroyed, is said on the
command line.
"""

from __future__ import annotations

import argparse
import configparser
import difflib
import os
import stat
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

from bundle.errors import UsageProblem
from bundle.strictjson import parse
from bundle.text import Text

from .options import command_of, parser

SECTION = "install"
LIMIT_BYTES = 64 * 1024
# Paths in the file start where the file lies: it travels with what it names.
PATHS = ("allowed-signers", "bundle", "delta", "prefix")
# Destroys something, so it has to be typed.
SPOKEN = ("purge-data", "restore-data")
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
_WRITABLE_BY_OTHERS = 0o022


def apply_answers(words: Sequence[str]) -> List[str]:
    """Return the command line with the options of its answers file put in front, where it names one.

    Raises:
        UsageProblem: the file cannot be read or believed, or says something that is no option; every complaint
            is in the details.
    """
    given = list(words)
    path = _named(given)
    if path is None:
        return given
    options = _options()
    problems: List[Text] = []
    made: List[str] = []
    for key, value in _load(path).items():
        action = options.get(key)
        if action is None:
            problems.append(_unknown(key, options))
        elif not _mentioned(action, given):
            made += _words(key, action, value, path.parent, problems)
    if problems:
        raise UsageProblem(
            Text("답변 파일이 잘못되었습니다", "the answers file is wrong"),
            where=str(path),
            details=problems,
            state=Text("아무것도 바꾸지 않았습니다", "nothing was changed"),
            hint=Text(
                "docs/how-to/unattended.md의 예시를 보십시오", "see the template in docs/how-to/unattended.md"
            ),
        )
    return [*made, *given]


def _named(words: Sequence[str]) -> Optional[Path]:
    """Return the file that ``--answers`` names, the last one counting as for the parser."""
    found: Optional[Path] = None
    for index, word in enumerate(words):
        if word.startswith("--answers="):
            found = Path(word.partition("=")[2])
        elif word == "--answers" and index + 1 < len(words):
            found = Path(words[index + 1])
    return None if found is None else Path(os.path.abspath(found.expanduser()))


def _options() -> Dict[str, argparse.Action]:
    """Return what a file may say: every option of the command line that is no command and destroys nothing."""
    made = parser("en", Path("install.py"))
    plain = vars(made.parse_args([]))
    allowed = {}
    for action in made._actions:
        name = action.option_strings[-1][2:] if action.option_strings else ""
        changed = argparse.Namespace(**{**plain, action.dest: True})
        if name in ("", "help", "answers", *SPOKEN) or (
            action.dest in plain and command_of(changed) != "install"
        ):
            continue
        allowed[name] = action
    return allowed


def _mentioned(action: argparse.Action, words: Sequence[str]) -> bool:
    return any(word.partition("=")[0] in action.option_strings for word in words)


def _load(path: Path) -> Dict[str, Any]:
    data = _read(path)
    try:
        text = data.decode("utf-8-sig")
        return _json(text.encode()) if text.lstrip().startswith("{") else _ini(text)
    except (ValueError, configparser.Error) as error:
        reason = " ".join(str(error).split())
        raise UsageProblem(
            Text(f"답변 파일을 읽을 수 없습니다: {reason}", f"the answers file cannot be read: {reason}"),
            where=str(path),
            hint=Text(
                f"[{SECTION}] 구역 하나가 있는 INI이거나 JSON 객체여야 합니다",
                f"it takes INI with one section [{SECTION}], or a JSON object",
            ),
        ) from error


def _read(path: Path) -> bytes:
    try:
        with open(path, "rb") as stream:
            _require_trustworthy(path, os.fstat(stream.fileno()))
            data = stream.read(LIMIT_BYTES + 1)
    except OSError as error:
        raise UsageProblem(
            Text(
                f"답변 파일을 읽을 수 없습니다: {error.strerror}",
                f"the answers file cannot be read: {error.strerror}",
            ),
            where=str(path),
        ) from error
    if len(data) > LIMIT_BYTES:
        raise UsageProblem(Text("답변 파일이 너무 큽니다", "the answers file is too large"), where=str(path))
    return data


def _require_trustworthy(path: Path, status: os.stat_result) -> None:
    """Refuse, as root, a file that somebody else could have written: it says whom to trust."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return
    if status.st_uid != 0 or stat.S_IMODE(status.st_mode) & _WRITABLE_BY_OTHERS:
        raise UsageProblem(
            Text(
                "root가 아닌 사용자가 고칠 수 있는 답변 파일은 쓰지 않습니다",
                "an answers file that others than root can write is not used",
            ),
            where=str(path),
            hint=Text(f"chown root {path} && chmod go-w {path}", f"chown root {path} && chmod go-w {path}"),
        )


def _json(data: bytes) -> Dict[str, Any]:
    return dict(parse(data, "answers").value)


def _ini(text: str) -> Dict[str, Any]:
    reader = configparser.RawConfigParser(default_section="", empty_lines_in_values=False)
    reader.optionxform = str  # type: ignore[assignment, method-assign]
    reader.read_string(text)
    if reader.sections() != [SECTION]:
        raise ValueError(f"sections: {', '.join(reader.sections()) or '-'}; wanted: {SECTION}")
    return dict(reader.items(SECTION))


def _words(key: str, action: argparse.Action, value: object, base: Path, problems: List[Text]) -> List[str]:
    """Return the words for one answer; what is wrong with it is added to `problems`."""
    if action.nargs == 0:
        flag = _flag(value)
        if flag is None:
            problems.append(_wrong(key, value, Text("true 또는 false", "true or false")))
        return [f"--{key}"] if flag else []
    repeated = isinstance(action, argparse._AppendAction)
    values, fits = _values(value, repeated)
    if not fits:
        wanted = (
            Text("문자열 하나 또는 여러 개", "one text or several")
            if repeated
            else Text("값 하나", "one value")
        )
        problems.append(_wrong(key, value, wanted))
        return []
    words = []
    for each in values:
        problem = _misfit(action, each)
        if problem is not None:
            problems.append(_wrong(key, each, problem))
        words.append(f"--{key}={base / each if key in PATHS and not each.startswith('~') else each}")
    return words


def _flag(value: object) -> Optional[bool]:
    if isinstance(value, bool):
        return value
    word = value.lower() if isinstance(value, str) else ""
    return True if word in _TRUE else False if word in _FALSE else None


def _values(value: object, repeated: bool) -> Tuple[List[str], bool]:
    if repeated and isinstance(value, list):
        return [str(each) for each in value], all(isinstance(each, str) and each for each in value)
    if repeated and isinstance(value, str):
        lines = [line.strip() for line in value.splitlines() if line.strip()]
        return lines, bool(lines)
    if isinstance(value, (list, dict, bool)) or value is None:
        return [], False
    return [str(value)], bool(str(value)) and "\n" not in str(value)


def _misfit(action: argparse.Action, value: str) -> Optional[Text]:
    """Return what the option takes where this value is not it."""
    if action.choices is not None and value not in action.choices:
        listed = ", ".join(str(choice) for choice in action.choices)
        return Text(f"다음 중 하나: {listed}", f"one of: {listed}")
    if action.type is int:
        try:
            int(value)
        except ValueError:
            return Text("정수", "a whole number")
    return None


def _wrong(key: str, value: object, wanted: Text) -> Text:
    return Text(
        f"'{key}'에는 {wanted.ko}을(를) 씁니다: {value!r}", f"'{key}' takes {wanted.en}, not {value!r}"
    )


def _unknown(key: str, options: Dict[str, argparse.Action]) -> Text:
    made = parser("en", Path("install.py"))
    if any(f"--{key}" in action.option_strings for action in made._actions):
        return Text(
            f"'{key}'은(는) 파일이 아니라 명령줄에서만 줄 수 있습니다",
            f"'{key}' is said on the command line, not in a file",
        )
    near = difflib.get_close_matches(key.lower().replace("_", "-"), options, n=1, cutoff=0.0)
    return Text(
        f"'{key}'라는 키는 없습니다. 가장 가까운 키: '{near[0]}'",
        f"there is no key '{key}'. The nearest is '{near[0]}'",
    )

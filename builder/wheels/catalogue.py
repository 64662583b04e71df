"""Every check that a wheel or source archive goes through before the cache takes it, by name.

A problem found is a check's name and what was seen; the texts are here and in `docs/reference/wheel-checks.md`,
which is generated from this table.
"""

from __future__ import annotations

from collections.abc import Sequence

from bundle.text import Text
from bundle.zipstructure import Problem

ARCHIVE_CHECKS: dict[str, Text] = {
    "zip-readable": Text(
        "ZIP의 구조를 끝까지 읽을 수 있음", "the structure of the ZIP file can be read to its end"
    ),
    "zip-whole": Text(
        "멤버, 목록, 끝 기록이 파일을 빈틈없이 채움 (앞·뒤·사이에 다른 데이터 없음)",
        "members, directory and end record fill the file: nothing before, between or after them",
    ),
    "zip-overlap": Text("멤버가 서로 겹치지 않음", "no member overlaps another"),
    "zip-directory": Text(
        "각 멤버의 앞머리가 목록과 같음: 이름, 방식, 크기, CRC",
        "every member's own header says what the directory says: name, method, sizes, CRC",
    ),
    "zip-duplicate": Text("같은 이름의 멤버가 없음", "no two members have one name"),
    "zip-case": Text(
        "대소문자만 다르거나 파일이면서 폴더인 이름이 없음",
        "no names that differ only in case, and none that is both file and folder",
    ),
    "zip-name": Text(
        "이름이 상대 경로이고 '..', 역슬래시, 드라이브, 제어 문자가 없으며 한 가지로만 읽힘",
        "names are relative, without '..', backslash, drive or control character, and read one way only",
    ),
    "zip-encrypted": Text("암호화되지 않음", "nothing is encrypted"),
    "zip-method": Text("저장 또는 deflate만 씀", "only stored and deflated members"),
    "zip-link": Text(
        "일반 파일과 폴더뿐 (심볼릭 링크·장치 없음)", "only regular files and folders, no link or device"
    ),
    "zip-size": Text(
        "풀린 크기와 CRC가 선언과 같고 남는 압축 데이터가 없음",
        "what unpacks has the declared size and CRC, and no compressed byte is left over",
    ),
    "zip-bomb": Text("풀린 크기와 멤버 수가 그럴듯함", "unpacked size and number of members are plausible"),
    "tar-readable": Text("tar를 끝까지 읽을 수 있음", "the tar file can be read to its end"),
    "tar-name": Text(
        "이름이 상대 경로이고 밖으로 나가지 않으며 겹치지 않음",
        "names are relative, stay inside and do not repeat",
    ),
    "tar-link": Text(
        "일반 파일과 폴더, 그리고 안쪽 파일을 가리키는 링크뿐",
        "only regular files, folders, and links to files inside",
    ),
    "tar-bomb": Text("풀린 크기와 멤버 수가 그럴듯함", "unpacked size and number of members are plausible"),
}

WHEEL_CHECKS: dict[str, Text] = {
    "wheel-filename": Text(
        "파일 이름이 규격에 맞음", "the file name is a wheel's (name-version[-build]-python-abi-platform)"
    ),
    "wheel-info": Text(
        ".dist-info 폴더가 하나이고 파일 이름과 같은 이름·버전",
        "exactly one .dist-info folder, with the file name's name and version; METADATA, WHEEL, RECORD in it",
    ),
    "wheel-metadata": Text(
        "METADATA의 이름과 버전이 파일 이름과 같음", "METADATA has the file name's name and version"
    ),
    "wheel-tags": Text(
        "WHEEL의 Tag가 파일 이름과 같은 인터프리터·ABI·시스템·프로세서를 말함",
        "the Tag lines of WHEEL, expanded, share interpreter, ABI, system and processor with the file name",
    ),
    "wheel-format": Text(
        "Wheel-Version 1.x와 Root-Is-Purelib가 있음",
        "WHEEL states Wheel-Version 1.x and Root-Is-Purelib true or false",
    ),
    "record-form": Text(
        "RECORD가 세 칸짜리 표이고 이름이 겹치지 않음",
        "RECORD is a table of three columns that names every file once",
    ),
    "record-complete": Text(
        "모든 파일이 RECORD에 있고 RECORD의 모든 이름이 파일로 있음",
        "every file is in RECORD, and everything in RECORD is a file",
    ),
    "record-strong": Text("RECORD의 해시가 SHA-256 이상", "RECORD's hashes are SHA-256 or stronger"),
    "record-true": Text("파일의 해시와 크기가 RECORD와 같음", "every file has RECORD's hash and size"),
    "data-scheme": Text(
        ".data 폴더는 자기 것 하나뿐이고 알려진 스킴만 가짐",
        "only the wheel's own .data folder, holding purelib, platlib, headers, scripts or data",
    ),
    "data-confined": Text(
        ".data의 파일이 환경의 인터프리터, pyvenv.cfg, 다른 패키지를 덮지 않음",
        "no .data file lands on the environment's interpreter, its pyvenv.cfg or its packages",
    ),
    "script-name": Text(
        "명령 이름이 경로가 아니고 python·pip·uv·activate를 가리지 않음",
        "names of commands are no paths and shadow neither python nor pip, uv or activate",
    ),
    "entry-point": Text(
        "entry_points.txt를 읽을 수 있고 명령이 '모듈:객체'를 가리킴",
        "entry_points.txt can be read, and every command points to module:object",
    ),
    "pth-confined": Text(
        ".pth 파일이 환경 밖의 폴더를 경로에 넣지 않음",
        "no .pth file puts a folder outside the environment on the path",
    ),
}

CHECKS = {**ARCHIVE_CHECKS, **WHEEL_CHECKS}


def page() -> str:
    """Return the reference page of these checks."""
    parts = [_HEAD]
    for title, checks in (("Archives", ARCHIVE_CHECKS), ("Wheels", WHEEL_CHECKS)):
        parts.append(f"\n## {title}\n\n| check | what must hold | 무엇이 맞아야 하는가 |\n|---|---|---|\n")
        parts += [f"| `{name}` | {text.en} | {text.ko} |\n" for name, text in checks.items()]
    return "".join([*parts, _TAIL])


def text_of(problem: Problem) -> Text:
    """Return a problem as one line."""
    meaning = CHECKS[problem.check]
    return Text(
        f"{problem.check}: {problem.detail} ({meaning.ko})",
        f"{problem.check}: {problem.detail} ({meaning.en})",
    )


def lines(problems: Sequence[Problem]) -> list[Text]:
    """Return the problems as lines, the first twenty in full."""
    shown = [text_of(problem) for problem in problems[:20]]
    rest = len(problems) - len(shown)
    return [*shown, Text(f"… 그 밖에 {rest}건", f"… and {rest} more")] if rest else shown


_HEAD = """# Checks of wheels and source archives

Generated by `make docs` from `builder/wheels/catalogue.py`; do not edit.

Every wheel - downloaded or built here - and every source archive goes through these before the cache takes
it. Neither pip nor uv compares a wheel with its RECORD, and both read some malformed ZIP files differently;
a file that could mean two things is refused. An archive that fails is not kept, and the error names each check.
"""
_TAIL = """
## What is listed, not refused

The review dossier shows, per wheel: `.pth` files and `sitecustomize`/`usercustomize` modules (they run at every
start of the interpreter; setuptools itself brings one), native libraries, commands, licence files and the SBOMs of
vendored parts (`*.dist-info/sboms/`).

Accepted without a word: Tag lines with another platform version than the file name's (several published wheels
were renamed from `linux_x86_64` to a manylinux tag; installers go by the file name), a Root-Is-Purelib that
contradicts the tags (in an environment both mean the same folder), and RECORD digests in hexadecimal.
"""

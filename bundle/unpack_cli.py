"""The command line of ``unpack.py``: archive or volumes in, a verified bundle out."""

from __future__ import annotations

import argparse
import contextlib
import errno
import signal
import sys
from io import RawIOBase
from pathlib import Path
from typing import Callable, Iterator, List, Optional, Sequence, Tuple

from . import layout, limits, verify, volumes, volumeset
from .anchors import given
from .errors import (
    IntegrityError,
    InternalError,
    Interrupted,
    RagTraceError,
    SignatureError,
    SpaceError,
    UsageProblem,
)
from .reading import BundleReader, admit
from .tarstream import TarReader
from .text import LANGUAGES, Text, choose_language, language_argument, wording
from .trust import Anchors, Origin
from .unpack_voice import Voice
from .unpacking import Bases, unpack
from .volumes import VolumeIndex
from .volumeset import VolumeStream

_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run and return the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    lang = choose_language(language_argument(words))
    options = parser(lang).parse_args(words)
    voice = Voice(lang, options.quiet)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return _run(options, voice)
    except RagTraceError as error:
        voice.error(error)
        return error.exit_code
    except KeyboardInterrupt:
        interrupted = Interrupted(
            Text("중단되었습니다", "interrupted"),
            state=Text("완성되지 않은 번들은 남지 않습니다", "no unfinished bundle is left"),
            hint=Text("같은 명령을 다시 실행하십시오", "run the same command again"),
        )
        voice.error(interrupted)
        return interrupted.exit_code
    except Exception as error:  # noqa: BLE001 - told to a person, with its own exit code
        known = _as_known(error)
        voice.error(known)
        return known.exit_code


def _as_known(error: Exception) -> RagTraceError:
    if isinstance(error, OSError) and error.errno in _DISK:
        return SpaceError(
            Text("읽거나 쓸 수 없습니다", "a file or folder cannot be used"),
            where=str(error),
            hint=Text("권한과 남은 공간을 확인하십시오", "check permissions and free space"),
        )
    text = f"{type(error).__name__}: {error}"
    return InternalError(Text(f"내부 오류: {text}", f"internal error: {text}"))


def parser(lang: str) -> argparse.ArgumentParser:
    """Return the argument parser with its help in `lang`."""
    text = wording(lang)
    made = argparse.ArgumentParser(
        prog="unpack.py",
        description=text(
            "반입한 아카이브, 볼륨, 델타를 검증하면서 번들로 풉니다.",
            "Unpack a carried-in archive, volumes or a delta into a bundle, verifying every byte on the way.",
        ),
        epilog=text(
            "종료 코드: 0 완료, 2 사용법, 10 무결성·서명, 11 정책, 22 공간, 130 중단",
            "exit codes: 0 done, 2 usage, 10 integrity or signature, 11 policy, 22 space, 130 interrupted",
        ),
    )
    add = made.add_argument
    add(
        "paths",
        nargs="*",
        type=Path,
        metavar="PATH",
        help=text(
            "아카이브, 볼륨, 볼륨 목록, 또는 그것들이 있는 폴더 (기본: unpack.py의 폴더)",
            "archives, volumes, an index, or folders that hold them (default: the folder of unpack.py)",
        ),
    )
    add(
        "--to",
        type=Path,
        default=Path(),
        metavar="DIR",
        help=text("풀 곳 (기본: 현재 폴더)", "where to unpack (default: here)"),
    )
    add(
        "--base",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help=text(
            "델타의 기준 번들이 풀린 폴더 (여러 번 가능)", "where a delta's base is unpacked (repeatable)"
        ),
    )
    add(
        "--verify",
        action="store_true",
        help=text("풀지 않고 검증만; 볼륨 하나도 가능", "only verify; a single volume will do"),
    )
    add(
        "--allowed-signers",
        type=Path,
        metavar="FILE",
        help=text("신뢰하는 서명자 (따로 가져온 파일)", "the signers you trust (a file brought separately)"),
    )
    add(
        "--trust-fingerprint",
        action="append",
        default=[],
        metavar="SHA256:…",
        help=text("신뢰하는 키의 지문", "the fingerprint of a key you trust"),
    )
    add(
        "--require-signatures",
        type=int,
        default=1,
        metavar="N",
        help=text(
            "신뢰하는 서명자가 몇 명이어야 하는지 (기본 1)",
            "how many trusted keys must have signed (default: 1)",
        ),
    )
    add(
        "--allow-unverified-origin",
        action="store_true",
        help=text("출처를 확인하지 않고 진행", "go on without verifying the origin"),
    )
    add("--lang", choices=LANGUAGES, help=text("언어 (기본: 로캘)", "language (default: the locale)"))
    add("--quiet", action="store_true", help=text("결과와 오류만", "only results and errors"))
    return made


def _run(options: argparse.Namespace, voice: Voice) -> int:
    anchors = given(options.allowed_signers, options.trust_fingerprint, options.require_signatures)
    folders, files = _sorted(options.paths)
    wanted = _wanted(folders, files)
    bases = list(options.base)
    single = [path for path in files if path.suffix[1:].isdigit()]
    for path in wanted:
        if options.verify:
            _verify(path, folders, single, anchors, options, voice)
            continue
        with _opened(path, folders, anchors, options, voice) as (stream, _, name):
            reader = BundleReader(TarReader(stream, name), anchors)
            admit(reader.signed, anchors, options.allow_unverified_origin)
            manifest = reader.signed.manifest
            voice.note(reader.signed.origin.explanation)
            total = sum(entry.size for entry in manifest.files)
            on_bytes = voice.stage(Text(f"{name} 풀기", f"unpacking {name}"), total)
            place = unpack(reader, options.to, Bases(bases), on_bytes)
        bases.insert(0, place)
        voice.result(
            Text(
                f"풀었습니다: {place} (파일 {len(manifest.files)}개, 모두 확인됨)\n"
                f"다음: python3 {place / layout.SCRIPTS / 'install.py'}",
                f"unpacked: {place} ({len(manifest.files)} files, every one verified)\n"
                f"next: python3 {place / layout.SCRIPTS / 'install.py'}",
            )
        )
    return 0


def _sorted(paths: Sequence[Path]) -> Tuple[List[Path], List[Path]]:
    """Return the folders to look into and the files that were named."""
    given = list(paths) or [Path(sys.argv[0]).resolve().parent]
    files = [path for path in given if not path.is_dir()]
    for path in files:
        if volumes.index_of(path) is None and not path.name.endswith(volumes.ARCHIVE_SUFFIX):
            raise UsageProblem(
                Text("아카이브도 볼륨도 아닙니다", "neither an archive nor a volume"), where=str(path)
            )
    folders = [path for path in given if path.is_dir()] + [path.parent for path in files]
    return list(dict.fromkeys(folders)), files


def _wanted(folders: Sequence[Path], files: Sequence[Path]) -> List[Path]:
    """Return the archives and indexes to work on, each once, in the order given."""
    if files:
        return list(dict.fromkeys(_index_place(volumes.index_of(path), folders) or path for path in files))
    found = [
        path
        for folder in folders
        for path in sorted(folder.iterdir())
        if path.name.endswith((volumes.INDEX_SUFFIX, volumes.ARCHIVE_SUFFIX))
    ]
    unique = list({path.name: path for path in reversed(found)}.values())
    if len(unique) != 1:
        raise UsageProblem(
            Text(
                f"풀 것을 하나 지정하십시오 ({len(unique)}개 있음)",
                f"name the one to unpack: {len(unique)} found",
            ),
            where=", ".join(map(str, folders)),
            details=[Text(str(path), str(path)) for path in reversed(unique)],
        )
    return unique


def _index_place(index: Optional[Path], folders: Sequence[Path]) -> Optional[Path]:
    if index is None:
        return None
    places = [index, *(folder / index.name for folder in folders)]
    for place in places:
        if place.is_file():
            return place
    raise IntegrityError(
        Text("볼륨 목록이 없습니다", "the index of the volumes is missing"),
        where=str(index),
        hint=Text(
            f"{index.name}과 그 서명을 볼륨 옆에 두거나 그 폴더를 함께 지정하십시오",
            f"put {index.name} and its signature beside the volume, or name its folder too",
        ),
    )


@contextlib.contextmanager
def _opened(
    path: Path, folders: Sequence[Path], anchors: Anchors, options: argparse.Namespace, voice: Voice
) -> Iterator[Tuple[Callable[[int], bytes], int, str]]:
    """Give a way to read the archive, its size and its name; of a damaged volume its name, not what came of it."""
    if not path.name.endswith(volumes.INDEX_SUFFIX):
        try:
            size, raw = path.stat().st_size, path.open("rb", buffering=0)
        except OSError as error:
            raise UsageProblem(
                Text("아카이브를 읽을 수 없습니다", "the archive cannot be read"), where=str(error)
            ) from error
        with raw:
            yield _readable(raw, path), size, path.name
        return
    index, _ = _index(path, anchors, options)
    ask = _asking(voice, folders) if sys.stdin.isatty() else None
    found = volumeset.find(index, folders)
    for problem in found.problems:
        voice.note(problem)
    if found.missing and ask is None:
        raise volumeset.complaint(found.problems, found.missing, str(path))
    stream = VolumeStream(index, folders, ask)
    try:
        yield stream.read, index.archive.size, index.archive.name
    except (IntegrityError, SignatureError):
        stream.blame()
        raise
    finally:
        stream.close()


def _readable(raw: RawIOBase, path: Path) -> Callable[[int], bytes]:
    """Return a way to read that tells a bad medium from a bad place to unpack to."""

    def read(count: int) -> bytes:
        try:
            return raw.read(count) or b""
        except OSError as error:
            raise IntegrityError(
                Text("아카이브를 읽을 수 없습니다", "the archive cannot be read"),
                where=f"{path}: {error}",
                hint=Text("매체를 확인하고 다시 복사하십시오", "check the medium and copy it again"),
            ) from error

    return read


def _index(path: Path, anchors: Anchors, options: argparse.Namespace) -> Tuple[VolumeIndex, Origin]:
    index, origin = volumes.read_index(path, verify.read_capped(path, limits.INDEX_BYTES) or b"", anchors)
    verify.require_origin(origin, options.allow_unverified_origin)
    return index, origin


def _asking(voice: Voice, folders: Sequence[Path]) -> volumeset.Ask:
    def ask(name: str) -> Optional[Path]:
        answer = voice.ask(
            Text(
                f"{name}이(가) 없습니다. 다음 매체를 넣고 Enter를 누르거나 폴더를 입력하십시오 (q: 그만): ",
                f"{name} is not there. Insert the next medium and press Enter, or type its folder (q: stop): ",
            )
        )
        if answer.lower() == "q":
            return None
        return Path(answer) if answer else folders[0]

    return ask


def _verify(
    path: Path,
    folders: Sequence[Path],
    single: Sequence[Path],
    anchors: Anchors,
    options: argparse.Namespace,
    voice: Voice,
) -> None:
    if path.name.endswith(volumes.INDEX_SUFFIX):
        index, origin = _index(path, anchors, options)
        count = volumeset.check(index, folders, single, str(path), voice.stage)
        whole = "" if count == len(index.volumes) else f" / {len(index.volumes)}"
        voice.result(
            Text(
                f"온전합니다: {index.archive.name}의 볼륨 {count}개{whole}. {origin.explanation.ko}",
                f"intact: {count}{whole} volume(s) of {index.archive.name}. {origin.explanation.en}",
            )
        )
        return
    with _opened(path, folders, anchors, options, voice) as (stream, size, name):
        reader = BundleReader(TarReader(stream, name), anchors)
        admit(reader.signed, anchors, options.allow_unverified_origin)
        count = reader.verify_files(voice.stage(Text(f"{name} 검증", f"verifying {name}"), size))
    explanation = reader.signed.origin.explanation
    base = reader.delta.base.text() if reader.delta is not None else None
    ko = f" 기준 번들: {base.ko}." if base is not None else ""
    en = f" Base: {base.en}." if base is not None else ""
    voice.result(
        Text(
            f"온전합니다: {name}의 파일 {count}개.{ko} {explanation.ko}",
            f"intact: {count} files of {name}.{en} {explanation.en}",
        )
    )

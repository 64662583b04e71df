"""SHA-256 of files: streamed, while copying, and of many files on all cores."""

from __future__ import annotations

import hashlib
import itertools
import os
import sys
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Callable, Iterable, Iterator, List, Optional, Tuple, Union

from . import limits
from .atomic import fsync_file
from .errors import IntegrityError
from .text import Text

OnBytes = Callable[[int], None]
HashOutcome = Tuple[Path, int, Union[str, OSError]]
_SINGLE = 100
_BATCH = 40


def sha256_bytes(data: bytes) -> str:
    """Return the hexadecimal SHA-256 of `data`."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path, on_bytes: Optional[OnBytes] = None) -> Tuple[int, str]:
    """Return size in bytes and hexadecimal SHA-256 of a regular file; links are not followed.

    Raises:
        OSError: the file cannot be read, or is a symbolic link.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
    digest = hashlib.sha256()
    size = 0
    with open(descriptor, "rb", buffering=0) as stream:
        buffer = bytearray(min(limits.CHUNK_BYTES, os.fstat(descriptor).st_size + 1))
        view = memoryview(buffer)
        while True:
            count = stream.readinto(buffer)
            if not count:
                return size, digest.hexdigest()
            digest.update(view[:count])
            size += count
            if on_bytes is not None:
                on_bytes(count)


def copy_hashed(
    source: Path,
    destination: Path,
    mode: int,
    expected: Optional[Tuple[int, str]] = None,
    on_bytes: Optional[OnBytes] = None,
) -> Tuple[int, str]:
    """Copy a file and return its size and SHA-256, hashing the very bytes that are written.

    Args:
        source: a regular file; a symbolic link is an error.
        destination: must not exist yet.
        mode: permission bits of the copy.
        expected: size and hexadecimal SHA-256 the bytes must have.
        on_bytes: called with the number of bytes after each piece.

    Raises:
        IntegrityError: the bytes are not the expected ones; the copy is removed.
        OSError: reading or writing failed.
    """
    digest = hashlib.sha256()
    size = 0
    binary = getattr(os, "O_BINARY", 0)
    reader = os.open(source, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | binary)
    with open(reader, "rb", buffering=0) as stream:
        writer = os.open(destination, os.O_WRONLY | os.O_CREAT | os.O_EXCL | binary, mode)
        with open(writer, "wb", buffering=0) as target:
            while True:
                piece = stream.read(limits.CHUNK_BYTES)
                if not piece:
                    break
                digest.update(piece)
                _write_all(target.fileno(), piece)
                size += len(piece)
                if on_bytes is not None:
                    on_bytes(len(piece))
            if sys.platform != "win32":
                os.fchmod(target.fileno(), mode)
    result = (size, digest.hexdigest())
    if expected is not None and result != expected:
        os.unlink(destination)
        raise IntegrityError(
            Text("파일 내용이 선언된 해시와 다릅니다", "the file's bytes differ from the declared digest"),
            where=str(source),
            hint=Text("번들을 다시 반입하십시오", "carry the bundle in again"),
        )
    return result


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def hash_files(
    paths: Iterable[Path],
    threads: Optional[int] = None,
    on_bytes: Optional[OnBytes] = None,
    *,
    durable: bool = False,
) -> Iterator[HashOutcome]:
    """Yield ``(path, size, sha256-or-OSError)`` for every path, in the order in which they finish.

    Files are read by several threads (hashlib releases the GIL), and at most four batches for each
    thread are in flight, so memory does not grow with the number of files. With `durable` each file is
    also synchronised to the disk by the thread that has just read it; twice as many threads then, because
    they wait for the disk half of the time. Put large files first: they are handed out one by one.
    """
    count = threads or min((2 if durable else 1) * (os.cpu_count() or 1), limits.HASH_THREADS)
    waiting: "set[Future[List[HashOutcome]]]" = set()
    with ThreadPoolExecutor(max_workers=count, thread_name_prefix="hash") as pool:
        for batch in _batches(paths):
            waiting.add(pool.submit(_outcomes, batch, on_bytes, durable))
            if len(waiting) >= 4 * count:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    yield from future.result()
        for future in waiting:
            yield from future.result()


def _batches(paths: Iterable[Path]) -> Iterator[List[Path]]:
    """Give out the first files singly and the rest in batches: handing over costs more than a small file."""
    remaining = iter(paths)
    for path in itertools.islice(remaining, _SINGLE):
        yield [path]
    while True:
        batch = list(itertools.islice(remaining, _BATCH))
        if not batch:
            return
        yield batch


def _outcomes(paths: List[Path], on_bytes: Optional[OnBytes], durable: bool) -> List[HashOutcome]:
    return [_outcome(path, on_bytes, durable) for path in paths]


def _outcome(path: Path, on_bytes: Optional[OnBytes], durable: bool) -> HashOutcome:
    try:
        size, digest = sha256_file(path, on_bytes)
        if durable:
            fsync_file(path)
    except OSError as error:
        return path, 0, error
    return path, size, digest

"""One commit of a git repository as a source tree: fetched, proved to be that commit, read without a checkout.

Nothing of the repository runs: no hooks, no filters, no submodules; blobs are written as they are.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from bundle.errors import BuildError
from bundle.text import Text
from bundle.zipstructure import Malformed

from ..plan import Artifact
from ..wheels.catalogue import text_of
from .trees import SourceTree

# Modes of git entries; what else there is are submodules.
_FILE, _EXECUTABLE, _LINK = "100644", "100755", "120000"
_PIECE = 1 << 20
# Set while git itself runs us (a hook, an alias), they would point at another repository.
_FOREIGN = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE")


def take_commit(item: Artifact, work: Path, tree: SourceTree) -> str:
    """Fetch the artefact's commit into a scratch repository and write its files; return the tree's digest.

    Raises:
        BuildError: git is missing, the repository does not answer or does not have the commit, or the tree
            holds a submodule or a link to nothing.
    """
    program = shutil.which("git")
    if program is None:
        raise BuildError(
            Text("git이 없습니다", "there is no git on this machine"),
            where=f"{item.name}: {item.source}",
            hint=Text(
                "git을 설치하거나 패키지를 색인에 올리십시오",
                "install git, or publish the package to an index",
            ),
        )
    repository = work / "repository"
    form = ["--object-format=sha256"] if len(item.commit) == 64 else []
    _git(program, item, ["init", "--quiet", "--bare", "--template=", *form, str(repository)], work)
    _fetch(program, item, repository)
    try:
        with _Blobs(program, repository) as blobs:
            for mode, blob, name in _entries(program, item, repository):
                if mode in (_FILE, _EXECUTABLE):
                    tree.add(name, blobs.pieces(blob), mode == _EXECUTABLE)
                elif mode == _LINK:
                    tree.add_link(name, b"".join(blobs.pieces(blob)).decode("utf-8", "replace"))
                else:
                    raise Malformed("tar-link", f"{name!r} is a submodule, which is not carried")
        return tree.finish()
    except Malformed as error:
        raise BuildError(
            Text(f"git 소스를 쓸 수 없습니다: {item.name}", f"the git source cannot be used: {item.name}"),
            where=f"{item.source}@{item.commit}",
            details=[text_of(error.problem)],
        ) from error


def _fetch(program: str, item: Artifact, repository: Path) -> None:
    """Ask for the one commit; where the server gives out only branches and tags, ask for all of them."""
    url = item.source.removeprefix("git+")
    fetch = ["fetch", "--quiet", "--no-tags", "--no-recurse-submodules"]
    try:
        _git(program, item, [*fetch, "--depth=1", "--", url, item.commit], repository)
    except BuildError:
        _git(program, item, [*fetch, "--", url, "+refs/*:refs/fetched/*"], repository)
    # git names what it stores by hashing it; so an object of this name is this commit.
    found = _git(program, item, ["rev-parse", "--verify", "--quiet", f"{item.commit}^{{commit}}"], repository)
    if found.decode().strip() != item.commit:
        raise BuildError(
            Text("잠긴 것이 커밋이 아닙니다", "what is locked is not a commit"),
            where=f"{item.source}@{item.commit}",
        )


def _entries(program: str, item: Artifact, repository: Path) -> Iterator[tuple[str, str, str]]:
    """Yield mode, object and path of every file of the commit."""
    listed = _git(program, item, ["ls-tree", "-r", "-z", "--full-tree", item.commit], repository)
    for line in listed.split(b"\0"):
        if line:
            head, _, name = line.partition(b"\t")
            mode, _, blob = head.decode("ascii").split(" ")
            yield mode, blob, name.decode("utf-8", "surrogateescape")


class _Blobs:
    """A running ``git cat-file --batch``: one process reads every file of the commit."""

    def __init__(self, program: str, repository: Path) -> None:
        self._process = subprocess.Popen(
            [program, "cat-file", "--batch"],
            cwd=repository,
            env=_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._questions: IO[bytes] = self._process.stdin
        self._answers: IO[bytes] = self._process.stdout

    def __enter__(self) -> _Blobs:
        return self

    def __exit__(self, *exception: object) -> None:
        self._questions.close()
        self._answers.close()
        self._process.wait()

    def pieces(self, blob: str) -> Iterator[bytes]:
        """Yield the contents of a blob."""
        self._questions.write(blob.encode("ascii") + b"\n")
        self._questions.flush()
        answer = self._answers.readline().split()
        if len(answer) != 3 or answer[1] != b"blob":
            raise Malformed("tar-readable", f"git has no blob {blob}")
        left = int(answer[2])
        while left:
            piece = self._answers.read(min(left, _PIECE))
            if not piece:
                raise Malformed("tar-readable", f"git stopped in blob {blob}")
            left -= len(piece)
            yield piece
        self._answers.read(1)


def _git(program: str, item: Artifact, arguments: list[str], folder: Path) -> bytes:
    done = subprocess.run(
        [program, "-c", "core.hooksPath=/dev/null", *arguments],
        cwd=folder,
        env=_environment(),
        capture_output=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()[-6:]
        raise BuildError(
            Text(
                f"git 저장소에서 커밋을 가져오지 못했습니다: {item.name}",
                f"the commit could not be had from its git repository: {item.name}",
            ),
            where=f"git {arguments[0]}: {item.source}@{item.commit}",
            details=[Text(line, line) for line in lines],
            hint=Text(
                "저장소 주소와 권한(git의 자격 증명)을 확인하십시오",
                "check the repository's address and your credentials for it (those of git)",
            ),
        )
    return done.stdout


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    return {**kept, "GIT_TERMINAL_PROMPT": "0", "GIT_NO_REPLACE_OBJECTS": "1", "GIT_LFS_SKIP_SMUDGE": "1"}

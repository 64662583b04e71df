"""Make a generation: folder, interpreter, environment, files, receipt."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Iterator

from bundle import layout
from bundle.atomic import fsync_files, write_atomic
from bundle.errors import IntegrityError
from bundle.hashing import copy_hashed
from bundle.manifest import Manifest
from bundle.text import Text

from .. import environment, interpreter, receipt, store
from ..environment import prepare_scratch
from ..filesystem import make_directories, make_directory, remove_tree
from ..generations import discard, used_digests
from ..plan import destination
from .context import ContextStep


class MakeGeneration(ContextStep):
    """An empty folder at the generation's final path; undone, nothing of the generation is left."""

    def apply(self) -> None:
        """Clear away what a killed run left, and begin."""
        make_directory(self.prefix.generations)
        discard(self.prefix, self.plan.generation)
        source = self.context.source
        store.expect(self.prefix, source.manifest_bytes, source.signatures, used_digests(self.prefix))
        make_directory(self.context.folder)
        prepare_scratch(self.prefix.scratch)

    def undo(self) -> None:
        """Remove the generation, unless the pointer (against all order) names it, and what it brought.

        Contents that a run has taken in outlive a kill, for the next run, but not an orderly end: the disk
        may be what is full.
        """
        remove_tree(self.prefix.scratch)
        discard(self.prefix, self.plan.generation)
        store.collect(self.prefix, used_digests(self.prefix))


class TakeContents(ContextStep):
    """Everything the release is made from, in the store and intact, before the first of it is used."""

    def apply(self) -> None:
        """Read what is there, and stream in what is not."""
        source = self.context.source
        title = Text("내용 확인과 저장", "contents read and stored")
        source.bring(self.context.shelf, self.context.console.progress(title, source.size))


class UnpackInterpreter(ContextStep):
    """The bundled Python, for hosts without a fitting one."""

    def apply(self) -> None:
        """Unpack it into the generation."""
        if self.plan.archive is not None:
            archive = self.context.source.path(self.plan.archive)
            folder = self.context.folder / "python"
            interpreter.unpack(archive, self.plan.archive, folder)
            interpreter.settle(folder, self.prefix.scratch / "python.log", (self.context.lock,))


class MakeEnvironment(ContextStep):
    """The virtual environment with every package."""

    def apply(self) -> None:
        """Let the bundled uv make it. Its cache is removed later, beside other work."""
        chosen = self.plan.interpreter
        python = chosen.path if chosen else str(interpreter.executable(self.context.folder / "python"))
        with self._contents_kept():
            environment.build(
                self.context.source, self.context.folder, python, self.prefix.scratch, (self.context.lock,)
            )

    @contextmanager
    def _contents_kept(self) -> Iterator[None]:
        """Put what a tree holds, but for models, into the store meanwhile: uv waits for the disk too."""
        source, shelf, given_up = self.context.source, self.context.shelf, Event()

        def keep() -> None:
            for entry in source.manifest.files if source.arrives == "beside" else ():
                if entry.kind != "model" and not given_up.is_set():
                    shelf.put(source.path(entry), entry)

        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="keep") as aside:
            kept = aside.submit(keep)
            try:
                yield
            except BaseException:
                given_up.set()
                raise
            kept.result()


class CopyFiles(ContextStep):
    """Source, tools, default configuration and models."""

    def apply(self) -> None:
        """Copy every file, comparing the copied bytes with the manifest."""
        bundle, folder, shelf = self.context.source, self.context.folder, self.context.shelf
        title = Text("복사", "copied")
        total = sum(entry.size for entry in bundle.manifest.files if destination(entry) is not None)
        on_bytes = self.context.console.progress(title, total)
        for name in ("source", "tools", "models", "config.default"):
            make_directory(folder / name)
        for entry in bundle.manifest.files:
            inner = destination(entry)
            if inner is None:
                continue
            target = folder / inner
            make_directories(target.parent)
            if entry.kind == "model":
                shelf.put(bundle.path(entry), entry, on_bytes)
                if store.place(self.prefix, entry, target):
                    self.context.linked[inner.as_posix()] = entry.sha256
            else:
                copy_hashed(bundle.path(entry), target, entry.mode, (entry.size, entry.sha256), on_bytes)
        write_atomic(folder / "tools" / layout.MANIFEST, bundle.manifest_bytes, 0o644)
        for name, signature in zip(layout.SIGNATURES, bundle.signatures):
            write_atomic(folder / "tools" / name, signature, 0o644)
        # For a repair whose release has lost its tools.
        for data in (bundle.manifest_bytes, *bundle.signatures):
            shelf.keep(data)


class WriteReceipt(ContextStep):
    """Read everything back, make it durable, and write down what the generation consists of."""

    def apply(self) -> None:
        """Verify, synchronise, write the receipt last.

        One call tells the kernel to write everything out while the bytes are read back; the
        synchronisation of each file, which alone reports errors, then has little left to wait for.
        """
        folder, manifest = self.context.folder, self.context.manifest
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="aside") as aside:
            # uv's cache holds second names of what lies in the generation: thousands, so beside the reading.
            cleared = aside.submit(remove_tree, self.prefix.scratch)
            written, settled = aside.submit(write_out), aside.submit(self.context.shelf.settle)
            # A model that this run has just read in the store is the same file here.
            entries = receipt.take(folder, self.context.linked, durable=True)
            cleared.result()
            written.result()
            settled.result()
        _require(receipt_problems(manifest, folder, entries), folder)
        fsync_files([self.prefix.generations, self.prefix.root])
        created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        plan = self.plan
        receipt.write(
            folder,
            receipt.Receipt(
                plan.generation, plan.digest, plan.sequence, plan.version, created, tuple(entries)
            ),
        )


def write_out() -> None:
    """Have the kernel begin to write everything it holds back (POSIX)."""
    if os.name == "posix":
        os.sync()


def receipt_problems(manifest: Manifest, folder: Path, entries: list[receipt.Entry]) -> list[str]:
    """Compare what lies on disk with what the manifest and the wheels' own records say."""
    found = {entry.path: entry.sha256 for entry in entries}
    problems = []
    for file in manifest.files:
        inner = destination(file)
        if inner is not None and found.get(inner.as_posix()) != file.sha256:
            problems.append(f"differs: {inner}")
    return problems + environment.record_problems(folder, entries)


def _require(problems: list[str], folder: Path) -> None:
    if problems:
        raise IntegrityError(
            Text(
                f"디스크의 내용이 다릅니다: {len(problems)}건",
                f"what lies on disk differs: {len(problems)} finding(s)",
            ),
            where=str(folder),
            details=[Text(line, line) for line in problems[:20]],
            hint=Text(
                "디스크를 점검하고 번들을 다시 설치하십시오",
                "check the disk (and the medium), then install the bundle again",
            ),
        )


class CheckGeneration(ContextStep):
    """A release that is there already is looked at before it is used again."""

    def apply(self) -> None:
        """Compare it with its receipt; models, which the active release shares, by name and size only."""
        folder = self.context.folder
        problems = receipt.differences(folder, receipt.read(folder), skip=("models",))
        if problems and not self._kept:
            discard(self.prefix, self.plan.generation)
        _require(problems, folder)

    def undo(self) -> None:
        """Remove what an earlier run built and could not take away again; a kept release stays."""
        if not self._kept:
            discard(self.prefix, self.plan.generation)
            store.collect(self.prefix, used_digests(self.prefix))

    @property
    def _kept(self) -> bool:
        return self.plan.base is not None and self.plan.generation in self.plan.base.kept

"""A model in this process: its name, its context, loaded once, closed once, so many answers at a time."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from ragtrace.adapters.language.waiting import Gate


class Engine(Protocol):
    """What was loaded."""

    def close(self) -> None:
        """Free it; what is being generated ends."""
        ...


_Engine = TypeVar("_Engine", bound=Engine)


class LocalModel(ABC, Generic[_Engine]):
    """The part of a language model that does not depend on its engine.

    Args:
        path: its file or folder.
        context: tokens that one prompt and its answer may have.
        trained: those that the model was trained for, 0 where nothing says it; the context is never longer.
        parallel: answers at a time.
        timeout_s: how long to wait for a place.
    """

    def __init__(self, path: Path, context: int, trained: int, parallel: int, timeout_s: float) -> None:
        self._path = path
        self._name = path.stem if path.is_file() else path.name
        self._context = min(context, trained) if trained > 0 else context
        self._parallel = parallel
        self._gate = Gate(parallel, timeout_s)
        self._lock = threading.Lock()
        self._engine: _Engine | None = None

    @property
    def name(self) -> str:
        """Return the folder's name, or the file's without its ending."""
        return self._name

    @property
    def context_tokens(self) -> int:
        """Return what prompt and answer may have together."""
        return self._context

    def load(self) -> None:
        """Load the weights; a second call does nothing."""
        self._ready()

    def close(self) -> None:
        """Free the model; what is being generated ends with an error. The next use loads it again."""
        with self._lock:
            engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()

    @abstractmethod
    def _start(self) -> _Engine:
        """Load the engine. Raises `ModelProblem`."""

    def _ready(self) -> _Engine:
        with self._lock:
            if self._engine is None:
                self._engine = self._start()
            return self._engine


def trained_context(config: dict[str, object]) -> int:
    """Return the positions that a model was trained for, by its ``config.json``; 0 where it does not say."""
    found = config.get("max_position_embeddings")
    return found if isinstance(found, int) else 0

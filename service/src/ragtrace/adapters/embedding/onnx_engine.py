"""What the engines on ONNX Runtime have in common: the graph of one precision, its name and digest."""

from __future__ import annotations

from collections.abc import Mapping

from ragtrace.adapters.embedding import onnx_built
from ragtrace.adapters.embedding.engine import LEAST_COSINE
from ragtrace.adapters.embedding.folder import ModelFolder, problem
from ragtrace.adapters.embedding.onnx_session import OnnxSession
from ragtrace.errors import ModelProblem
from ragtrace.text import Text

# Measured on BGE-M3, fp32 and int8: from so many rows for a thread on, a product of matrices is as fast as it gets.
_ENOUGH_TOKENS = 128


class OnnxEngine:
    """The graph that a folder carries for a precision, or one made from its safetensors by `made`."""

    def __init__(self, folder: ModelFolder, precision: str, threads: int) -> None:
        self.name = f"onnx-{precision}"
        self.least_cosine = LEAST_COSINE[precision]
        self.enough_tokens = _ENOUGH_TOKENS * threads
        self._folder = folder
        self._precision = precision
        carried = folder.graphs.get(precision)
        self._session = OnnxSession(
            carried or folder.path, threads, folder.attention_heads, None if carried else self.made
        )

    def digest(self) -> str:
        """Return the digest of the graph with its weights, the configuration and the tokenizer."""
        carried = self._precision in self._folder.graphs
        files = self._folder.graph_files(self._precision) if carried else onnx_built.files(self._folder)
        return self._folder.digest(files)

    def made(self) -> bytes:
        """Return the graph of a folder that carries none. Raises `ModelProblem`."""
        return onnx_built.build(self._folder)

    def close(self) -> None:
        """Give the weights back."""
        self._session.close()

    def refused(self, summary: Text, found: Mapping[str, int], hint: Text | None = None) -> ModelProblem:
        """Close the graph, which has the outputs `found`, and return the error that it is not this engine's."""
        self._session.close()
        return problem(summary, f"{self._folder.path}: {self.name}: {', '.join(found)}", hint)

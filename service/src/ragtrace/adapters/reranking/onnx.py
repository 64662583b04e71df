"""A cross-encoder as one ONNX graph on ONNX Runtime, converted by the builder or made of safetensors: ``logits`` (pairs, 1)."""

from __future__ import annotations

from ragtrace.adapters.embedding.engine import Floats, Ids
from ragtrace.adapters.embedding.folder import ModelFolder, problem
from ragtrace.adapters.reranking import onnx_built
from ragtrace.text import Text

_OUTPUT = "logits"


class OnnxCross:
    """The graph of one precision."""

    def __init__(self, folder: ModelFolder, precision: str, threads: int) -> None:
        self.name = f"onnx-{precision}"
        self._folder = folder
        self._precision = precision
        self._session = onnx_built.session(folder, precision, threads)

    def digest(self) -> str:
        """Return the digest of the graph with its weights, the configuration and the tokenizer."""
        return self._folder.digest(onnx_built.files(self._folder, self._precision))

    def load(self) -> None:
        """Load the graph. Raises `ModelProblem` where it gives no scores."""
        found = self._session.load()
        if found.get(_OUTPUT) != 2:
            self._session.close()
            raise problem(
                Text("ONNX 그래프가 점수를 내지 않습니다.", "The ONNX graph gives no scores."),
                f"{self._folder.path}: {self.name}: {', '.join(found)}",
            )

    def logits(self, ids: Ids, mask: Ids) -> Floats:
        """Return one logit for each pair."""
        scores: Floats = self._session.run([_OUTPUT], ids, mask)[0]
        if scores.shape != (len(ids), 1):
            raise problem(
                Text("ONNX 그래프가 점수를 하나씩 내지 않습니다.", "The ONNX graph gives not one score a pair."),
                f"{self._folder.path}: {self.name}: {scores.shape}",
            )  # fmt: skip
        return scores[:, 0]

    def close(self) -> None:
        """Give the weights back."""
        self._session.close()

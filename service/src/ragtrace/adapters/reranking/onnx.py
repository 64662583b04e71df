"""A cross-encoder as one ONNX graph on ONNX Runtime, converted by the builder or made of safetensors: ``logits`` (pairs, 1)."""

from __future__ import annotations

from ragtrace.adapters.embedding.engine import Floats, Ids
from ragtrace.adapters.embedding.folder import problem
from ragtrace.adapters.embedding.onnx_engine import OnnxEngine
from ragtrace.adapters.reranking import onnx_built
from ragtrace.text import Text

_OUTPUT = "logits"


class OnnxCross(OnnxEngine):
    """The graph of one precision."""

    def load(self) -> None:
        """Load the graph. Raises `ModelProblem` where it gives no scores."""
        found = self._session.load()
        if found.get(_OUTPUT) != 2:
            raise self.refused(
                Text("ONNX 그래프가 점수를 내지 않습니다.", "The ONNX graph gives no scores."),
                found,
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

    def made(self) -> bytes:
        """Return the graph of a folder that carries none. Raises `ModelProblem`."""
        return onnx_built.build(self._folder)

"""Other encoders on ONNX Runtime, dense vectors only: the graph gives the tokens' states, or the vector itself."""

from __future__ import annotations

from ragtrace.adapters.embedding.engine import Ids, Raw, pooled
from ragtrace.adapters.embedding.onnx_engine import OnnxEngine
from ragtrace.application.ports.embedding import Output
from ragtrace.text import Text

# What exporters call the states of the tokens (texts, tokens, dimension); the first that is there is taken. A vector that
# the graph pools itself is the second choice: how it did so cannot be seen.
_STATES = ("last_hidden_state", "token_embeddings")
_VECTORS = ("dense", "sentence_embedding")


class OnnxDense(OnnxEngine):
    """The graph of one precision, pooled as the folder says."""

    _output = ""

    def load(self) -> None:
        """Load the graph. Raises `ModelProblem` where it has no output that this class knows."""
        found = self._session.load()
        wanted = [(name, 3) for name in _STATES] + [(name, 2) for name in _VECTORS]
        self._output = next((name for name, count in wanted if found.get(name) == count), "")
        if not self._output:
            raise self.refused(
                Text("ONNX 그래프에 임베딩 출력이 없습니다.", "The ONNX graph has no output for embeddings."),
                found,
            )

    def run(self, ids: Ids, mask: Ids, outputs: frozenset[Output]) -> Raw:
        """Return the dense vectors."""
        found = self._session.run([self._output], ids, mask)[0]
        if found.ndim == 3:
            return Raw(dense=pooled(found, mask, self._folder.pooling))
        return Raw(dense=pooled(found[:, None], mask[:, :1], "cls"))

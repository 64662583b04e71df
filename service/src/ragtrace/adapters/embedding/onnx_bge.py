"""BGE-M3 on ONNX Runtime: one graph with all three outputs, as the builder writes it."""

from __future__ import annotations

from ragtrace.adapters.embedding import onnx_built
from ragtrace.adapters.embedding.engine import LEAST_COSINE, Ids, Raw
from ragtrace.adapters.embedding.folder import ModelFolder, problem
from ragtrace.application.ports.embedding import OUTPUTS, Output
from ragtrace.text import Text

_DIMENSIONS = {"dense": 2, "sparse": 2, "colbert": 3}


class OnnxBge:
    """The graph of one precision."""

    def __init__(self, folder: ModelFolder, precision: str, threads: int) -> None:
        self.name = f"onnx-{precision}"
        self.least_cosine = LEAST_COSINE[precision]
        self._folder = folder
        self._precision = precision
        self._session = onnx_built.session(folder, precision, threads)

    def digest(self) -> str:
        """Return the digest of the graph with its weights, the configuration and the tokenizer."""
        return self._folder.digest(onnx_built.files(self._folder, self._precision))

    def load(self) -> None:
        """Load the graph. Raises `ModelProblem` where it lacks an output: the heads are part of it."""
        found = self._session.load()
        lacking = sorted(name for name, count in _DIMENSIONS.items() if found.get(name) != count)
        if lacking:
            self._session.close()
            raise problem(
                Text(
                    f"ONNX 그래프에 BGE-M3의 출력이 없습니다: {', '.join(lacking)}",
                    f"The ONNX graph lacks outputs of BGE-M3: {', '.join(lacking)}",
                ),
                f"{self._folder.path}: {self.name}: {', '.join(found)}",
                Text(
                    "빌더가 변환한 그래프를 쓰십시오: create_enterprise_offline.py models convert",
                    "Use the graph that the builder converts: create_enterprise_offline.py models convert",
                ),
            )

    def run(self, ids: Ids, mask: Ids, outputs: frozenset[Output]) -> Raw:
        """Return the outputs asked for."""
        names: list[Output] = [name for name in OUTPUTS if name in outputs]
        return Raw(**dict(zip(names, self._session.run(list(names), ids, mask), strict=True)))

    def close(self) -> None:
        """Give the weights back."""
        self._session.close()

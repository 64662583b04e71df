"""BGE-M3 on ONNX Runtime: one graph with all three outputs, as the builder writes it."""

from __future__ import annotations

from ragtrace.adapters.embedding.engine import Ids, Raw
from ragtrace.adapters.embedding.onnx_engine import OnnxEngine
from ragtrace.application.ports.embedding import OUTPUTS, Output
from ragtrace.text import Text

_DIMENSIONS = {"dense": 2, "sparse": 2, "colbert": 3}


class OnnxBge(OnnxEngine):
    """The graph of one precision."""

    def load(self) -> None:
        """Load the graph. Raises `ModelProblem` where it lacks an output: the heads are part of it."""
        found = self._session.load()
        lacking = sorted(name for name, count in _DIMENSIONS.items() if found.get(name) != count)
        if lacking:
            raise self.refused(
                Text(
                    f"ONNX 그래프에 BGE-M3의 출력이 없습니다: {', '.join(lacking)}",
                    f"The ONNX graph lacks outputs of BGE-M3: {', '.join(lacking)}",
                ),
                found,
                Text(
                    "빌더가 변환한 그래프를 쓰십시오: create_enterprise_offline.py models convert",
                    "Use the graph that the builder converts: create_enterprise_offline.py models convert",
                ),
            )

    def run(self, ids: Ids, mask: Ids, outputs: frozenset[Output]) -> Raw:
        """Return the outputs asked for."""
        names: list[Output] = [name for name in OUTPUTS if name in outputs]
        return Raw(**dict(zip(names, self._session.run(list(names), ids, mask), strict=True)))

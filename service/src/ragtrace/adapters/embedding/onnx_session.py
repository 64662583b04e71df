"""One ONNX graph of an encoder on ONNX Runtime."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ragtrace.adapters.embedding.engine import Floats, Ids
from ragtrace.adapters.embedding.folder import problem
from ragtrace.adapters.processors import free_memory
from ragtrace.errors import ModelProblem
from ragtrace.text import Text

if TYPE_CHECKING:
    import onnxruntime

# From so many tokens in a row on, the attention of one batch takes gigabytes: they go back after the run.
_LONG_ROW = 1024
# Two float32 scores for each pair of tokens and head are alive at a time: measured, 2.2 GB for 4 heads and 8192 tokens.
_SCORE_BYTES = 8
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class OnnxSession:
    """A graph with ``input_ids``, ``attention_mask`` and perhaps ``token_type_ids``; runs may overlap.

    Args:
        graph: the ONNX file; its weights may lie beside it. With `made`, the folder of the weights.
        made: makes the graph, instead of a file.
        threads: for one run.
        heads: of the model's attention; with 0, long rows are not weighed against memory.
    """

    def __init__(
        self, graph: Path, threads: int, heads: int = 0, made: Callable[[], bytes] | None = None
    ) -> None:
        self._graph = graph
        self._made = made
        self._threads = threads
        self._heads = heads
        self._session: onnxruntime.InferenceSession | None = None
        self._types: dict[str, Any] = {}

    def load(self) -> dict[str, int]:
        """Load the graph and return the number of dimensions of each output by name. Raises `ModelProblem`."""
        # It reads this when it is loaded; without it, it keeps events in the user's cache folder and looks up its maker's server.
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"
        import onnxruntime

        # Where something else has loaded it already: no further events. What it began with is not taken back.
        onnxruntime.disable_telemetry_events()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        # Errors are raised; what it would write beside them goes to a place nobody reads.
        options.log_severity_level = 4
        source: str | bytes = str(self._graph)
        if self._made is not None:
            source = self._made()
            options.add_session_config_entry(
                "session.model_external_initializers_file_folder_path", str(self._graph)
            )
        try:
            session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise self._failed(error) from error
        inputs = {each.name: each.type for each in session.get_inputs()}
        wrong = [
            f"{name}: {kind}" for name, kind in inputs.items() if name not in _INPUTS or kind not in _INTEGERS
        ]
        if wrong or not {"input_ids", "attention_mask"} <= inputs.keys():
            raise problem(
                Text("ONNX 그래프의 입력이 인코더의 것이 아닙니다.", "The ONNX graph's inputs are not an encoder's."),
                f"{self._graph}: {', '.join(wrong or inputs)}",
            )  # fmt: skip
        self._types = {name: _INTEGERS[kind] for name, kind in inputs.items()}
        self._session = session
        return {each.name: len(each.shape) for each in session.get_outputs()}

    def run(self, names: list[str], ids: Ids, mask: Ids) -> list[Floats]:
        """Return these outputs of a batch. Raises `ModelProblem`."""
        import onnxruntime

        session = self._session
        if session is None:
            raise ModelProblem(Text("모델이 닫혔습니다.", "The model was closed."), where=str(self._graph))
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        feed = {name: given[name].astype(kind, copy=False) for name, kind in self._types.items()}
        options = onnxruntime.RunOptions()
        if ids.shape[1] >= _LONG_ROW:
            self._weigh(*ids.shape)
            options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        try:
            found = session.run(names, feed, options)
        except Exception as error:
            raise self._failed(error, f"{ids.shape[0]} x {ids.shape[1]}") from error
        return [np.asarray(each, np.float32) for each in found]

    def close(self) -> None:
        """Give the weights back."""
        self._session = None

    def _weigh(self, texts: int, tokens: int) -> None:
        """Raise `ModelProblem` where attention would take more memory than there is: the kernel would end the service."""
        need, free = texts * self._heads * tokens * tokens * _SCORE_BYTES, free_memory()
        if free is not None and need > free:
            raise problem(
                Text(
                    f"글이 이 기계의 메모리에 비해 너무 깁니다: {tokens} 토큰에 {_gigabytes(need)} GB가 필요하고 "
                    f"{_gigabytes(free)} GB가 남아 있습니다.",
                    f"The text is too long for this host's memory: {tokens} tokens need {_gigabytes(need)} GB, "
                    f"{_gigabytes(free)} GB are free.",
                ),
                self._graph,
                Text("embedding.max_tokens를 줄이십시오.", "Lower embedding.max_tokens."),
            )

    def _failed(self, error: Exception, batch: str = "") -> ModelProblem:
        # The runtime's own errors have no common class.
        said = (str(error).strip().splitlines() or [""])[0][:300]
        hint = Text(
            "메모리가 모자라면 embedding.batch_tokens나 max_tokens를 줄이고, 아니면 모델 폴더를 다시 옮겨 오십시오.",
            "Short of memory, lower embedding.batch_tokens or max_tokens; otherwise carry the model's folder in again.",
        )
        return problem(
            Text("ONNX 그래프를 쓸 수 없습니다.", "The ONNX graph cannot be used."),
            f"{self._graph}: {type(error).__name__}: {said} {batch}".rstrip(),
            hint,
        )


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f}"


_INTEGERS = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}

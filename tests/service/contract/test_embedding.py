"""What every embedding model and every embedding cache does."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ragtrace.adapters.embedding_cache import SqliteEmbeddingCache
from ragtrace.application.cached_embedding import CachedEmbedding
from ragtrace.application.ports.embedding import OUTPUTS, Embedding, EmbeddingCache, EmbeddingModel
from ragtrace.errors import ModelProblem
from ragtrace.testing.embedding import HashEmbedding, MemoryEmbeddingCache
from tests.service.embedding import folders
from tests.service.embedding.folders import TEXTS

Make = Callable[..., EmbeddingModel]
Build = Callable[[Path, int], EmbeddingModel]
ALL = frozenset(OUTPUTS)
MODELS: dict[str, Build] = {
    "twin": lambda folder, most: HashEmbedding(max_tokens=most),
    "twin, dense": lambda folder, most: HashEmbedding(outputs=frozenset({"dense"}), max_tokens=most),
    "cached": lambda folder, most: CachedEmbedding(HashEmbedding(max_tokens=most), MemoryEmbeddingCache()),
    "onnx bge-m3": lambda folder, most: folders.model(folders.bge_m3(folder), max_tokens=most, batch_size=3),
    "onnx bge-m3 of safetensors": lambda folder, most: folders.model(
        folders.without_graph(folder), max_tokens=most, batch_size=3
    ),
    "onnx dense": lambda folder, most: folders.model(folders.dense(folder), max_tokens=most, batch_size=3),
    "onnx mean": lambda folder, most: folders.model(
        folders.dense(folder, "mean_tokens"), max_tokens=most, batch_size=3
    ),
}
if importlib.util.find_spec("torch") and importlib.util.find_spec("transformers"):
    # Where `make test-engines` runs this file.
    MODELS["torch bge-m3"] = lambda folder, most: folders.torch_model(folders.bge_m3(folder), most)
    MODELS["torch dense"] = lambda folder, most: folders.torch_model(folders.dense(folder), most)


@pytest.fixture(params=MODELS)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    return lambda max_tokens=40: MODELS[request.param](tmp_path / "model", max_tokens)


@pytest.fixture
def model(make: Make) -> EmbeddingModel:
    return make()


@pytest.fixture(params=["twin", "sqlite"])
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> EmbeddingCache:
    return MemoryEmbeddingCache(3) if request.param == "twin" else SqliteEmbeddingCache(tmp_path / "c.db", 3)


def same(left: Embedding, right: Embedding) -> bool:
    names = ("dense", "colbert", "sparse_weights", "sparse_ids")
    pairs = [(getattr(left, name), getattr(right, name)) for name in names]
    near = all(
        (a is None and b is None)
        or (a is not None and b is not None and a.shape == b.shape and np.allclose(a, b, atol=2e-5))
        for a, b in pairs
    )
    return near and (left.tokens, left.cut) == (right.tokens, right.cut)


def test_texts_keep_their_order_whatever_batches_they_go_in(model: EmbeddingModel) -> None:
    together = model.embed(TEXTS, model.outputs)
    assert len(together) == len(TEXTS)
    for text, found in zip(TEXTS, together, strict=True):
        assert same(found, model.embed([text], model.outputs)[0]), text
    assert model.embed([], model.outputs) == []


def test_vectors_have_the_shapes_and_lengths_that_the_port_says(model: EmbeddingModel) -> None:
    for found in model.embed(TEXTS, model.outputs):
        assert found.dense is not None and found.dense.dtype == np.float32
        assert found.dense.shape == (model.dimension,)
        assert np.linalg.norm(found.dense) == pytest.approx(1, abs=1e-5)
        assert (found.colbert is not None) == ("colbert" in model.outputs)
        if found.colbert is not None:
            assert found.colbert.dtype == np.float32
            assert found.colbert.shape == (found.tokens - 1, model.dimension)
            assert np.allclose(np.linalg.norm(found.colbert, axis=1), 1, atol=1e-5)
        assert (found.sparse_ids is not None) == (found.sparse_weights is not None)
        assert (found.sparse_ids is not None) == ("sparse" in model.outputs)
        if found.sparse_ids is not None and found.sparse_weights is not None:
            assert found.sparse_ids.dtype == np.int32 and found.sparse_weights.dtype == np.float32
            assert found.sparse_ids.shape == found.sparse_weights.shape
            assert (np.diff(found.sparse_ids) > 0).all() and (found.sparse_weights > 0).all()


def test_different_texts_differ_and_equal_texts_do_not(model: EmbeddingModel) -> None:
    first, second, again = model.embed([TEXTS[0], TEXTS[1], TEXTS[0]], frozenset({"dense"}))
    assert first.dense is not None and second.dense is not None and again.dense is not None
    assert float(first.dense @ second.dense) < 0.999
    assert np.allclose(first.dense, again.dense, atol=2e-5)


def test_an_empty_text_has_a_vector_and_no_terms(model: EmbeddingModel) -> None:
    found = model.embed([""], model.outputs)[0]
    assert found.dense is not None and found.tokens == 2 and not found.cut
    assert found.sparse_ids is None or len(found.sparse_ids) == 0


def test_outputs_that_were_not_asked_for_are_none(model: EmbeddingModel) -> None:
    for output in model.outputs:
        found = model.embed(["문서"], frozenset({output}))[0]
        held = {"dense": found.dense, "sparse": found.sparse_ids, "colbert": found.colbert}
        assert {name for name, value in held.items() if value is not None} == {output}


def test_an_output_that_the_model_has_not_is_refused(model: EmbeddingModel) -> None:
    if model.outputs == ALL:
        pytest.skip("it has all")
    with pytest.raises(ModelProblem, match="colbert"):
        model.embed(["문서"], ALL)


def test_long_texts_are_cut_and_say_so(make: Make) -> None:
    model = make(max_tokens=12)
    assert model.max_tokens == 12
    short, long, other = model.embed(
        ["문서 검색", "문서 " * 50, "문서 " * 50 + "다른 끝"], frozenset({"dense"})
    )
    assert (short.cut, long.cut, other.cut) == (False, True, True)
    assert long.tokens == other.tokens == 12
    assert long.dense is not None and other.dense is not None
    assert np.allclose(long.dense, other.dense, atol=2e-5)


def test_any_string_is_a_text(model: EmbeddingModel) -> None:
    strange = ["\ud800 문서", "\x00", "</s><pad><mask>", "\n\t ", "🙂" * 30, "א" * 100]
    assert len(model.embed(strange, model.outputs)) == len(strange)


def test_many_threads_get_what_one_gets(model: EmbeddingModel) -> None:
    wanted = model.embed(TEXTS, model.outputs)
    wrong: list[object] = []

    def work(shift: int) -> None:
        for _ in range(3):
            turned = TEXTS[shift:] + TEXTS[:shift]
            found = model.embed(turned, model.outputs)
            expected = wanted[shift:] + wanted[:shift]
            wrong.extend(
                text
                for text, one, two in zip(turned, found, expected, strict=True)
                if not same(one, two)
            )  # fmt: skip

    threads = [threading.Thread(target=work, args=(number % len(TEXTS),)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_fingerprint_is_that_of_the_model_and_its_length(make: Make) -> None:
    assert make().fingerprint == make().fingerprint
    assert make().fingerprint != make(max_tokens=20).fingerprint


def test_a_closed_model_can_be_used_again(model: EmbeddingModel) -> None:
    model.load()
    before = model.embed(["문서 검색"], model.outputs)[0]
    model.close()
    assert same(before, model.embed(["문서 검색"], model.outputs)[0])


def embedded(text: str, *outputs: str) -> Embedding:
    return HashEmbedding(8).embed([text], frozenset(OUTPUTS).intersection(outputs or OUTPUTS))[0]


def test_a_cache_gives_back_what_it_was_given(cache: EmbeddingCache) -> None:
    texts = ["문서 검색", "", "\ud800"]
    put = [embedded(text) for text in texts]
    cache.put("m", texts, put)
    found = cache.get("m", [*texts, "모르는"], ALL)
    assert found[3] is None
    for one, two in zip(put, found[:3], strict=True):
        assert two is not None and same(one, two)
        for name in ("dense", "sparse_weights", "colbert"):
            assert getattr(two, name).tobytes() == getattr(one, name).tobytes()


def test_a_cache_knows_another_models_texts_not(cache: EmbeddingCache) -> None:
    cache.put("m", ["문서"], [embedded("문서")])
    assert cache.get("n", ["문서"], ALL) == [None]
    assert cache.get("m", ["문서 "], ALL) == [None]


def test_a_cache_gives_nothing_that_lacks_an_output(cache: EmbeddingCache) -> None:
    cache.put("m", ["문서"], [embedded("문서", "dense", "sparse")])
    assert cache.get("m", ["문서"], ALL) == [None]
    found = cache.get("m", ["문서"], frozenset({"dense"}))[0]
    assert found is not None and found.dense is not None
    cache.put("m", ["문서"], [embedded("문서")])
    assert cache.get("m", ["문서"], ALL) != [None]


def test_a_full_cache_forgets_the_oldest(cache: EmbeddingCache) -> None:
    texts = [f"문서 {number}" for number in range(4)]
    for text in texts[:3]:
        cache.put("m", [text], [embedded(text)])
    cache.put("m", texts[:1], [embedded(texts[0])])
    cache.put("m", texts[3:], [embedded(texts[3])])
    assert [each is not None for each in cache.get("m", texts, ALL)] == [True, False, True, True]
    cache.put("m", [*"abcde"], [embedded(each) for each in "abcde"])
    assert [each is not None for each in cache.get("m", [*"abcde"], ALL)] == [False, False, True, True, True]

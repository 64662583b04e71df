"""Model repositories with the true architectures and tiny sizes, as files by name; no torch needed.

The same names, shapes and formats as upstream: BGE-M3 (XLM-RoBERTa with its two heads as pickles), a
cross-encoder, Llama as safetensors and as GGUF. Every value depends on its tensor's name alone, so the
bytes are the same on every run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from .weights import Tensor, floats, gguf_bytes, gguf_names, ones, safetensors_bytes, torch_bytes, zeros

HIDDEN = 32
LAYERS = 2
HEADS = 4
INNER = 64
POSITIONS = 130
SAMPLE_WORDS = [
    "폐쇄망",
    "설치",
    "문서",
    "검색",
    "번들",
    "서명",
    "모델",
    "변환",
    "가",
    "나",
    "다",
    "을",
    "를",
    "the",
    "closed",
    "network",
    "has",
    "no",
    "internet",
]

_SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]


def vocabulary() -> list[str]:
    """Return the tiny tokenizer's pieces: XLM-R's specials, words, syllables and letters."""
    letters = [*"abcdefghijklmnopqrstuvwxyz0123456789.,?!", *"가나다라마바사아자차카타파하은는이의에서로"]
    words = [f"▁{word}" for word in SAMPLE_WORDS]
    return [*_SPECIAL, *dict.fromkeys([*words, "▁", *letters]), "<mask>"]


def tokenizer_json() -> bytes:
    """Return a Unigram tokenizer with XLM-R's pre-tokeniser and template, as ``tokenizers`` reads it."""
    pieces = vocabulary()
    scores = [
        0.0 if piece in (*_SPECIAL, "<mask>") else -float(len(_SPECIAL) + n) / 8
        for n, piece in enumerate(pieces)
    ]
    added = [
        {"id": pieces.index(piece), "content": piece, "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False, "special": True}
        for piece in (*_SPECIAL, "<mask>")
    ]  # fmt: skip
    template = {
        "type": "TemplateProcessing",
        "single": [_special("<s>"), _sequence("A"), _special("</s>")],
        "pair": [
            _special("<s>"),
            _sequence("A"),
            _special("</s>"),
            _special("</s>"),
            _sequence("B"),
            _special("</s>"),
        ],
        "special_tokens": {
            name: {"id": name, "ids": [pieces.index(name)], "tokens": [name]} for name in ("<s>", "</s>")
        },
    }
    metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    return _json(
        {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": added,
            "normalizer": {"type": "NFKC"},
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace]},
            "post_processor": template,
            "decoder": metaspace,
            "model": {
                "type": "Unigram",
                "unk_id": 3,
                "vocab": [list(pair) for pair in zip(pieces, scores, strict=True)],
                "byte_fallback": False,
            },
        }
    )


def _special(name: str) -> dict[str, object]:
    return {"SpecialToken": {"id": name, "type_id": 0}}


def _sequence(name: str) -> dict[str, object]:
    return {"Sequence": {"id": name, "type_id": 0}}


def encoder_tensors(prefix: str = "", *, pooler: bool = True) -> dict[str, Tensor]:
    """Return the tensors of a tiny XLM-RoBERTa encoder under upstream's names."""
    words = len(vocabulary())
    tensors = {
        "embeddings.word_embeddings.weight": floats("word", (words, HIDDEN)),
        "embeddings.position_embeddings.weight": floats("position", (POSITIONS, HIDDEN)),
        "embeddings.token_type_embeddings.weight": floats("type", (1, HIDDEN)),
        **_norm("embeddings.LayerNorm"),
    }
    for layer in range(LAYERS):
        top = f"encoder.layer.{layer}"
        for part in ("query", "key", "value"):
            tensors |= _linear(f"{top}.attention.self.{part}", HIDDEN, HIDDEN)
        tensors |= _linear(f"{top}.attention.output.dense", HIDDEN, HIDDEN)
        tensors |= _norm(f"{top}.attention.output.LayerNorm")
        tensors |= _linear(f"{top}.intermediate.dense", INNER, HIDDEN)
        tensors |= _linear(f"{top}.output.dense", HIDDEN, INNER)
        tensors |= _norm(f"{top}.output.LayerNorm")
    if pooler:
        tensors |= _linear("pooler.dense", HIDDEN, HIDDEN)
    return {prefix + name: tensor for name, tensor in tensors.items()}


def head_tensors(name: str) -> dict[str, Tensor]:
    """Return the tensors of BGE-M3's ``sparse_linear`` or ``colbert_linear``."""
    width = {"sparse_linear": 1, "colbert_linear": HIDDEN}[name]
    return {"weight": floats(name, (width, HIDDEN), scale=0.3), "bias": floats(f"{name}.bias", (width,))}


def classifier_tensors() -> dict[str, Tensor]:
    """Return the tensors of the cross-encoder's head with one label."""
    return _linear("classifier.dense", HIDDEN, HIDDEN) | _linear("classifier.out_proj", 1, HIDDEN)


def _linear(name: str, outputs: int, inputs: int) -> dict[str, Tensor]:
    return {
        f"{name}.weight": floats(name, (outputs, inputs)),
        f"{name}.bias": floats(f"{name}.bias", (outputs,)),
    }


def _norm(name: str) -> dict[str, Tensor]:
    return {f"{name}.weight": ones((HIDDEN,)), f"{name}.bias": zeros((HIDDEN,))}


def encoder_config(**changes: object) -> bytes:
    """Return ``config.json`` of the tiny XLM-RoBERTa with the fields BGE-M3's has."""
    return _json(
        {
            "architectures": ["XLMRobertaModel"],
            "attention_probs_dropout_prob": 0.1,
            "bos_token_id": 0,
            "classifier_dropout": None,
            "eos_token_id": 2,
            "hidden_act": "gelu",
            "hidden_dropout_prob": 0.1,
            "hidden_size": HIDDEN,
            "initializer_range": 0.02,
            "intermediate_size": INNER,
            "layer_norm_eps": 1e-05,
            "max_position_embeddings": POSITIONS,
            "model_type": "xlm-roberta",
            "num_attention_heads": HEADS,
            "num_hidden_layers": LAYERS,
            "output_past": True,
            "pad_token_id": 1,
            "position_embedding_type": "absolute",
            "torch_dtype": "float32",
            "transformers_version": "4.33.0",
            "type_vocab_size": 1,
            "use_cache": True,
            "vocab_size": len(vocabulary()),
        }
        | changes
    )


def bge_m3_repository() -> dict[str, bytes]:
    """Return a tiny ``BAAI/bge-m3``: weights and both heads as pickles, as upstream has them."""
    return {
        "1_Pooling/config.json": _json({"word_embedding_dimension": HIDDEN, "pooling_mode_cls_token": True}),
        "README.md": b"---\nlicense: mit\n---\n# tiny BGE-M3\n",
        "colbert_linear.pt": torch_bytes(head_tensors("colbert_linear"), folder="colbert_linear"),
        "config.json": encoder_config(),
        "modules.json": _json(
            [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]
        ),
        "pytorch_model.bin": torch_bytes(encoder_tensors(), folder="pytorch_model"),
        "sentence_bert_config.json": _json({"max_seq_length": POSITIONS - 2, "do_lower_case": False}),
        "sparse_linear.pt": torch_bytes(head_tensors("sparse_linear"), folder="sparse_linear"),
        **_tokenizer_files(),
    }


def reranker_repository() -> dict[str, bytes]:
    """Return a tiny cross-encoder: XLM-RoBERTa for sequence classification with one label, safetensors."""
    tensors = encoder_tensors("roberta.", pooler=False) | classifier_tensors()
    config = encoder_config(
        architectures=["XLMRobertaForSequenceClassification"],
        id2label={"0": "LABEL_0"},
        label2id={"LABEL_0": 0},
    )
    return {
        "README.md": b"---\nlicense: apache-2.0\n---\n# tiny cross-encoder\n",
        "config.json": config,
        "model.safetensors": safetensors_bytes(tensors),
        **_tokenizer_files(),
    }


def _tokenizer_files() -> dict[str, bytes]:
    marks = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    marks |= {"sep_token": "</s>", "cls_token": "<s>", "mask_token": "<mask>"}
    return {
        "special_tokens_map.json": _json(marks),
        "tokenizer.json": tokenizer_json(),
        "tokenizer_config.json": _json(
            {"tokenizer_class": "XLMRobertaTokenizer", "model_max_length": POSITIONS - 2, **marks}
        ),
    }


def llama_tensors() -> dict[str, Tensor]:
    """Return the tensors of a tiny Llama with grouped-query attention under upstream's names."""
    words = len(vocabulary())
    tensors = {
        "lm_head.weight": floats("lm_head", (words, HIDDEN)),
        "model.embed_tokens.weight": floats("embed_tokens", (words, HIDDEN)),
        "model.norm.weight": ones((HIDDEN,)),
    }
    half = HIDDEN // 2
    for layer in range(LAYERS):
        top = f"model.layers.{layer}"
        shapes = {
            "mlp.down_proj": (HIDDEN, INNER),
            "mlp.gate_proj": (INNER, HIDDEN),
            "mlp.up_proj": (INNER, HIDDEN),
            "self_attn.k_proj": (half, HIDDEN),
            "self_attn.o_proj": (HIDDEN, HIDDEN),
            "self_attn.q_proj": (HIDDEN, HIDDEN),
            "self_attn.v_proj": (half, HIDDEN),
        }
        tensors |= {f"{top}.{name}.weight": floats(f"{top}.{name}", shape) for name, shape in shapes.items()}
        tensors |= {
            f"{top}.{name}.weight": ones((HIDDEN,))
            for name in ("input_layernorm", "post_attention_layernorm")
        }
    return tensors


def llama_repository() -> dict[str, bytes]:
    """Return a tiny Llama as two safetensors shards with their index."""
    tensors = llama_tensors()
    first = {name: item for name, item in tensors.items() if not name.startswith("model.layers.1.")}
    second = {name: item for name, item in tensors.items() if name not in first}
    return {
        "README.md": b"---\nlicense: llama3\n---\n# tiny Llama\n",
        "config.json": _json(
            {
                "architectures": ["LlamaForCausalLM"],
                "bos_token_id": 0,
                "eos_token_id": 2,
                "head_dim": HIDDEN // HEADS,
                "hidden_act": "silu",
                "hidden_size": HIDDEN,
                "intermediate_size": INNER,
                "max_position_embeddings": POSITIONS - 2,
                "model_type": "llama",
                "num_attention_heads": HEADS,
                "num_hidden_layers": LAYERS,
                "num_key_value_heads": HEADS // 2,
                "rms_norm_eps": 1e-05,
                "rope_theta": 10000.0,
                "tie_word_embeddings": False,
                "torch_dtype": "float32",
                "vocab_size": len(vocabulary()),
            }
        ),
        "generation_config.json": _json({"bos_token_id": 0, "eos_token_id": 2}),
        "model-00001-of-00002.safetensors": safetensors_bytes(first),
        "model-00002-of-00002.safetensors": safetensors_bytes(second),
        "model.safetensors.index.json": shard_index(
            {"model-00001-of-00002.safetensors": first, "model-00002-of-00002.safetensors": second}
        ),
        "tokenizer.json": tokenizer_json(),
        "tokenizer_config.json": _json({"tokenizer_class": "PreTrainedTokenizerFast"}),
    }


def shard_index(shards: Mapping[str, Mapping[str, Tensor]]) -> bytes:
    """Return the index file over the shards of one model."""
    weight_map = {name: shard for shard, tensors in shards.items() for name in tensors}
    size = sum(len(data) for tensors in shards.values() for *_, data in tensors.values())
    return _json({"metadata": {"total_size": size}, "weight_map": dict(sorted(weight_map.items()))})


def gguf_repository() -> dict[str, bytes]:
    """Return a repository with the tiny Llama as one GGUF file."""
    return {
        "README.md": b"---\nlicense: llama3\n---\n# tiny Llama, GGUF\n",
        "tiny-llama-F32.gguf": gguf_bytes(_gguf_metadata(), _gguf_tensors()),
    }


def _gguf_metadata() -> dict[str, object]:
    pieces = vocabulary()
    return {
        "general.architecture": "llama",
        "general.name": "tiny",
        "general.file_type": 0,
        "general.alignment": 32,
        "llama.block_count": LAYERS,
        "llama.context_length": POSITIONS - 2,
        "llama.embedding_length": HIDDEN,
        "llama.feed_forward_length": INNER,
        "llama.attention.head_count": HEADS,
        "llama.attention.head_count_kv": HEADS // 2,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.dimension_count": HIDDEN // HEADS,
        "llama.rope.freq_base": 10000.0,
        "llama.vocab_size": len(pieces),
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": pieces,
        "tokenizer.ggml.scores": [-float(number) for number in range(len(pieces))],
        "tokenizer.ggml.token_type": [3 if piece in _SPECIAL else 1 for piece in pieces],
        "tokenizer.ggml.bos_token_id": 0,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.unknown_token_id": 3,
    }


def _gguf_tensors() -> dict[str, Tensor]:
    renamed = gguf_names(LAYERS)
    return {
        f"{renamed[name.removesuffix('.weight')]}.weight": tensor for name, tensor in llama_tensors().items()
    }


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=2).encode() + b"\n"

"""Nets of transformers, made from small configurations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import transformers as tf
from torch import nn

from tests.coverage.net import Made, Net, images, named, tokens

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64, "vocab_size": 64}
LLAMA = {
    **SMALL,
    "num_key_value_heads": 2,
    "max_position_embeddings": 32,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def _model(kind: str, config: str, **options: Any) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        made = getattr(tf, config)(**options)
        made.use_cache = False
        model: nn.Module = getattr(tf, kind)(made)
        for module in model.modules():  # weights must be plain parameters, as the message says to who gives others
            for name in list(getattr(module, "parametrizations", {})):
                nn.utils.parametrize.remove_parametrizations(module, name)
        return model

    return build


def _net(
    name: str,
    build: Callable[[], nn.Module],
    inputs: Callable[[int], Made],
    classes: int | None = 1,
    output: Any = "logits",
    **more: Any,
) -> Net:
    return Net(name, "transformers", build, inputs, classes, more.pop("heads", True), output=output, **more)


def _ones(length: int) -> Callable[[int], Made]:
    return lambda count: (torch.ones(count, length, dtype=torch.long),)


def _waves(length: int) -> Callable[[int], Made]:
    return lambda count: (torch.randn(count, length),)


def _spectra(bins: int, length: int) -> Callable[[int], Made]:
    return lambda count: (torch.randn(count, bins, length),)


TEXT = named(input_ids=tokens())
MASKED = named(input_ids=tokens(), attention_mask=_ones(12))
PAIR = named(input_ids=tokens(), decoder_input_ids=tokens(9))
PICTURE = named(pixel_values=images(32))
SHORT = {"max_position_embeddings": 32, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
BART = {
    "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4, "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "vocab_size": 64,
}  # fmt: skip
VISION = {"image_size": 32, "patch_size": 8, "num_labels": 7}

NETS: tuple[Net, ...] = (
    _net(
        "bert",
        _model("BertForSequenceClassification", "BertConfig", **SMALL, max_position_embeddings=32, num_labels=5),
        MASKED,
    ),
    _net(
        "distilbert",
        _model(
            "DistilBertForSequenceClassification",
            "DistilBertConfig",
            dim=32,
            n_layers=2,
            n_heads=4,
            hidden_dim=64,
            vocab_size=64,
            max_position_embeddings=32,
            num_labels=5,
        ),
        MASKED,
    ),
    _net(
        "electra",
        _model(
            "ElectraForTokenClassification",
            "ElectraConfig",
            **SMALL,
            embedding_size=16,
            max_position_embeddings=32,
            num_labels=5,
        ),
        MASKED,
        -1,
    ),
    _net(
        "albert",
        _model(
            "AlbertForSequenceClassification",
            "AlbertConfig",
            **SMALL,
            embedding_size=16,
            max_position_embeddings=32,
            num_labels=5,
        ),
        MASKED,
    ),
    _net(
        "gpt2",
        _model(
            "GPT2LMHeadModel",
            "GPT2Config",
            n_embd=32,
            n_layer=2,
            n_head=4,
            vocab_size=64,
            n_positions=32,
            bos_token_id=1,
            eos_token_id=2,
        ),
        TEXT,
        -1,
    ),
    _net("gpt_neox", _model("GPTNeoXForCausalLM", "GPTNeoXConfig", **SMALL, **SHORT), TEXT, -1),
    _net(
        "opt",
        _model(
            "OPTForCausalLM",
            "OPTConfig",
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            ffn_dim=64,
            word_embed_proj_dim=32,
            vocab_size=64,
            **SHORT,
        ),
        TEXT,
        -1,
    ),
    _net("llama", _model("LlamaForCausalLM", "LlamaConfig", **LLAMA), TEXT, -1),
    _net("mistral", _model("MistralForCausalLM", "MistralConfig", **LLAMA, sliding_window=8), TEXT, -1),
    _net("qwen2", _model("Qwen2ForCausalLM", "Qwen2Config", **LLAMA), TEXT, -1),
    _net(
        "gemma",
        _model("GemmaForCausalLM", "GemmaConfig", **{**LLAMA, "num_key_value_heads": 1, "head_dim": 8}),
        TEXT,
        -1,
    ),
    _net("phi", _model("PhiForCausalLM", "PhiConfig", **SMALL, **SHORT), TEXT, -1),
    _net(
        "falcon",
        _model(
            "FalconForCausalLM",
            "FalconConfig",
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            vocab_size=64,
            multi_query=True,
            parallel_attn=True,
            **SHORT,
        ),
        TEXT,
        -1,
    ),
    _net(
        "bloom",
        _model(
            "BloomForCausalLM",
            "BloomConfig",
            hidden_size=32,
            n_layer=2,
            n_head=4,
            vocab_size=64,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=0,
        ),
        TEXT,
        -1,
    ),
    _net(
        "t5",
        _model(
            "T5ForConditionalGeneration",
            "T5Config",
            d_model=32,
            d_kv=8,
            d_ff=64,
            num_layers=2,
            num_heads=4,
            vocab_size=64,
            pad_token_id=0,
            decoder_start_token_id=0,
        ),
        PAIR,
        -1,
    ),
    _net(
        "bart",
        _model("BartForConditionalGeneration", "BartConfig", **BART, **SHORT, decoder_start_token_id=2),
        PAIR,
        -1,
    ),
    _net(
        "whisper",
        _model(
            "WhisperForConditionalGeneration",
            "WhisperConfig",
            **BART,
            num_mel_bins=16,
            max_source_positions=20,
            max_target_positions=32,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
            decoder_start_token_id=1,
        ),
        named(input_features=_spectra(16, 40), decoder_input_ids=tokens(9)),
        -1,
    ),
    _net(
        "wav2vec2",
        _model(
            "Wav2Vec2ForCTC",
            "Wav2Vec2Config",
            **{**SMALL, "vocab_size": 20},
            conv_dim=(16, 16, 16),
            conv_stride=(5, 2, 2),
            conv_kernel=(10, 3, 3),
            num_feat_extract_layers=3,
            num_conv_pos_embeddings=8,
            num_conv_pos_embedding_groups=4,
        ),
        named(input_values=_waves(800)),
        -1,
    ),
    _net(
        "vit",
        _model(
            "ViTForImageClassification",
            "ViTConfig",
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=64,
            **VISION,
        ),
        PICTURE,
    ),
    _net(
        "swin",
        _model(
            "SwinForImageClassification",
            "SwinConfig",
            embed_dim=16,
            depths=(2, 2),
            num_heads=(2, 4),
            window_size=4,
            image_size=32,
            patch_size=4,
            num_labels=7,
        ),
        PICTURE,
    ),
    _net(
        "segformer",
        _model(
            "SegformerForSemanticSegmentation",
            "SegformerConfig",
            num_encoder_blocks=2,
            depths=(1, 1),
            sr_ratios=(2, 1),
            hidden_sizes=(16, 32),
            patch_sizes=(7, 3),
            strides=(4, 2),
            num_attention_heads=(2, 4),
            mlp_ratios=(2, 2),
            decoder_hidden_size=32,
            num_labels=6,
        ),
        PICTURE,
        None,
    ),
    _net(
        "mobilevit",
        _model(
            "MobileViTForImageClassification",
            "MobileViTConfig",
            hidden_sizes=(24, 32, 40),
            neck_hidden_sizes=(8, 8, 16, 16, 24, 24, 64),
            num_attention_heads=2,
            image_size=64,
            patch_size=2,
            num_labels=7,
        ),
        named(pixel_values=images(64)),
    ),
    _net(
        "clip",
        _model(
            "CLIPVisionModelWithProjection",
            "CLIPVisionConfig",
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=64,
            image_size=32,
            patch_size=8,
            projection_dim=16,
        ),
        PICTURE,
        None,
        output="image_embeds",
    ),
)

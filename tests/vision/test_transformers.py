"""Folders of transformers models of each task class: a table is judged, compressed and exported."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import workbench as wb

transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")
WORDS = ["the", "a", "cat", "dog", "sits", "runs", "fast", "slow", "red", "blue"]
SMALL = {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 16, "intermediate_size": 32}
TEXTS = [" ".join(np.random.default_rng(row).choice(WORDS, 3 + row % 5)) for row in range(24)]


def tokenizer_in(folder):
    """Write a tokenizer of whole words to a folder."""
    special = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
    vocabulary = {word: number for number, word in enumerate([*special.values(), *WORDS])}
    inner = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, special["unk"]))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    names = {f"{kind}_token": token for kind, token in {**special, "eos": special["sep"]}.items()}
    whole = transformers.PreTrainedTokenizerFast(tokenizer_object=inner, model_max_length=64, **names)
    whole.save_pretrained(folder)
    return len(vocabulary)


def texts(folder):
    config = transformers.BertConfig(vocab_size=tokenizer_in(folder), num_labels=3, max_position_embeddings=64, **SMALL)
    model = transformers.BertForSequenceClassification(config)
    return model, [{"text": text, "label": row % 3} for row, text in enumerate(TEXTS)]


def tokens(folder):
    config = transformers.BertConfig(vocab_size=tokenizer_in(folder), num_labels=2, max_position_embeddings=64, **SMALL)
    rows = [
        {"tokens": text.split(), "ner_tags": [int(word in ("cat", "dog")) for word in text.split()]} for text in TEXTS
    ]
    return transformers.BertForTokenClassification(config), rows


def language(folder):
    config = transformers.GPT2Config(
        vocab_size=tokenizer_in(folder), n_layer=2, n_head=2, n_embd=16, n_positions=64, bos_token_id=2, eos_token_id=3
    )
    return transformers.GPT2LMHeadModel(config), [{"text": text} for text in TEXTS]


def sequences(folder):
    config = transformers.T5Config(
        vocab_size=tokenizer_in(folder), d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2,
        decoder_start_token_id=0, pad_token_id=0,
    )  # fmt: skip
    rows = [{"text": text, "label": " ".join(reversed(text.split()))} for text in TEXTS]
    return transformers.T5ForConditionalGeneration(config), rows


def pictures(folder):
    config = transformers.ViTConfig(image_size=16, patch_size=4, num_labels=3, **SMALL)
    transformers.ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(folder)
    drawn = np.random.default_rng(0).integers(0, 255, (24, 20, 20, 3), np.uint8)
    rows = [{"image": picture, "label": row % 3} for row, picture in enumerate(drawn)]
    return transformers.ViTForImageClassification(config), rows


def sounds(folder):
    config = transformers.Wav2Vec2Config(
        conv_dim=(8, 8), conv_stride=(4, 4), conv_kernel=(8, 4), num_labels=3, num_feat_extract_layers=2,
        num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2, classifier_proj_size=8, **SMALL,
    )  # fmt: skip
    transformers.Wav2Vec2FeatureExtractor(sampling_rate=8000, return_attention_mask=False).save_pretrained(folder)
    drawn = np.random.default_rng(0).normal(size=(24, 800)).astype(np.float32)
    rows = [{"audio": {"array": wave, "sampling_rate": 8000}, "label": row % 3} for row, wave in enumerate(drawn)]
    return transformers.Wav2Vec2ForSequenceClassification(config), rows


KINDS = {one.__name__: one for one in (texts, tokens, language, sequences, pictures, sounds)}


def subject_of(kind, folder, **options):
    torch.manual_seed(0)
    model, rows = KINDS[kind](folder)
    model.save_pretrained(folder)
    return wb.load(f"hf:{folder}", validation=rows, train=rows, **options)


def opened(subject):
    return wb.Session(subject, wb.Settings(seconds=0.02, runtimes=("eager",)), threaded=False, autosave=None)


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_and_a_table_are_judged_compressed_and_exported(kind, tmp_path):
    subject = subject_of(kind, tmp_path / "model")
    session = opened(subject)
    assert session.baseline.score.total == 24
    session.apply(wb.Prune(amount=0.3))
    session.apply(wb.Quantize(bits=8))
    assert session.current.bytes.total < 0.75 * session.baseline.bytes.total
    folder = session.export(tmp_path / "out", ("safetensors", "onnx"))
    again = wb.load(folder, task=subject.task)
    assert opened(again).baseline.score.value == pytest.approx(session.current.score.value)


def test_the_score_is_that_of_the_library(tmp_path):
    subject = subject_of("texts", tmp_path / "model")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "model")
    right = 0
    for row, text in enumerate(TEXTS):
        with torch.no_grad():
            logits = subject.model(**tokenizer(text, return_tensors="pt")).logits
        right += int(logits.argmax()) == row % 3
    session = opened(subject)
    assert session.baseline.score.value == pytest.approx(right / 24)


def test_what_cannot_be_read_is_said(tmp_path):
    subject_of("texts", tmp_path / "model")
    with pytest.raises(wb.WorkbenchError, match="has no column 'text'"):
        wb.load(f"hf:{tmp_path / 'model'}", validation=[{"words": "a", "label": 0}])
    with pytest.raises(wb.WorkbenchError, match="knows no class 'good'"):
        wb.load(f"hf:{tmp_path / 'model'}", validation=[{"text": "a", "label": "good"}])
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    (tmp_path / "model" / "config.json").write_text(json.dumps({**config, "architectures": ["MyOwnNet"]}))
    with pytest.raises(wb.WorkbenchError, match="its class MyOwnNet is not in transformers"):
        wb.load(f"hf:{tmp_path / 'model'}", validation=[{"text": "a", "label": 0}])

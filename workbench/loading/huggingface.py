"""Models of transformers of any task, and tables of text, pictures or sounds as what they take.

A folder says by its `config.json` which class its model is of, and holds the tokenizer or the processor that it was
trained with. Classes are those of the library alone: code that lies in a folder is never run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized, remove_parametrizations

from workbench.errors import WorkbenchError
from workbench.loading.source import Loaded
from workbench.loading.tables import Table, is_table, table_of
from workbench.task.classes import IGNORED

MOST_TOKENS = 512
TEXTS = ("text", "sentence", "content", "document")
PAIRS = (("sentence1", "sentence2"), ("premise", "hypothesis"), ("question", "sentence"), ("question1", "question2"))
SOUNDS = ("input_values", "input_features")
LABELS = ("label", "labels", "target")
# Inputs, by the model's parameters, and targets.
Arrays = tuple[dict[str, Tensor], Tensor]


def load_transformers(name: str, pretrained: bool) -> Loaded:
    """Return a model of transformers with its weights, and how a table becomes what it takes.

    Args:
        name: A folder, or the name of a model that was downloaded before.
        pretrained: Whether it may be downloaded now.

    Raises:
        WorkbenchError: Its class is not one of the library's.
    """
    import transformers

    local = {"local_files_only": not pretrained}
    config = transformers.AutoConfig.from_pretrained(name, **local)
    kinds = list(config.architectures or ())
    kind = getattr(transformers, kinds[0], None) if kinds else None
    if kind is None:
        what = f"its class {kinds[0]} is not in transformers {transformers.__version__}" if kinds else (
            "its config.json names no class under architectures"
        )  # fmt: skip
        raise WorkbenchError(f"hf:{name}: {what}; load the model in a .py file of your own and give that")
    model: nn.Module = kind.from_pretrained(name, **local)
    if hasattr(model.config, "use_cache"):
        model.config.use_cache = False  # what a model keeps for the next token is no output to be judged
    names = config.id2label if kinds[0].endswith("Classification") else {}
    prepare = partial(_prepared, name, kinds[0], model, local)
    return Loaded(
        model.eval(), name, prepare=prepare, classes=tuple(str(names[key]) for key in sorted(names)),
        notes=_made_plain(model),
    )  # fmt: skip


def _made_plain(model: nn.Module) -> tuple[str, ...]:
    """Put weights in the place of what they are computed from, as speech models do; return the note on it."""
    computed = [name for name, module in model.named_modules() if is_parametrized(module, "weight")]
    for name in computed:
        remove_parametrizations(model.get_submodule(name), "weight", leave_parametrized=True)
    return (f"{', '.join(computed)}: the weight norm is multiplied into the weight",) if computed else ()


def _prepared(name: str, kind: str, model: nn.Module, local: dict[str, bool], data: Any, columns: Sequence[str]) -> Any:
    """Return a table as arrays for the model, and anything else as it is."""
    if not is_table(data):
        return data
    make = next((make for ending, make in KINDS.items() if kind.endswith(ending)), None)
    if make is _labelled_text and str(getattr(model, "main_input_name", "")) in SOUNDS:
        make = _labelled_sounds  # as the classes of speech models are called too
    if make is None:
        raise WorkbenchError(
            f"hf:{name}: how a table becomes what {kind} takes is not known; give samples that it takes as they are. "
            f"Known are classes that end in {', '.join(KINDS)}"
        )
    return make(table_of(data), tuple(columns), model, partial(_processor, name, local))


def _processor(name: str, local: dict[str, bool], kind: str) -> Any:
    import transformers

    processor = getattr(transformers, kind).from_pretrained(name, **local)
    if kind == "AutoTokenizer" and processor.pad_token is None:
        processor.pad_token = (
            processor.eos_token
        )  # as is done for models that were trained without one; masked, it says nothing
    return processor


def _encoded(tokenizer: Any, *texts: list[Any], **options: Any) -> Any:
    length = min(int(tokenizer.model_max_length or MOST_TOKENS), MOST_TOKENS)
    return tokenizer(*texts, padding="longest", truncation=True, max_length=length, return_tensors="pt", **options)


def _texts(table: Table, columns: tuple[str, ...]) -> list[list[Any]]:
    """Return the columns of text: those that were asked for, a known pair, or a known one."""
    pair = columns or next((pair for pair in PAIRS if set(pair) <= set(table.columns)), ())
    return [table.column(name) for name in pair] or [table.column(*TEXTS)]


def _labels(table: Table, model: nn.Module) -> Tensor:
    """Return the column of labels as numbers; names are looked up in the model's own."""
    values = table.column(*LABELS)
    config: Any = model.config
    if isinstance(values[0], str) and not all(value.lstrip("-").isdecimal() for value in values):
        known: Mapping[str, int] = config.label2id
        if unknown := sorted(set(values) - known.keys()):
            raise WorkbenchError(f"{table.name}: the model knows no class {unknown[0]!r}; it has {', '.join(known)}")
        return torch.tensor([known[value] for value in values])
    if getattr(config, "problem_type", None) == "regression":
        return torch.tensor([float(value) for value in values])
    return torch.tensor([int(value) for value in values])


def _labelled_text(table: Table, columns: tuple[str, ...], model: nn.Module, processor: Callable[[str], Any]) -> Arrays:
    return dict(_encoded(processor("AutoTokenizer"), *_texts(table, columns))), _labels(table, model)


def _labelled_tokens(
    table: Table, columns: tuple[str, ...], model: nn.Module, processor: Callable[[str], Any]
) -> Arrays:
    """Return words with a label each: the label counts at the first token of its word."""
    words = table.column(*(columns or ("tokens", "words")))
    encoded = _encoded(processor("AutoTokenizer"), words, is_split_into_words=True)
    targets = torch.full_like(encoded["input_ids"], IGNORED)
    config: Any = model.config
    for row, labels in enumerate(table.column("ner_tags", "tags", *LABELS)):
        before = None
        for place, word in enumerate(encoded.word_ids(row)):
            if word is not None and word != before:
                label = labels[word]
                targets[row, place] = config.label2id[label] if isinstance(label, str) else int(label)
            before = word
    return dict(encoded), targets


def _next_tokens(table: Table, columns: tuple[str, ...], model: nn.Module, processor: Callable[[str], Any]) -> Arrays:
    encoded = dict(_encoded(processor("AutoTokenizer"), *_texts(table, columns)))
    encoded.pop("token_type_ids", None)
    tokens, mask = encoded["input_ids"], encoded["attention_mask"]
    # What is judged at each place is the token after it.
    targets = torch.full_like(tokens, IGNORED)
    targets[:, :-1] = tokens[:, 1:].masked_fill(mask[:, 1:] == 0, IGNORED)
    return encoded, targets


def _sequences(table: Table, columns: tuple[str, ...], model: nn.Module, processor: Callable[[str], Any]) -> Arrays:
    tokenizer = processor("AutoTokenizer")
    encoded = dict(_encoded(tokenizer, *_texts(table, columns[:1])))
    encoded.pop("token_type_ids", None)
    targets = _encoded(tokenizer, text_target=table.column(*columns[1:2], "summary", *LABELS))
    mask = targets.get("attention_mask")
    right = targets["input_ids"]
    right = right.masked_fill(mask == 0, IGNORED) if mask is not None else right
    shifted: Any = model
    encoded["decoder_input_ids"] = shifted.prepare_decoder_input_ids_from_labels(labels=right)
    return encoded, right


def _labelled_pictures(
    table: Table, columns: tuple[str, ...], model: nn.Module, processor: Callable[[str], Any]
) -> Arrays:
    pictures = table.column(*(columns or ("image", "img", "picture")))
    pixels = processor("AutoImageProcessor")(images=pictures, return_tensors="pt")
    return {"pixel_values": pixels["pixel_values"]}, _labels(table, model)


def _labelled_sounds(
    table: Table, columns: tuple[str, ...], model: nn.Module, processor: Callable[[str], Any]
) -> Arrays:
    extractor = processor("AutoFeatureExtractor")
    waves = []
    for sound in table.column(*(columns or ("audio", "speech", "sound"))):
        rate = sound["sampling_rate"] if isinstance(sound, dict) else extractor.sampling_rate
        if rate != extractor.sampling_rate:
            raise WorkbenchError(
                f"{table.name}: a sound has {rate} samples a second, the model takes {extractor.sampling_rate}"
            )
        waves.append(np.asarray(sound["array"] if isinstance(sound, dict) else sound, np.float32))
    entered = extractor(waves, sampling_rate=extractor.sampling_rate, padding=True, return_tensors="pt")
    return dict(entered), _labels(table, model)


KINDS: dict[str, Callable[[Table, tuple[str, ...], nn.Module, Callable[[str], Any]], Arrays]] = {
    "ForSequenceClassification": _labelled_text,
    "ForTokenClassification": _labelled_tokens,
    "ForCausalLM": _next_tokens,
    "LMHeadModel": _next_tokens,
    "ForImageClassification": _labelled_pictures,
    "ForAudioClassification": _labelled_sounds,
    "ForConditionalGeneration": _sequences,
    "ForSeq2SeqLM": _sequences,
}

"""Names of languages, scripts and territories in many languages, from the CLDR data that babel brings along.

What is named is dealt out to train, validation and test before any name is looked up: "Germany" and "Alemania" are in
one split. A few names are the same in several languages, so that nobody can be right about all.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from functools import lru_cache

import torch
from torch import Tensor

from workbench.errors import WorkbenchError

# Written in Latin letters all of them, or the script would give them away.
LANGUAGES = (
    "cs", "da", "de", "en", "es", "et", "fi", "fr", "hr", "hu", "id", "it", "lt", "lv", "nl", "pl", "pt", "ro", "sk",
    "sl", "sq", "sv", "tr", "vi",
)  # fmt: skip
SPLITS = {"train": (0, 1, 2, 3), "validation": (4,), "test": (5,)}  # of the sixths that concepts fall into
LONGEST = 24
PAD, START, END, UNKNOWN = 0, 1, 2, 3
FIRST = 4
LATIN = "abcdefghijklmnopqrstuvwxyzàáâãäåæçèéêëìíîïðñòóôõöøùúûüýÿāăąćčďđēėęěğģīįıķĺļľłńņňōőœŕřśşšţťūůűųźżžșțơưạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ '-().,&"  # noqa: E501  # an alphabet
CYRILLIC = "абвгдежзийклмнопрстуфхцчшщъыьэюяё '-().,&"  # likewise
IGNORED = -100


def encode(text: str, alphabet: str) -> list[int]:
    """Return the numbers of a text's letters, at most `LONGEST`."""
    numbers = {letter: FIRST + place for place, letter in enumerate(alphabet)}
    return [numbers.get(letter, UNKNOWN) for letter in text.lower()[:LONGEST]]


def decode(numbers: Tensor, alphabet: str) -> str:
    """Return the text of letters' numbers, up to the end."""
    letters = []
    for number in numbers.tolist():
        if number in (PAD, END, IGNORED):
            break
        if number >= FIRST + len(alphabet):
            letters.append(f"[{LANGUAGES[number - FIRST - len(alphabet)]}] ")
        elif number != START:
            letters.append(alphabet[number - FIRST] if number >= FIRST else "·")
    return "".join(letters)


@lru_cache(maxsize=64)
def names(language: str) -> dict[str, str]:
    """Return what is named, such as "territories DE", and its name in a language.

    Raises:
        WorkbenchError: babel is not installed, or knows no such language.
    """
    try:
        from babel import Locale
    except ImportError as error:
        raise WorkbenchError("names come from babel, which is not installed; pip install babel") from error
    locale = Locale.parse(language)
    return {
        f"{kind} {key}": str(name)
        for kind in ("languages", "territories", "scripts")
        for key, name in sorted(getattr(locale, kind).items())
        # Codes without a name of their own are listed as themselves.
        if len(str(key)) <= 4 and str(name) and not any(sign.isdigit() for sign in str(name))
    }


def split_of(concept: str) -> str:
    """Return the split of what is named."""
    sixth = zlib.crc32(concept.encode()) % 6
    return next(split for split, sixths in SPLITS.items() if sixth in sixths)


def _rows(split: str) -> Iterator[tuple[int, str, str]]:
    """Yield number of the language, concept and name, in an order that mixes languages."""
    tables = [names(language) for language in LANGUAGES]
    for concept in sorted(set().union(*tables)):
        for number, table in enumerate(tables):
            if split_of(concept) == split and concept in table:
                yield number, concept, table[concept]


def _padded(rows: list[list[int]], length: int, value: int = PAD) -> Tensor:
    return torch.tensor([row + [value] * (length - len(row)) for row in rows])


@lru_cache(maxsize=3)
def languages(split: str) -> tuple[Tensor, Tensor]:
    """Return letters [n, 24] of names, and the numbers of their languages [n]."""
    rows = list(_rows(split))
    return _padded([encode(name, LATIN) for *_, name in rows], LONGEST), torch.tensor([number for number, *_ in rows])


@lru_cache(maxsize=3)
def next_letters(split: str) -> tuple[Tensor, Tensor]:
    """Return letters [n, 25] of names with their language in front, and what follows each, [n, 25]; -100 after the end.

    The language is a letter of its own, after the alphabet.
    """
    rows = [([FIRST + len(LATIN) + number], encode(name, LATIN)) for number, _, name in _rows(split)]
    inputs = _padded([language + letters for language, letters in rows], LONGEST + 1)
    targets = _padded([[*letters, END] for _, letters in rows], LONGEST + 1, IGNORED)
    return inputs, targets


@lru_cache(maxsize=3)
def transliterations(split: str) -> tuple[dict[str, Tensor], Tensor]:
    """Return names in Latin letters and what has been written in Cyrillic so far, and what follows.

    Returns:
        {"source": [n, 24], "written": [n, 25]} and targets [n, 25], -100 after the end.
    """
    russian = names("ru")
    rows = [
        (encode(name, LATIN), encode(russian[concept], CYRILLIC))
        for number, concept, name in _rows(split)
        if LANGUAGES[number] in ("de", "en", "es", "it", "pl", "sv") and concept in russian
    ]
    source = _padded([letters for letters, _ in rows], LONGEST)
    written = _padded([[START, *letters] for _, letters in rows], LONGEST + 1)
    targets = _padded([[*letters, END] for _, letters in rows], LONGEST + 1, IGNORED)
    return {"source": source, "written": written}, targets

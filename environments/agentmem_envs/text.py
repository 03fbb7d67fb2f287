"""The text that observations and actions are made of: printable ASCII, spaces and newlines, and what else an
environment shows. Knows no environment.
"""

import string
import unicodedata
from typing import Any

from gymnasium.spaces import Text

CHARSET = frozenset(string.ascii_letters + string.digits + string.punctuation + " \n")
_TYPED = dict.fromkeys("‘’‚′", "'") | dict.fromkeys("“”„″«»", '"') | dict.fromkeys("‐‑‒–—−", "-")
_TYPED |= {"€": "EUR", "£": "GBP", "ß": "ss", "æ": "ae", "Æ": "AE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d"}
_TYPED |= {"×": "x", "•": "*", "→": "->", "\t": " ", "\r\n": "\n", "\r": "\n"}


SAMPLED = 80
"""Characters of a sample, at most: random ones say nothing, however many they are."""


class _Plain(Text):
    """A space of texts, long ones too, of which samples are short."""

    def sample(self, mask: Any = None, probability: Any = None) -> str:
        if mask is None and probability is None:
            mask = int(self.np_random.integers(min(SAMPLED, self.max_length) + 1)), None
        return super().sample(mask, probability)


def text_space(limit: int, charset: frozenset[str] = CHARSET) -> Text:
    """The space of all texts in `charset` of at most `limit` characters, the empty one among them."""
    return _Plain(max_length=limit, min_length=0, charset=charset)


def plain(text: str, charset: frozenset[str] = CHARSET) -> str:
    """The text in `charset`, which has CHARSET in it: of the rest typographic marks as they are typed, accents dropped,
    what has no equal as `?`.
    """
    if charset.issuperset(text):
        return text
    for mark, typed in _TYPED.items():
        text = text if mark in charset else text.replace(mark, typed)
    parts = (part for letter in text for part in (letter if letter in charset else _parts(letter)))
    return "".join(part if part in charset else "?" for part in parts)


def _parts(letter: str) -> str:
    """What a letter is made of, without its accents."""
    return "".join(part for part in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(part))

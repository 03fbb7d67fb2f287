"""The text that observations and actions are made of: printable ASCII, spaces and newlines. Knows no environment."""

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


def text_space(limit: int) -> Text:
    """The space of all plain texts of at most `limit` characters, the empty one among them."""
    return _Plain(max_length=limit, min_length=0, charset=CHARSET)


def plain(text: str) -> str:
    """The text in CHARSET: typographic marks as they are typed, accents dropped, what has no equal as `?`."""
    if CHARSET.issuperset(text):
        return text
    for mark, typed in _TYPED.items():
        text = text.replace(mark, typed)
    letters = (letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    return "".join(letter if letter in CHARSET else "?" for letter in letters)

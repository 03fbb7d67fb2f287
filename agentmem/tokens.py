"""Counting tokens without a tokenizer, and cutting text to a budget.

Knows cl100k_base's splitting rule, what common pieces cost by it as we measured them (data/costs.txt.gz, made by
scripts/token_costs.py), and how to estimate the rest on the high side. Knows nothing of any model: pass the caller's
own counter to `truncate` where a budget must be exact.
"""

from __future__ import annotations

import gzip
import json
import math
import re
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from itertools import accumulate
from pathlib import Path

from agentmem.errors import InvalidInputError, in_brief
from agentmem.remembered import MOST, WORTH, Remembered, on_forget

MARK = "…"
MOST_TOKENS = 1_000_000_000
"""Of a budget."""
_PART = 16  # characters of the longest part of a piece that is looked up
_BEGINNING = 3  # characters by which parts are told apart before they are looked up
_SURCHARGE = 24  # tokens for which one more is counted, for words that take more parts than estimated
_MARGIN = 0.25  # by which merging may take more parts than the fewest
_SLICE = 1_000_000
_CUT_MARGIN = 2

_SPACE = "\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_NUMERIC = (  # Unicode's No and Nl: numbers that are not decimal digits, which Python counts as letters
    "\xb2\xb3\xb9\xbc-\xbe\u09f4-\u09f9\u0b72-\u0b77\u0bf0-\u0bf2\u0c78-\u0c7e\u0d58-\u0d5e\u0d70-\u0d78\u0f2a-\u0f33"
    "\u1369-\u137c\u16ee-\u16f0\u17f0-\u17f9\u19da\u2070\u2074-\u2079\u2080-\u2089\u2150-\u2182\u2185-\u2189\u2460-\u249b"
    "\u24ea-\u24ff\u2776-\u2793\u2cfd\u3007\u3021-\u3029\u3038-\u303a\u3192-\u3195\u3220-\u3229\u3248-\u324f\u3251-\u325f"
    "\u3280-\u3289\u32b1-\u32bf\ua6e6-\ua6ef\ua830-\ua835\U00010107-\U00010133\U00010140-\U00010178\U0001018a\U0001018b"
)
_PATTERN = (  # cl100k_base's, in `re`: L letters, N numbers, S spaces, O neither
    r"'(?:[sdmtSDMT{longs}]|[lL][lL]|[vV][eE]|[rR][eE])|(?:{before})?+{L}++|{N}{{1,3}}+| ?(?:{O})++[\r\n]*+"
    r"|[{S}]++\Z|[{S}]*[\r\n]|[{S}]+(?![^{S}])|[{S}]"
)
_ASCII = re.compile(
    _PATTERN.format(longs="", before=r"[^A-Za-z0-9\r\n]", L="[A-Za-z]", N="[0-9]", S=r"\t-\r ", O=r"[^A-Za-z0-9\t-\r ]")
)
_UNICODE = re.compile(
    _PATTERN.format(
        longs="\u017f",
        before=r"[^\w\r\n]|_",
        L=rf"[^\W\d_{_NUMERIC}]",
        N=rf"[\d{_NUMERIC}]",
        S=_SPACE,
        O=rf"[^\w{_SPACE}]|_",
    )
)


def count(text: str) -> int:
    """How many tokens a text is, on the high side: cl100k_base's own count and 5 to 21 % more on English and code.

    The default counter wherever a caller gives none. Deterministic; 0 for "" alone. Texts over a million characters,
    and unbroken runs of over 64 letters or symbols, are counted in parts with a margin for each cut.
    """
    if len(text) > _SLICE:
        parts = [text[i : i + _SLICE] for i in range(0, len(text), _SLICE)]
        return sum(map(count, parts)) + _CUT_MARGIN * len(parts)
    try:
        parts, tail = cut(text)
        return count_of(parts[0], map(SPACED.__getitem__, parts), tail)
    except SpacesError:
        return _with_surcharge(_in_runs(text))


def check_budget(budget: object) -> None:
    """InvalidInputError for what is no budget."""
    if isinstance(budget, bool) or not isinstance(budget, int) or not 0 <= budget <= MOST_TOKENS:
        # a text may be a secret in the wrong place
        given = in_brief(budget, 20 if isinstance(budget, str) else 80)
        raise InvalidInputError(f"budget {given}: give a whole number of tokens from 0 to {MOST_TOKENS:,}")


def count_spaced(text: str) -> int:
    """`count` of a text with a space before it."""
    try:
        return _with_surcharge(sum(map(SPACED.__getitem__, text.split(" "))))
    except SpacesError:
        return count(f" {text}")


def cut(text: str) -> tuple[list[str], str]:
    """The parts of a text between its spaces, and the spaces it ends in."""
    body = text.rstrip(" ")
    return body.split(" "), text[len(body) :]


def count_of(first: str, costs: Iterable[int], tail: str) -> int:
    """`count` of a text that was `cut`, from its first part, what each part costs as `SPACED` has it, and its tail.

    As the pattern would cut, only quicker; SPACED raises SpacesError where that cannot be said of the parts alone.
    """
    return _with_surcharge(sum(costs) - SPACED[first] + _in_runs(first) + (_in_runs(tail) if tail else 0))


def _with_surcharge(tokens: int) -> int:
    return tokens + (tokens + 8) // _SURCHARGE


def _in_runs(text: str) -> int:
    return sum(map(_RUNS.__getitem__, _RUN.findall(text)))


def pieces(text: str) -> list[str]:
    """A text cut as cl100k_base cuts it before merging; no token crosses a cut."""
    return (_ASCII if text.isascii() else _UNICODE).findall(text)


class _Costs(dict[str, int]):
    """piece -> tokens: measured for common pieces, else estimated; filled as pieces are met, emptied when full."""

    def __init__(self) -> None:
        self._measured = _read_costs()
        self._whole = frozenset(piece for piece, cost in self._measured.items() if cost == 1)
        self._lock = threading.Lock()
        on_forget(self.clear)

    def __missing__(self, piece: str) -> int:
        if piece in self._measured:
            return self._measured[piece]
        if len(piece) > WORTH and not piece.isspace():
            return self._in_parts(piece)
        cost = estimate(piece, self._whole, self._measured)
        with self._lock:
            if len(self) >= MOST:
                self.clear()
            if len(piece) <= WORTH:
                self[piece] = cost
        return cost

    def _in_parts(self, piece: str) -> int:
        parts = sum(self[piece[at : at + WORTH]] for at in range(0, len(piece), WORTH))
        return min(parts + math.ceil(parts * _MARGIN), len(piece.encode("utf-8", "surrogatepass")))


def estimate(piece: str, whole: frozenset[str], characters: Mapping[str, int]) -> int:
    """Tokens of a piece, on the high side: the fewest parts it can be put together from, and a margin.

    whole: pieces known to be one token each. characters: tokens of single ones; any other costs its bytes in UTF-8.
    White space counts one for every 16 of a kind.
    """
    return min(_estimate(piece, whole, characters), len(piece.encode("utf-8", "surrogatepass")))


def _estimate(piece: str, whole: frozenset[str], characters: Mapping[str, int]) -> int:
    if piece.isspace() and piece.isascii():
        return 1 + len(piece) // 16 if len(set(piece)) == 1 else len(piece)
    if piece.isdigit() and piece.isascii():
        return 1
    fewest = _fewest_parts(piece, whole, characters)
    return fewest if fewest == 1 else max(fewest + math.ceil(fewest * _MARGIN), 1 + (len(piece) + 3) // 4)


def _fewest_parts(piece: str, whole: frozenset[str], characters: Mapping[str, int]) -> int:
    longest = _longest_of(whole)
    singly = [characters.get(one) or len(one.encode("utf-8", "surrogatepass")) for one in piece]
    fewest = [0, *accumulate(singly)]
    for start, alone in enumerate(singly):
        here = fewest[start]
        fewest[start + 1] = min(fewest[start + 1], here + alone)
        most = longest.get(piece[start : start + _BEGINNING], 0) or longest.get(piece[start : start + 2], 0)
        for end in range(start + 2, min(start + most, len(piece)) + 1):
            if here + 1 < fewest[end] and piece[start:end] in whole:
                fewest[end] = here + 1
    return fewest[-1]


@cache
def _longest_of(whole: frozenset[str]) -> Mapping[str, int]:
    """The first characters of parts of two characters or more that are looked up -> the length of the longest."""
    parts = sorted((part for part in whole if 2 <= len(part) <= _PART), key=len)
    return {part[:2]: 2 for part in parts} | {part[:_BEGINNING]: len(part) for part in parts}


def _cost_of_run(run: str) -> int:
    """Tokens of a word with the space before it and the line ends after it."""
    return sum(map(costs().__getitem__, pieces(run)))


class SpacesError(Exception):
    """A part ends in white space that belongs to what follows."""


def _cost_of_part(part: str) -> int:
    """Tokens of what stands between two spaces, with the space before."""
    if not part.rstrip("\r\n") or part.rstrip("\r\n")[-1].isspace():
        raise SpacesError
    return _in_runs(f" {part}")


_RUN = re.compile(r"\s*+\S++[\r\n]*+|\s++")
_RUNS = Remembered(_cost_of_run)


SPACED = Remembered(_cost_of_part)


@cache
def costs() -> Mapping[str, int]:
    """Tokens of each of the `pieces` of a text, or of a part of one."""
    return _Costs()


def _read_costs() -> dict[str, int]:
    table = Path(__file__).parent.joinpath("data", "costs.txt.gz")
    if not table.exists():
        return {}
    lines = gzip.decompress(table.read_bytes()).decode().rstrip("\n").split("\n")
    parts = (line.split(" ", 1) for line in lines)
    return {piece: int(cost) for cost, listed in parts for piece in json.loads(listed)}


# ---- cutting -----------------------------------------------------------------------------------------------------

_UNSPACED = "\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7ff"
_SENTENCE_END = re.compile(r"[.!?…][\"'”’)\]]*(?=\s|\Z)|[。！？]|(?<=\S)(?=\s*\n)")
_WORD_END = re.compile(rf"(?<=\S)(?=\s|\Z)|(?<=[{_UNSPACED}])")


def truncate(text: str, budget: int, count: Callable[[str], int] = count) -> str:
    """The longest beginning of a text within a budget of tokens: all of it, or up to a sentence or line end and "…".

    It ends after a word where no sentence fits, or none that fills half of the budget; "" when not even a word fits.
    `count` is the caller's counter, taken to grow with the text; it is called O(log budget) times and never on much
    more text than fits.
    """
    window = _window(text, budget, count)
    if len(window) == len(text) and count(text) <= budget:
        return text
    sentence, used = _longest(window, _SENTENCE_END, budget, count)
    return sentence if 2 * used >= budget else _longest(window, _WORD_END, budget, count)[0]


def _window(text: str, budget: int, count: Callable[[str], int]) -> str:
    """A beginning of the text that does not fit the budget, or all of it."""
    size = max(64, 8 * budget)
    while size < len(text) and count(text[:size]) <= budget:
        size *= 2
    return text[:size]


def _longest(text: str, end: re.Pattern[str], budget: int, count: Callable[[str], int]) -> tuple[str, int]:
    """The longest beginning of the text, with MARK, that stops at an `end` and fits; its tokens; ("", 0) if none."""
    ends = [match.end() for match in end.finditer(text)]
    fits = bisect_right(ends, False, key=lambda end: count(text[:end] + MARK) > budget)
    best = text[: ends[fits - 1]] + MARK if fits else ""
    return best, count(best) if best else 0

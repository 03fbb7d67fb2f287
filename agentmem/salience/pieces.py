"""What a piece is by itself: how surprising in English, how many tokens, which properties.

Knows single pieces only: nothing of the line or step they stand in.
"""

from __future__ import annotations

import gzip
import re
import zlib
from functools import cache
from importlib.resources import files

from agentmem.remembered import remembered
from agentmem.tokens import count
from agentmem.words import STOPWORDS

LONGEST = 64  # characters of a piece; longer runs are cut
WHOLE = LONGEST + 8  # characters of the longest piece that may be kept, with what follows it
UNKNOWN = 15.0  # nats of a word outside the table
LEAST = 2.0  # nats of any word that is not a function word

_BOUND = r',;:{}\[\]()="|<>，。、；：！？（）「」『』【】《》'
_UNBROKEN = r"[A-Za-z0-9+/_.%~-]"
PIECE = re.compile(
    rf"(?<={_UNBROKEN}{{256}}){_UNBROKEN}++"  # the rest of a run that no word is as long as
    rf"|[^\s{_BOUND}]{{1,{LONGEST}}}+[{_BOUND}]{{0,8}}+|[{_BOUND}]{{1,8}}+"
)
_WORD = re.compile(r"[^\W_]+")
_DIGITS = re.compile(r"\d+")
_TRIM = _BOUND.replace("\\", "") + ".'`*!?"

STOP, DIGIT, UPPER, DATE, QUOTE, OPENS, CLOSES, ENDS, OUTCOME, SELF, CODE = (1 << bit for bit in range(11))

_DATES = frozenset(
    "january february march april may june july august september october november december jan feb mar apr jun jul aug "
    "sep sept oct nov dec monday tuesday wednesday thursday friday saturday sunday yesterday today tomorrow ago week "
    "weeks month months year years day days".split()
)
_OUTCOMES = frozenset(
    "error errors exception fail failed fails failure traceback denied cannot unable exit found submitted passed "
    "success successfully result finally score done warning invalid".split()
)
_SELF = frozenset("i i'm i've i'd i'll my mine we we're we've our i’m i’ve i’d i’ll".split())


@cache
def surprisals() -> dict[str, float]:
    """word -> -ln p in English books, in nats (`scripts/word_frequencies.py` made the table)."""
    packed = files("agentmem").joinpath("data/words.txt.gz").read_bytes()
    rows = (line.split(" ") for line in gzip.decompress(packed).decode().splitlines())
    return {word: float(level) for level, *words in rows for word in words}


@remembered(1 << 16)
def look(piece: str) -> tuple[float, int, int, int, int]:
    """What a piece is by itself: nats (0 for function words), tokens, flags, hash, hash without digits."""
    low = piece.casefold()
    words = _WORD.findall(low)
    core = piece.strip(_TRIM)
    tail = piece[len(piece.rstrip(_TRIM)) :]
    stop = all(word in STOPWORDS or (len(word) == 1 and word.isalpha() and word.isascii()) for word in words)
    nats = 0.0 if stop else max(LEAST, *(surprisals().get(word, UNKNOWN) for word in words))
    holds = {
        STOP: stop,
        DIGIT: any(c.isdigit() for c in piece),
        UPPER: core[:1].isupper() and core != "I",
        DATE: bool(words) and words[0] in _DATES,
        QUOTE: '"' in piece or "`" in piece or piece[0] == "'",
        OPENS: piece.endswith((":", "=", "(", ':"', '="', "：")),
        CLOSES: piece[-1] in ",;}.)，。；）",
        ENDS: any(c in ".!?:。！？" for c in tail),
        OUTCOME: any(word in _OUTCOMES or word.endswith(("error", "exception")) for word in words),
        SELF: low.rstrip(_TRIM) in _SELF,
        CODE: piece[-1] in ";{}" or "()" in piece,
    }
    flags = sum(flag for flag, held in holds.items() if held)
    return nats, count(" " + piece), flags, _hash(" ".join(words)), _hash(_DIGITS.sub("#", low))


def _hash(text: str) -> int:
    return zlib.crc32(text.encode("utf-8", "surrogatepass"))

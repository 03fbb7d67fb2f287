"""Words and stems of text: what the lexical index holds and what a cue is matched by.

Knows folding (case, accents, width), identifiers, scripts written without spaces, English stems and function words.
Knows nothing of the index, of weights, or of any other language's grammar: their words are kept as they are.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from itertools import chain

import Stemmer

from agentmem.remembered import Remembered

STEM_LENGTH = 64

STOPWORDS: frozenset[str] = frozenset(
    """
    a about above after again against all also am an and any are arent as at be because been before being below between
    both but by can cannot cant could couldnt d did didnt do does doesnt doing done dont down during each either else
    ever every few for from further had hadnt has hasnt have havent having he hed hell her here heres hers herself hes
    him himself his how hows however i id if ill im in into is isnt it itd itll its itself ive just let lets ll may me
    might more most much must mustnt my myself neither no nor not of off on once only or other ought our ours ourselves
    out over own please re s same shall shant she shed shes should shouldnt so some such t than that thatll thats the
    their theirs them themselves then there theres these they theyd theyll theyre theyve this those through to too
    under until up upon us ve very was wasnt we wed well were werent weve what whatever whats when whenever where
    wheres whether which while who whoever whom whos whose why will with within without wont would wouldnt yes yet you
    youd youll your youre yours yourself yourselves youve
    """.split()
)

_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3040-\u318f\u31a0-\u31bf"
_UNSPACED += "\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff"
_MARKS = (
    "\u0483-\u0487\u0591-\u05bd\u05bf-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed\u0900-\u0903\u093a-\u094f"
)
_MARKS += "\u0951-\u0963\u0981-\u0983\u09bc-\u0dff\u0f18-\u0fbc\u200c\u200d"

_APOSTROPHE = re.compile(r"'(?:s\b|(?=\w))")
_CAMEL = re.compile(r"[a-z][A-Z]")
_CAMEL_RUN = re.compile(r"[A-Za-z]*[a-z][A-Z][A-Za-z0-9]*")
_CAMEL_EDGE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_ASCII_WORD = re.compile(r"[a-z0-9]+")
_WORD = re.compile(rf"([{_UNSPACED}]+)|(?:[^\W_{_UNSPACED}]|[{_MARKS}])+")
_ACCENTS = re.compile("[\u0300-\u036f]+")
_SYMBOLS = re.compile("[\u0080-\u00bf\u2000-\u200b\u200e-\u2bff\ufe00-\ufe0f\U0001f000-\U0001faff]+")


def words(text: str) -> list[str]:
    """The words of a text in order: casefolded letters and digits, accents folded. Never raises, for any str.

    `src/foo_bar.py`, `3.14` and `2023-05-07` give their parts, `camelCase` itself (camelcase) and its parts, `John's`
    john, `don't` dont. Scripts written without spaces give character bigrams, or the character when alone.
    """
    if _CAMEL.search(text):
        text = _CAMEL_RUN.sub(_with_parts, text)
    if text.isascii():
        return _ASCII_WORD.findall(_drop_apostrophes(text.lower()))
    text = _drop_apostrophes(_fold(text.replace("\u2019", "'")))
    if text.isascii():
        return _ASCII_WORD.findall(text)
    return [word for match in _WORD.finditer(text) for word in _of_match(match)]


def stems(text: str) -> list[str]:
    """The English Snowball stems of `words(text)`, in order: no spaces, no quotes, at most 64 characters each."""
    return list(chain.from_iterable(map(_RUNS.__getitem__, text.split())))


def distinct_stems(text: str) -> list[str]:
    """Each of `stems(text)` once, where it first stands."""
    return list(dict.fromkeys(chain.from_iterable(map(_RUNS.__getitem__, text.split()))))


def content_stems(text: str) -> list[str]:
    """The distinct stems of a cue without function words, in order; all of them when nothing else is left."""
    found = words(text)
    kept = [word for word in found if word not in STOPWORDS] or found
    return list(dict.fromkeys(map(_STEMS.__getitem__, kept)))


def _with_parts(match: re.Match[str]) -> str:
    run = match[0]
    return f"{run} {_CAMEL_EDGE.sub(' ', run)}"


def _drop_apostrophes(text: str) -> str:
    return _APOSTROPHE.sub("", text) if "'" in text else text


def _fold(text: str) -> str:
    """Compatibility caseless form (Unicode 3.13, D146) without Latin accents and symbols, recomposed."""
    for _ in range(2):
        text = unicodedata.normalize("NFKD", text).casefold()
    return unicodedata.normalize("NFC", _SYMBOLS.sub(" ", _ACCENTS.sub("", text)))


def _of_match(match: re.Match[str]) -> list[str]:
    run = match[1]
    if run is None:
        return [match[0]]
    return [run[i : i + 2] for i in range(len(run) - 1)] or [run]


def _stem(word: str) -> str:
    with _LOCK:  # a stemmer is not safe to share between threads
        return str(_STEMMER.stemWord(word[:STEM_LENGTH]))


_STEMMER, _LOCK = Stemmer.Stemmer("english", 0), threading.Lock()
_STEMS = Remembered(_stem)


def _stems_of(run: str) -> tuple[str, ...]:
    """The stems of what stands between two spaces: no rule of `words` looks across a space."""
    return tuple(map(_STEMS.__getitem__, words(run)))


_RUNS = Remembered(_stems_of)

"""Values that nobody should give: what is in them, and why. Knows no memory.

Each kind is of the threats of docs/threats.md: what looks like SQL or a pattern of the full-text index, paths, what is
huge, deep or many, numbers that are none, text that is no text, whole numbers and times out of range, and things of
another type.
"""

from __future__ import annotations

import base64
import random
import string
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import PurePosixPath
from typing import Any

import numpy as np

INJECTIONS = (
    "' OR 1=1; DROP TABLE log; --", "'; DELETE FROM log WHERE '1'='1", '" OR ""="', "1; ATTACH DATABASE 'x' AS y",
    "'||(SELECT name FROM sqlite_schema)||'", "x' UNION SELECT packed FROM log --", "%", "_", "*", "?1", ":namespace",
    "$.a') = 1 OR json_extract(x, '$", "NEAR(a b)", "col:foo", "-x", '"', '"unclosed', "a AND", "NOT", "OR OR", "^a",
    "a* b*", "{a b}: c", "a + b", "(", "())", "rowid:1", "log MATCH 'a'", "\\'; --", "`log`", "[log]", "/* x */", "--",
    "{{7*7}}", "${jndi:ldap://127.0.0.1/a}", "$(touch here)", "`touch here`", "; touch here", "| touch here",
    "%s%n%x", "{0.__class__}", "__import__('os').system('id')", "<script>alert(1)</script>", "]]>", "\r\nX-Evil: 1",
)  # fmt: skip
PATHS = (
    "../../../../etc/passwd", "/etc/passwd", "..", ".", "~/x", "a/../../b", "..\\..\\x", "C:\\x", "CON", "nul.txt",
    "//server/share", "file:///etc/passwd", "/dev/null", "/dev/zero", "/proc/self/environ", "a\0.mem", "x/" * 200,
    "%2e%2e%2f", "....//", "a" * 300, ":memory:", "-rf", "--help", "|x", " ", "\t", "x\ny", "postgresql://h/d",
)  # fmt: skip
TEXTS = (
    "\ud800", "a\udfffb", "\0", "a\0b", "\x1b[31mred\x1b[0m", "\x07\x08", "\x7f\x80\x9f", "\u202egpj.exe",
    "\u2066x\u2069", "\u200b\u200d\ufeff", "\U000e0041\U000e0042", "e\u0301", "\u00e9", "\ufdfa" * 50, "\uffff",
    "\U0010ffff", "ﬀ", "İ", "ß", "Z" + "\u0351" * 300, "👩‍👩‍👧‍👦" * 20, "\u2028\u2029", "\r", "\n" * 500,
    " " * 5000, "A", "a", "Ａ",
)  # fmt: skip
SLOW = (
    "a" * 50_000, "a" * 30_000 + "@", "a@" * 10_000, "1" * 40_000, "1." * 15_000, "(" * 20_000, "<" * 20_000,
    "[" * 20_000, "\\" * 20_000, '"' * 20_000, "- " * 10_000, "a\n" * 15_000, "\t" * 30_000, "http://" * 5_000,
    "x=" * 15_000, "/a" * 15_000, "a b " * 10_000, "." * 30_000, "a-" * 15_000, "Aa" * 15_000, "{" * 20_000,
    "Ab " * 8_000, "a: " * 8_000, ("x" * 99 + "\n") * 300, "$" * 20_000, "1,000 " * 5_000, "20 March " * 3_000,
    "'" * 20_000, "_" * 30_000, "%" * 20_000, "é" * 20_000, "漢" * 20_000, "#" * 20_000, "|" * 20_000, "!" * 20_000,
)  # fmt: skip
NUMBERS = (
    float("nan"), float("inf"), float("-inf"), -0.0, 5e-324, 1e308, 0.1, -1.5, np.float16("nan"), np.float32("inf"),
    np.float64(-0.0), np.int8(3), np.uint64(2**64 - 1), np.array([1.0, float("nan")]), np.zeros((2, 3)), np.array(None),
    np.array(["a"]), np.array([1 + 2j]), np.datetime64("2026-01-01"), np.bool_(True), 1 + 2j, np.zeros((0, 768)),
    np.array([[1.0] * 768]),
)  # fmt: skip
WHOLE = (
    2**63, 2**63 - 1, -(2**63) - 1, 2**64, 10**30, 10**400, -(10**400), 10**5000, -1, 0, 1, 2**31, 2**53 + 1, True,
    False, "1" * 5000, "0x10", "१२", "1_000", "1e3", "s00000000000", "s99999999999", "s0000000000٣", "s00000000001\n",
)  # fmt: skip
TIMES = (
    "0000-01-01", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "10000-01-01", "2026-02-30", "2026-W53-7",
    "2026-01-01T25:00", "2026-01-01T00:00:60", "20260101T000000Z", "now", "-1", "2026-01-01T00:00:00+99:99",
    datetime.min, datetime.max, datetime.min.replace(tzinfo=UTC),
    datetime.max.replace(tzinfo=timezone(-timedelta(hours=23))),
    datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))), date(2026, 1, 1), timedelta(days=1), 1e18, -1e18,
    datetime(2026, 1, 1, fold=1), "2026-01-01T00:00:00.123456789012Z",
)  # fmt: skip


class Loud(str):
    """A str that is more than one."""


def _circle() -> list[Any]:
    made: list[Any] = []
    made.append(made)
    return made


def _deep(depth: int, kind: str) -> Any:
    made: Any = 1
    for _ in range(depth):
        made = [made] if kind == "list" else {"a": made}
    return made


def types(draw: random.Random) -> Any:
    return draw.choice((
        None, [], {}, (), set(), frozenset({"a"}), b"bytes", bytearray(b"x"), memoryview(b"x"), object(), int, len,
        lambda *_: None, iter(["a"]), (n for n in range(3)), range(5), {"lc": 1, "type": "constructor", "id": ["os"]},
        {"__class__": "os.system"}, {1: 2}, {None: 1}, {"a": {("b",): 1}}, [None], [b"x"], [1, "a"], ["a", None], "",
        ["", "a"], {"": ""}, Ellipsis, NotImplemented, PurePosixPath("x"), Exception("x"), base64.b64encode(b"x"),
        Loud("a loud text"), [[]], [{}], {"text": None}, [{"text": 1}], [{"txt": "a"}], {"a": b"x"}, {"a": "x"},
        {"b": 1}, _circle(),
    ))  # fmt: skip


def big(draw: random.Random) -> Any:
    """Huge, deep or many: just under, at and over what is allowed."""
    size = draw.choice((255, 999, 1_000, 1_001, 10_000, 16_000, 16_001, 100_000))
    return draw.choice((
        lambda: "x" * size, lambda: "é" * size, lambda: "word " * (size // 5), lambda: "x" * 1_000_001,
        lambda: ["a"] * min(size, 2_000),
        lambda: {f"k{n}": n for n in range(min(size, 20_000))}, lambda: {"k" * size: 1}, lambda: _deep(99, "list"),
        lambda: _deep(100, "dict"), lambda: _deep(101, "list"), lambda: _deep(3_000, "list"),
        lambda: _deep(50_000, "dict"),
        lambda: b"x" * size, lambda: [["a"] * 100] * 100, lambda: [f"s{n:011}" for n in range(size // 10)],
        lambda: {str(n): b"" for n in range(300)}, lambda: "x" * ((64 << 20) + 1), lambda: "y" * (17 << 20),
        lambda: [0] * 300_000,
    ))()  # fmt: skip


def words(draw: random.Random) -> str:
    """Text of anything, put together."""
    parts = (*INJECTIONS, *TEXTS, *PATHS[:12], *string.punctuation, chr(draw.randrange(0x110000)), "word", "Ann", "7")
    return draw.choice(("", " ", "\n")).join(draw.choice(parts) for _ in range(draw.randrange(1, 9)))


def surrogates(draw: random.Random) -> str:
    return draw.choice(("", "a", "say ")) + chr(draw.randrange(0xD800, 0xE000)) + draw.choice(("", "b", "\U0001f600"))


KINDS: dict[str, Callable[[random.Random], Any]] = {
    "injection": lambda draw: draw.choice(INJECTIONS),
    "path": lambda draw: draw.choice(PATHS),
    "huge, deep or many": big,
    "number": lambda draw: draw.choice(NUMBERS),
    "text": lambda draw: draw.choice((lambda _: draw.choice(TEXTS), words, words, surrogates))(draw),
    "whole number or time": lambda draw: draw.choice((*WHOLE, *TIMES)),
    "type": types,
    "long for a pattern": lambda draw: draw.choice(SLOW),
}
WEIGHTS = (6, 4, 3, 4, 8, 5, 7, 1)


def bad(draw: random.Random) -> tuple[str, Any]:
    """The name of a kind, and a value of it."""
    (kind,) = draw.choices(list(KINDS), WEIGHTS)
    return kind, KINDS[kind](draw)

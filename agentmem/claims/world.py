"""Claims of environments and tools: readings, places, things carried, files, outcomes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from agentmem.claims.form import Claim, Said, bare, claim, prose

_MEASURE = (
    "score|health|hp|mana|energy|level|temperature|pressure|balance|total|count|price|cost|budget|limit|weight|height|"
    "speed|distance|size|length|version|port|quantity|stock|rating|rate|accuracy|loss|grade|age|progress|capacity|rank|"
    "turn|moves|coverage|latency|duration|timeout|uptime|response time"
)
_UNIT = (
    r"%|percent|degrees(?: celsius| fahrenheit)?|°[CF]?|ms|s|kg|g|lb|km|m|cm|GB|MB|KB|dollars|points|hours|minutes|"
    "seconds|days|users|items"
)
_NUMBER = rf"[-+]?[$€£]?\d[\d,]*(?:\.\d+)*(?:\s?(?:{_UNIT})(?!\w))?"
_READING = re.compile(
    rf"\b(?P<key>(?:[A-Za-z][\w\-]{{0,30}} ){{0,3}}(?:{_MEASURE}))\s+"
    r"(?:is now|is currently|is|are|was|now reads|reads|reached|equals|of|at|to|=|:|"
    r"(?:has )?(?:risen|fallen|increased|decreased|dropped|gone up|gone down) to)\s+"
    rf"(?:about |around |approximately )?(?P<value>{_NUMBER})",
    re.I,
)
_DIGIT = re.compile(r"\d")  # every value of it has one
_IS_NOW = re.compile(r"\b(?:the|your) (?P<key>\w+(?: \w+){0,2}) (?:is|are) now (?P<value>[^\n.;!?]{1,60})", re.I)

_THING = r"(?:the |an? |your |some )?(?P<value>[\w'’ \-]{2,40}?)"
_END = r"(?=[.,;:!?\n(\[]|\s*\Z)"
_PLACE = re.compile(
    r"\b(?:you(?: are|['’]re) (?:now )?(?:in|at|inside|on)|you enter|you arrive (?:at|in)|"
    r"you (?:move|walk|go|travel|return|climb|are taken) (?:in)?to|this (?:room|place|area|location) is(?: called)?|"
    rf"(?:current )?(?:location|room)(?: is(?: called)?|:)) {_THING}{_END}",
    re.I,
)
_TITLE = r"(?:The |An? )?[A-Z][\w'’\-]{0,30}(?: (?:[A-Z][\w'’\-]{0,30}|of|the|in|on|at|and|to|by|with|a)){0,5}"
_HEADING = re.compile(rf"\A\s*(?P<value>{_TITLE})(?: \([a-z ]+\))?(?=[ \t]*\n\s*[A-Z\"'])")
_MACHINES = frozenset("tool shell function terminal bash browser computer server".split())

_DONE = {
    "carried": (
        re.compile(
            rf"\byou (?:pick up|take|grab|collect|get|acquire|receive|now have) {_THING}(?= from\b| and\b|{_END[3:]}",
            re.I,
        ),
        re.compile(rf"\byou move {_THING} to the inventory", re.I),
        re.compile(r"^(?P<value>[\w'’ \-]{2,40}): (?:taken|removed)\b", re.I | re.M),
    ),
    "dropped": (
        re.compile(rf"\byou (?:drop|put down|discard|give away|lose) {_THING}(?= in\b| on\b| and\b|{_END[3:]}", re.I),
        re.compile(r"^(?P<value>[\w'’ \-]{2,40}): dropped\b", re.I | re.M),
    ),
}
_EXIT = re.compile(r"\bexit(?:ed with)?(?: code| status)?[ :=]+(?P<value>\d{1,3})\b", re.I)
_COUNTED = r"\d+ (?:passed|failed|skipped|errors?|warnings?)\b"
_TESTS = re.compile(rf"\b(?P<value>\d+ (?:passed|failed)\b(?:, {_COUNTED})*)", re.I)
_OPEN = re.compile(r"\[File: (?P<value>[^\s\]]+)")
_MATCHES = re.compile(
    r"\b(?:found|showing) (?P<value>\d+) (?P<what>matches|results|files|items|hits) (?:for|of) "
    r"[\"'`](?P<key>[^\"'`\n]{1,40})[\"'`]",
    re.I,
)

_SUFFIX = (
    "py|pyi|ipynb|js|jsx|ts|tsx|go|rs|c|h|cc|cpp|hpp|java|kt|rb|php|cs|swift|sh|sql|r|jl|md|rst|txt|json|jsonl|yaml|yml|toml|"
    "ini|cfg|conf|env|lock|xml|html|css|scss|csv|tsv|parquet|log|pdf|png|jpg|jpeg|svg|gif|fits|docx|xlsx|zip|gz"
)
_FILE = re.compile(
    r"(?:\b|_)(?P<verb>edit|create|writ|wrot|updat|modif|delet|remov|open|renam|insert|str_replace)[a-z]{0,4}\b"
    r"[^\n]{0,24}?[\s\"'`(:=]"
    rf"(?P<value>(?:[~.]{{0,2}}/)?(?:[\w\-.]+/)*[\w\-]+(?:\.[\w\-]+)*\.(?:{_SUFFIX}))(?=[\s\"'`),:;\]]|\.?$)",
    re.I | re.M,
)
_VERBS = {"creat": "created", "writ": "written", "wrot": "written", "delet": "deleted", "remov": "deleted"}
_VERBS |= {"open": "opened", "renam": "renamed"}


def readings(said: Said) -> Iterator[Claim]:
    """`score is now 12`, `a temperature of 28 degrees`, `the sink is now open`."""
    patterns = (_IS_NOW, _READING) if _DIGIT.search(said.text) else (_IS_NOW,)  # the second costs most
    for pattern in patterns:
        for match in pattern.finditer(said.text):
            yield claim("reading", bare(match["key"]), match)


def said_readings(said: Said) -> Iterator[Claim]:
    for found in readings(said._replace(text=prose(said.text))):
        yield Claim(said.subject(found.key), found.value, found.span, found.form)


def places(said: Said) -> Iterator[Claim]:
    """Where one is: `You are in the hall`, or a title above a description."""
    if said.actor.casefold() not in _MACHINES and (match := _HEADING.search(said.text)):
        yield claim("place", "location", match)
    for match in _PLACE.finditer(said.text):
        yield claim("place", "location", match)


def things(said: Said) -> Iterator[Claim]:
    """What one carries or has dropped."""
    for done, patterns in _DONE.items():
        for pattern in patterns:
            for match in pattern.finditer(said.text):
                yield claim("thing", f"carrying {match['value']}", match, done)


def outcomes(said: Said) -> Iterator[Claim]:
    """Exit codes, test counts, search counts, the file on show."""
    for pattern, key in ((_EXIT, "exit code"), (_TESTS, "tests"), (_OPEN, "file last opened")):
        for match in pattern.finditer(said.text):
            yield claim("outcome", key, match)
    for match in _MATCHES.finditer(said.text):
        yield claim("outcome", f"{match['what']} for {match['key']}", match)


def files(said: Said) -> Iterator[Claim]:
    """Which file was last created, edited, opened, and what was last done to each."""
    for match in _FILE.finditer(said.text):
        verb = match["verb"].casefold()
        done = _VERBS.get("creat" if verb == "create" else verb, "edited")
        yield claim("file", f"file last {done}", match)
        yield claim("file", f"file {match['value']}", match, done)

"""Claims that people make of themselves and of others, and when things are."""

from __future__ import annotations

import re
from collections.abc import Iterator

from agentmem.claims.form import Claim, Said, bare, claim

_OBJECT = r"(?P<value>[^\n.;!?()—]{2,80}?)"
_STOPS = (
    r"(?=\s+(?:and|but|so|because|which|who|since|although|though|while|when|as|if|for now|right now|these days|"
    r"lately|now|too|with|after|before|until|during)\b|\s*[,.;:!?()\n—]|\s+-|\s*\Z)"
)
_MONTH = "January|February|March|April|May|June|July|August|September|October|November|December"
_DATE = (
    r"(?P<value>\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d)?|(?:\d{1,2}(?:st|nd|rd|th)? (?:of )?)?"
    rf"(?:{_MONTH})\b(?: \d{{1,2}}(?:st|nd|rd|th)?\b)?(?:,? \d{{4}}\b)?|"
    r"(?:next |last |this )?(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day)"
)
_NOUN = r"(?!(?:is|are|was|were|that|which|if|when|and|to|up|for|but|so|because|this|than|as)\b)[A-Za-z][\w'’\-]{0,30}"
_MY = re.compile(
    rf"\b(?:my|our) (?P<key>{_NOUN}(?: {_NOUN}){{0,3}}?) (?:is|are|was|were) (?:now |currently |called |named )?"
    rf"(?P<not>not )?(?!(?:so|really|pretty|just|very|about|that|admittedly|quite|too|also|still|been|a bit)\b)"
    rf"{_OBJECT}{_STOPS}",
    re.I,
)
_FEELS = re.compile(
    r"\bI(?P<not> don['’]t| do not| no longer| never)?"
    r"(?: also| really| absolutely| still| always| just| now| do| truly| have always|['’]ve always){0,2} "
    r"(?P<verb>likes?|loved?|prefer|enjoy|hated?|dislike|adore|despise|loathe|can['’]t stand) (?:to )?"
    r"(?!(?:it|that|this|how|when|what|you|your|to|them|him|her|the (?:way|idea|fact)|being able)\b)"
    rf"(?P<value>[\w'’\-]{{1,30}}(?: [\w'’\-]{{1,30}}){{0,4}}?){_STOPS}"
)
_I = r"\bI(?:['’]m| am|['’]ve| have| was)?(?: also| currently| now| just| recently| originally)?"
_FACTS = tuple(
    (re.compile(rf"{_I} {form} {_OBJECT}{_STOPS}"), key)
    for form, key in (
        (r"(?:live|living|moved|relocated|moving) (?:in|to)(?: the)?", "lives in"),
        (r"(?:work|working|worked) as(?: an?)?", "works as"),
        (r"(?:work|working) (?:at|for)(?: an?| the)?", "works at"),
        (r"(?:study|studying|major|majoring) (?:in |at )?", "studies"),
        (r"born (?:in|on)", "born"),
        (r"from", "from"),
        (r"allergic to", "allergic to"),
        (r"(?:married to|engaged to|dating)", "partner"),
    )
)
_AGE = re.compile(r"\bI(?:['’]m| am) (?P<value>\d{1,3})(?= years old| now\b|,|\.)")
_NAME = re.compile(r"\b(?:[Mm]y name(?:['’]s| is)|[Cc]all me) (?P<value>[A-Z][\w'’\-]{1,30}(?: [A-Z][\w'’\-]{1,30})?)")
_OF_OTHERS = re.compile(
    r"\b(?P<who>[A-Z][a-z]+)['’]s (?P<key>birthday|name|job|age|favou?rite [\w ]{2,20}?|phone(?: number)?|email|"
    rf"address|appointment|flight|wedding|graduation|anniversary|meeting) (?:is|was) (?:on |at |in )?{_OBJECT}{_STOPS}"
)
_WHEN = re.compile(
    rf"\b(?P<key>(?:[A-Za-z][\w'’\-]{{0,30}} ){{0,3}}{_NOUN}) (?:is|was|are|starts|begins|ends|moved) (?:now )?"
    rf"(?:due |scheduled |set |planned |moved |postponed )?(?:for |on |by |to |in )?{_DATE}"
)


def people(said: Said) -> Iterator[Claim]:
    """`My name is Ada`, `I live in Oslo`, `my favorite color is green`, `I hate olives`, `Bo's birthday is May 3`."""
    for pattern, key in ((_NAME, "name"), (_AGE, "age"), *_FACTS):
        for match in pattern.finditer(said.text):
            yield claim("fact", said.subject(key), match)
    for match in _MY.finditer(said.text):
        yield claim("fact", said.subject(match["key"]), match, f"{match['not'] or ''}{match['value']}")
    for match in _OF_OTHERS.finditer(said.text):
        yield claim("fact", f"{match['who']}: {match['key']}", match)
    for match in _FEELS.finditer(said.text):
        feeling = f"{'no ' if match['not'] else ''}{match['verb']}"
        yield claim("fact", said.subject(f"feels about {match['value']}"), match, feeling)


def dates(said: Said) -> Iterator[Claim]:
    """`The deadline is March 15, 2024`, `our meeting was moved to Friday`."""
    for match in _WHEN.finditer(said.text):
        yield claim("date", said.subject(bare(match["key"])), match)

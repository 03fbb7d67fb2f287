"""Personal data by its form: payment cards, IBANs, e-mail addresses, telephone numbers, US social security numbers, IP
addresses. Those that have a check digit are checked. Names and postal addresses have no form: an analyser finds them.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from contextlib import suppress

from agentmem.redact.scanners import Found, ends, starts

LONG = re.compile(r"\d(?:[ -]?\d)*+")
LOCAL = re.compile(r"[A-Za-z0-9._%+-]{1,64}+")
DOMAIN = re.compile(r"[A-Za-z0-9.-]{1,255}+")
PHONE = re.compile(r"(?:\+|\()?\d(?:[ .()/-]{0,2}\d)*+")
US = re.compile(r"(?:\+?1[ .-]?)?(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4}")
NATIONAL = re.compile(r"\(?0\d{2,4}\)?(?:[ -]\d{2,8}){1,4}")
SSN = re.compile(r"(\d{3})-(\d{2})-(\d{4})")
IBAN = re.compile(r"[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}")
V4 = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")
V6 = re.compile(r"[0-9A-Fa-f:]{3,45}+(?:\.\d{1,3}){0,3}")
CARDS = (
    (("4",), (13, 16, 19)), (("51", "52", "53", "54", "55"), (16,)), (tuple(map(str, range(2221, 2721))), (16,)),
    (("34", "37"), (15,)), (("6011", "65", "644", "645", "646", "647", "648", "649"), (16, 19)),
    (("300", "301", "302", "303", "304", "305", "36", "38", "39"), (14, 16)),
    (tuple(map(str, range(3528, 3590))), (16,)),
    (("62",), (16, 17, 18, 19)), (("50", "56", "57", "58", "63", "67"), (16, 18, 19)),
)  # fmt: skip
"""How the numbers of a network begin -> how many digits they have."""
IBANS = {
    one[:2]: int(one[2:])
    for one in (
        "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 EG29 ES24 "
        "FI18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 "
        "LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MR27 MT31 MU30 NL18 NO15 PK24 PL28 PS29 PT25 QA29 RO24 RS22 "
        "SA24 SC31 SE24 SI19 SK24 SM27 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20"
    ).split()
}
"""Country -> characters of its IBANs."""


def cards(text: str) -> Iterator[Found]:
    """Numbers of payment cards: of a network's form, with a right check digit."""
    for run in LONG.finditer(text):
        number = re.sub(r"[ -]", "", run[0])
        if 13 <= len(number) <= 19 and _alone(text, run) and _is_card(number):
            yield Found(run.start(), run.end(), "card")


def _is_card(number: str) -> bool:
    issued = any(len(number) in sizes and number.startswith(begins) for begins, sizes in CARDS)
    return issued and len(set(number)) > 1 and luhn(number)


def luhn(number: str) -> bool:
    """Whether the last digit is right, by ISO/IEC 7812-1."""
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in number[-2::-2])
    return (sum(map(int, number[-1::-2])) + sum(doubled)) % 10 == 0


def _alone(text: str, run: re.Match[str]) -> bool:
    """Whether a number is no part of a word or of another number."""
    before, after = text[max(0, run.start() - 1) : run.start()], text[run.end() : run.end() + 2]
    if before in ("_", ".", "$") or after[:1] == "_" or (after[:1] == "." and after[1:].isdigit()):
        return False
    return starts(text, run.start()) and ends(text, run.end())


def ibans(text: str) -> Iterator[Found]:
    """Numbers of bank accounts, by ISO 13616."""
    at = 0
    while (match := IBAN.search(text, at)) is not None:
        at = match.start() + 4
        size = IBANS.get(match[0][:2])
        if size is None or not starts(text, match.start()):
            continue
        end = _after(match[0], size)
        if end and ends(text, match.start() + end) and _is_iban(match[0][:end].replace(" ", "")):
            at = match.start() + end
            yield Found(match.start(), at, "iban")


def _after(text: str, size: int) -> int:
    """Where so many characters that are no spaces end; 0 if there are fewer."""
    seen = 0
    for place, sign in enumerate(text):
        seen += sign != " "
        if seen == size:
            return place + 1
    return 0


def _is_iban(number: str) -> bool:
    return int("".join(str(int(sign, 36)) for sign in number[4:] + number[:4])) % 97 == 1


def emails(text: str) -> Iterator[Found]:
    at, last = text.find("@"), 0
    while at >= 0:
        local = LOCAL.match(text[max(last, at - 64) : at][::-1])
        domain = DOMAIN.match(text, at + 1)
        last = at + 1
        if local is not None and domain is not None:
            host = domain[0].rstrip(".-")
            top = host.rpartition(".")[2]
            if "." in host and len(top) >= 2 and top.isalpha() and ".." not in host and host[0] not in ".-":
                last = at + 1 + len(host)
                yield Found(at - local.end(), last, "email")
        at = text.find("@", last)


def phones(text: str) -> Iterator[Found]:
    """Numbers with a country's code, in the American form, or with a 0 in front and in groups."""
    for run in PHONE.finditer(text):
        digits = sum(map(str.isdigit, run[0]))
        if digits > 15 or not _alone(text, run):
            continue
        said = run[0][1:] if run[0][0] == "(" and ")" not in run[0] else run[0]
        dialled = said[0] == "+" and digits >= 8 and said[1] != "0"
        if dialled or US.fullmatch(said) or (9 <= digits <= 11 and NATIONAL.fullmatch(said)):
            yield Found(run.end() - len(said), run.end(), "phone")


def social_security_numbers(text: str) -> Iterator[Found]:
    """US numbers with their hyphens, that can have been given."""
    for run in SSN.finditer(text):
        area, group, serial = run.groups()
        given = area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"
        around = text[max(0, run.start() - 1) : run.start()] + text[run.end() : run.end() + 1]
        if given and _alone(text, run) and "-" not in around:
            yield Found(run.start(), run.end(), "ssn")


def ip_addresses(text: str) -> Iterator[Found]:
    for pattern in (V4, V6):
        for run in pattern.finditer(text):
            if (pattern is V4 or run[0].count(":") > 1) and starts(text, run.start()) and ends(text, run.end()):
                with suppress(ValueError):
                    ipaddress.ip_address(run[0])
                    yield Found(run.start(), run.end(), "ip_address")

"""The kinds of secrets and personal data, and the patterns of those that are known by their beginning. Knows no text.

A pattern is a beginning, the characters that may follow, and how many of them: whatever is written so is found in one
pass, and nothing that can be written so takes longer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property

from agentmem.errors import InvalidInputError

REGEX = re.compile(r"\\[dDwWsSbB]|\(\?|[\]).][*+]|[\])]\{[0-9]")
"""What stands in a regular expression, and in hardly any beginning."""
MOST = 4_096  # characters after a beginning
KIND = re.compile(r"[a-z][a-z0-9_]{0,39}")
CLASS = re.compile(r"(?:[A-Za-z0-9]-[A-Za-z0-9]|[A-Za-z0-9_./+=~:@#-])++")
LETTERS_DIGITS = "A-Za-z0-9"
OF_URLS = "A-Za-z0-9_-"
DOTTED = "A-Za-z0-9._-"

SECRETS = (
    "anthropic_key", "api_key", "aws_key", "bearer_token", "github_token", "gitlab_token", "google_key", "jwt",
    "openai_key", "password", "private_key", "secret", "slack_token", "stripe_key",
)  # fmt: skip
"""password, secret: what is assigned to a name that says so. api_key: of services that have no kind of their own."""
PERSONAL = ("card", "email", "iban", "ip_address", "phone", "ssn")


def placeholder(kind: str) -> str:
    """What stands in the place of one: `[github token]`."""
    return f"[{kind.replace('_', ' ')}]"


@dataclass(frozen=True)
class Pattern:
    """Text that begins with `begins` and goes on with `least` to `most` of `characters`, and with no more of them.

    kind: a name such as badge_number. begins: as it is written, no regular expression; "" for what stands alone and is
    that long. characters: ranges and characters as in a class of a regular expression, such as "A-Z0-9_". digits:
    whether there must be a digit in it. Raises InvalidInputError for what is none.
    """

    kind: str
    begins: str
    characters: str
    least: int
    most: int
    digits: bool = field(default=False, compare=False)

    def __post_init__(self) -> None:
        check_kind(self.kind)
        if not isinstance(self.begins, str) or len(self.begins) > 100:
            raise InvalidInputError(f"begins {self.begins!r} of {self.kind!r}: give a str of up to 100 characters")
        if not isinstance(self.characters, str) or not CLASS.fullmatch(self.characters):
            raise InvalidInputError(
                f"characters {self.characters!r} of {self.kind!r}: give letters, digits, ranges of them and any of "
                "_ . / + = ~ : @ # -, such as 'A-Z0-9_'"
            )
        for name in ("least", "most"):
            if isinstance(number := getattr(self, name), bool) or not isinstance(number, int):
                raise InvalidInputError(f"{name} {number!r} of {self.kind!r}: give a whole number of characters")
        try:
            self.run  # noqa: B018
        except re.error as error:
            raise InvalidInputError(f"characters {self.characters!r} of {self.kind!r} are no class: {error}") from None
        if not 1 <= self.least <= self.most <= MOST:
            raise InvalidInputError(
                f"least {self.least} and most {self.most} of {self.kind!r}: 1 <= least <= most <= {MOST:,}"
            )

    @cached_property
    def run(self) -> re.Pattern[str]:
        """As many of the characters as there are: one class, so that nothing is tried twice."""
        return re.compile(f"[{_class(self.characters)}]++")


def check_begins(pattern: Pattern) -> None:
    """InvalidInputError for a beginning that can only be meant as a regular expression; one that is stored stays."""
    if REGEX.search(pattern.begins):
        raise InvalidInputError(
            f"begins {pattern.begins!r} of {pattern.kind!r} looks like a regular expression, and is taken as it is "
            "written; give the letters it begins with, and what follows as characters, least and most"
        )


def check_kind(kind: object) -> str:
    """InvalidInputError unless it can name a kind."""
    if not isinstance(kind, str) or not KIND.fullmatch(kind):
        raise InvalidInputError(f"kind {kind!r}: give lower-case letters, digits and _, such as 'badge_number'")
    return kind


def _class(characters: str) -> str:
    """Ranges stay, and every other sign stands for itself."""
    parts = re.findall(r"[A-Za-z0-9]-[A-Za-z0-9]|.", characters)
    return "".join(part if len(part) == 3 else re.escape(part) for part in parts)


def _each(kind: str, begins: str, characters: str, least: int, most: int, digits: bool = False) -> list[Pattern]:
    return [Pattern(kind, each, characters, least, most, digits) for each in begins.split()]


TOKENS: tuple[Pattern, ...] = (
    *_each("anthropic_key", "sk-ant-", OF_URLS, 20, 400),
    *_each("aws_key", "AKIA ASIA ABIA ACCA", "A-Z0-9", 16, 16),
    *_each("github_token", "ghp_ gho_ ghu_ ghs_ ghr_", LETTERS_DIGITS, 36, 255),
    *_each("github_token", "github_pat_", "A-Za-z0-9_", 22, 255),
    *_each("gitlab_token", "glpat- gldt- glrt- glcbt- glptt- glft- glsoat- glagent- gloas-", DOTTED, 20, 300),
    *_each("google_key", "AIza", OF_URLS, 35, 35),
    *_each("google_key", "ya29.", DOTTED, 30, 2_048),
    *_each("google_key", "GOCSPX-", OF_URLS, 28, 28),
    *_each("openai_key", "sk-proj- sk-svcacct- sk-admin- sk-None-", OF_URLS, 20, 400),
    *_each("openai_key", "sk-", LETTERS_DIGITS, 32, 100, digits=True),
    *_each("slack_token", "xoxa- xoxb- xoxc- xoxe- xoxp- xoxr- xoxs- xoxe.xoxp- xapp-", OF_URLS, 16, 400, digits=True),
    *_each("slack_token", "hooks.slack.com/services/", "A-Za-z0-9/", 20, 200, digits=True),
    *_each("stripe_key", "sk_live_ sk_test_ rk_live_ rk_test_", LETTERS_DIGITS, 16, 255),
    *_each("stripe_key", "whsec_", "A-Za-z0-9+/=", 24, 100, digits=True),
    *_each("api_key", "SG.", DOTTED, 50, 80, digits=True),
    *_each("api_key", "dop_v1_ doo_v1_", "a-f0-9", 64, 64),
    *_each("api_key", "hf_", LETTERS_DIGITS, 30, 40),
    *_each("api_key", "npm_", LETTERS_DIGITS, 36, 36),
    *_each("api_key", "pypi-AgE", OF_URLS, 50, 1_000),
    *_each("api_key", "shpat_ shpca_ shppa_ shpss_", "a-f0-9", 32, 32),
    *_each("api_key", "dapi", "a-f0-9", 32, 32),
)
"""Kinds that are known by how they begin, the special before the general."""

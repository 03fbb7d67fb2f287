"""Secrets of every form that redaction knows, made up from a seed: none of them ever opened anything."""

from __future__ import annotations

import base64
import random
import string
from collections.abc import Callable
from pathlib import Path

TOKEN = "ghp_" + "a1B2" * 9
SAID = f"Push with {TOKEN} to main."
MASKED = "Push with [github token] to main."
LETTERS = string.ascii_letters + string.digits
URLS = LETTERS + "-_"
HEX = "0123456789abcdef"
Make = Callable[[random.Random], tuple[str, str]]
"""Makes (what is written, the part of it that may not stay)."""


def bytes_of(path: Path) -> bytes:
    """All files of a memory."""
    return b"".join(each.read_bytes() for each in sorted(path.parent.glob(f"{path.name}*")))


def some(rng: random.Random, signs: str, size: int) -> str:
    """So many signs, with digits among them, that end in a letter or digit."""
    return "".join(rng.choices(signs, k=size - 3)) + f"{rng.randint(10, 99)}q"


def _token(begins: str, signs: str, size: int) -> Make:
    def make(rng: random.Random) -> tuple[str, str]:
        secret = begins + some(rng, signs, size)
        return secret, secret

    return make


def _named(template: str, signs: str, size: int) -> Make:
    def make(rng: random.Random) -> tuple[str, str]:
        secret = some(rng, signs, size)
        return template.format(secret), secret

    return make


def _jwt(rng: random.Random) -> tuple[str, str]:
    parts = ('{"alg":"HS256","typ":"JWT"}', f'{{"sub":"{rng.randint(10**9, 10**10)}"}}')
    head, body = (base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts)
    secret = f"{head}.{body}.{some(rng, URLS, 43)}"
    return secret, secret


def _pem(rng: random.Random) -> tuple[str, str]:
    body = "\n".join(some(rng, LETTERS + "+/", 64) for _ in range(4))
    kind = rng.choice(("", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "))
    return f"-----BEGIN {kind}PRIVATE KEY-----\n{body}\n-----END {kind}PRIVATE KEY-----", body.split("\n")[1]


def _aws(rng: random.Random) -> tuple[str, str]:
    secret = rng.choice(("AKIA", "ASIA")) + "".join(rng.choices(string.ascii_uppercase + string.digits, k=16))
    return secret, secret


FORMS: dict[str, list[Make]] = {
    "anthropic_key": [_token("sk-ant-api03-", URLS, 93)],
    "api_key": [
        _token("hf_", LETTERS, 34), _token("npm_", LETTERS, 36), _token("pypi-AgE", URLS, 160),
        _token("SG.", URLS, 66),
    ],
    "aws_key": [_aws],
    "bearer_token": [_named("Authorization: Bearer {}", URLS, 40), _named("authorization: Basic {}", LETTERS, 24)],
    "github_token": [_token("ghp_", LETTERS, 36), _token("gho_", LETTERS, 36), _token("github_pat_", LETTERS, 82)],
    "gitlab_token": [_token("glpat-", URLS, 20)],
    "google_key": [_token("AIza", URLS, 35), _token("ya29.", URLS, 120), _token("GOCSPX-", URLS, 28)],
    "jwt": [_jwt],
    "openai_key": [_token("sk-proj-", URLS, 120), _token("sk-", LETTERS, 48)],
    "password": [
        _named("password={}", LETTERS, 12), _named('"passwd": "{}"', LETTERS, 10),
        _named("DB_PASSWORD='{}'", LETTERS, 14),
        _named("my password is {}.", LETTERS, 11), _named("postgres://ann:{}@db.example.com:5432/shop", LETTERS, 12),
        _named("redis://:{}@cache:6379/0", LETTERS, 12), _named("Server=db;User Id=sa;Pwd={};", LETTERS, 12),
    ],
    "private_key": [_pem],
    "secret": [
        _named("token: {}", LETTERS, 32), _named("api_key = '{}'", LETTERS, 40), _named("X-Api-Key: {}", LETTERS, 24),
        _named("aws_secret_access_key = {}", LETTERS, 40),
        _named("https://example.com/?access_token={}&x=1", LETTERS, 40),
        _named("AccountKey={}==;EndpointSuffix=core", LETTERS, 86),
        _named("client_secret\\\": \\\"{}\\\"", LETTERS, 32),
    ],
    "slack_token": [_token("xoxb-", LETTERS + "-", 50), _token("https://hooks.slack.com/services/", LETTERS + "/", 44)],
    "stripe_key": [_token("sk_live_", LETTERS, 24), _token("rk_test_", LETTERS, 24), _token("whsec_", LETTERS, 32)],
}  # fmt: skip
"""Kind -> how its forms are written."""


def secrets(count: int, seed: int = 0) -> list[tuple[str, str, str]]:
    """(kind, what is written, the part of it that may not stay), of all forms in turn."""
    rng = random.Random(seed)
    forms = [(kind, make) for kind, each in FORMS.items() for make in each]
    return [(kind, *make(rng)) for kind, make in (forms[number % len(forms)] for number in range(count))]

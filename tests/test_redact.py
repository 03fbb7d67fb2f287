"""What scanners find in texts, what they leave alone, and that hostile texts take no longer than others."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from secrets_made import FORMS, secrets

from agentmem.errors import InvalidInputError, SettingsError
from agentmem.redact import KINDS, PERSONAL, SECRETS, Pattern, Redaction, placeholder
from agentmem.redact.kinds import TOKENS
from agentmem.redact.personal import luhn

ALL = Redaction(dict.fromkeys(KINDS, "mask"))
DEFAULT = Redaction()
PERSONAL_DATA = [
    ("card", "4111 1111 1111 1111"), ("card", "5500-0055-5555-5559"), ("card", "378282246310005"),
    ("iban", "GB82 WEST 1234 5698 7654 32"), ("iban", "DE89370400440532013000"), ("iban", "CH9300762011623852957"),
    ("email", "ann.lee+shop@mail.example.co.uk"), ("email", "o_brien@example.org"), ("ssn", "536-90-4399"),
    ("phone", "+44 20 7946 0958"), ("phone", "(212) 555-0187"), ("phone", "212-555-0187"), ("phone", "020 7946 0958"),
    ("ip_address", "192.168.10.254"), ("ip_address", "2001:db8::8a2e:370:7334"),
]  # fmt: skip
ORDINARY = (
    "The token is 5 of 20 and the secret of the house. Tokens: 512, max_tokens=4096, token_count: 1234567890123456789.",
    "def login(self, password: str, token=None): return check(password=password, token=self.get_token())",
    'password = os.environ["DB_PASSWORD"]; api_key=${API_KEY}; secret: <your secret here>; passwd: ****',
    "password = user[1]; passwords = config.passwords.first; pwd=/home/ann/work2; password is required to log in",
    "commit 9fceb02d0ae598e95dc970b74767f19372d61af8, id 550e8400-e29b-41d4-a716-446655440000, sk-learn, task-1234",
    "postgres://ann:password@localhost/db, https://example.com:8080/@ann, ssh://git@example.com, git@github.com",
    "Bearer of bad news, a basic idea, eyJustalongword, AKIA, ghp_short, glpat-x, the ring-bearer 12 years ago",
    "Order 4111111111111112, tracking 1Z999AA10123456784, 2024-01-02 13:14:15, 1.2.3, 00:11:22, v10.20.300.4000",
    "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQ\n-----END PUBLIC KEY-----",
)
HOSTILE = (
    "a", "a@", "@", "sk-", "sk-ant-", "ghp_", "eyJ", "eyJa.", "://", "://a:", "://a:b@", "-----BEGIN PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----\x00", "-----END", "password=", "password = '", "token", "Bearer ", "Bearer a1", "1",
    "1 ", "1-", "+1", "(1", "0.", "1.1.", "GB82", "GB82 ", "AB12 CD", ":", "a:", "\\n", "api_key: ", "xoxb-1",
    "secret:=", "[", "hooks.slack.com/services/", "A-", "999-99-", "é@",
    "Cookie: ", "Cookie: a=", "; a=1", "-u ", "-u a:", "--password ", "%3D", "%3Dghp_",
)  # fmt: skip


@pytest.mark.parametrize("kind", FORMS)
def test_secrets_of_every_form_are_found_wherever_they_stand(kind: str) -> None:
    for found, written, secret in secrets(400, seed=1):
        if found == kind:
            for before, after in (
                ("", ""),
                ("Use ", "."),
                ("x = [", ", 'b']"),
                ('{"said": "line\\n', '\\nend"}'),
                ("(", ")"),
            ):
                masked = DEFAULT.mask(before + written + after)
                assert secret not in masked.text, (written, masked.text)
                assert list(masked.counts) == [kind], (written, masked.text)
                assert placeholder(kind) in masked.text
                assert masked.text.startswith(before)
                assert masked.text.endswith(after)


def test_every_kind_of_secret_has_a_form_that_is_tested() -> None:
    assert set(FORMS) == set(SECRETS)
    assert {pattern.kind for pattern in TOKENS} < set(SECRETS)


@pytest.mark.parametrize(("kind", "written"), PERSONAL_DATA)
def test_personal_data_are_found_and_are_off_by_default(kind: str, written: str) -> None:
    text = f"Write to {written}, please."
    assert ALL.mask(text).text == f"Write to {placeholder(kind)}, please."
    assert ALL.mask(f"It is {written}. ({written}), {written}").text == "It is X. (X), X".replace(
        "X", placeholder(kind)
    )
    assert DEFAULT.mask(text).text == text
    assert {DEFAULT.every[one] for one in PERSONAL} == {"off"}


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_and_code_stay_as_they_are(text: str) -> None:
    assert DEFAULT.find(text) == []
    only = Redaction(dict.fromkeys(("card", "iban", "ssn", "phone", "ip_address"), "mask"))
    assert only.find(text) == []


def test_a_wrong_check_digit_is_no_card_and_no_iban() -> None:
    assert luhn("4111111111111111")
    assert not luhn("4111111111111112")
    assert ALL.find("4111111111111112 GB83WEST12345698765432 666-90-4399 123.456.789.012") == []


@given(st.lists(st.sampled_from([*HOSTILE, *(written for _, written, _ in secrets(60)), " ", "\n", "x"]), max_size=8))
@settings(max_examples=60, deadline=None)
def test_masking_twice_changes_nothing_more(parts: list[str]) -> None:
    for policy in (DEFAULT, ALL):
        once = policy.mask("".join(parts))
        again = policy.mask(once.text)
        assert (again.text, again.counts) == (once.text, {})


@given(st.text(max_size=200))
@settings(max_examples=40, deadline=None)
def test_what_is_found_stands_in_order_inside_the_text_and_nowhere_twice(text: str) -> None:
    found = ALL.find(text)
    assert all(0 <= one.start < one.end <= len(text) for one in found)
    assert all(one.end <= other.start for one, other in pairwise(found))


def test_placeholders_of_all_kinds_are_left_alone_after_every_name() -> None:
    for kind in KINDS:
        for name in ("password=", "token: ", 'api_key="', "Bearer ", "https://ann:"):
            assert DEFAULT.find(f"{name}{placeholder(kind)}@host") == []


def test_spans_of_a_text_stand_where_they_stood_after_masking() -> None:
    secret = secrets(200, seed=2)[16][1]
    text = f"one two {secret} three four {secret} five"
    spans = [(0, 3), (text.index("three"), text.index("four")), (len(text) - 4, len(text)), (4, text.index("three"))]
    masked = DEFAULT.mask(text, spans)
    said = [masked.text[start:end] for start, end in masked.spans]
    hidden = masked.text.split("two ")[1].split(" three")[0]
    assert said == ["one", "three ", "five", f"two {hidden} "]
    inside = DEFAULT.mask(text, [(10, 20)]).spans[0]
    assert masked.text[slice(*inside)] == hidden


def _cpu(policy: Redaction, text: str) -> float:
    """The least of some runs, in seconds of this thread's processor."""
    least = float("inf")
    for _ in range(3):
        began = time.thread_time()
        policy.find(text)
        least = min(least, time.thread_time() - began)
    return least


@pytest.mark.parametrize("part", HOSTILE)
def test_eight_times_as_much_hostile_text_takes_nowhere_near_the_square_of_it(part: str) -> None:
    own = Redaction(ALL.actions, (Pattern("badge", part[:1] or "B", "A-Za-z0-9 ".strip() + "_", 5, 9),))
    small, large = (part * (size // len(part)) + "!" for size in (2_000, 16_000))
    assert _cpu(own, large) < 24 * max(_cpu(own, small), 0.0002)


def test_own_patterns_are_found_and_masked_by_their_kind() -> None:
    badge = Pattern("badge_number", "BDG-", "0-9", 6, 8)
    policy = DEFAULT.changed({}, [badge])
    assert policy.every["badge_number"] == "mask"
    assert policy.mask("BDG-123456, BDG-123456789, xBDG-123456, BDG-12").text == (
        "[badge number], BDG-123456789, xBDG-123456, BDG-12"
    )
    alone = DEFAULT.changed({}, [Pattern("patient", "", "A-Z0-9", 10, 10)])
    assert alone.mask("AB12CD34EF and AB12CD34E").text == "[patient] and AB12CD34E"
    assert Redaction.read(policy.write()) == policy
    assert policy.changed({"badge_number": "off"}).mask("BDG-123456").text == "BDG-123456"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"kind": "Badge No"}, "kind 'Badge No'"),
        ({"characters": "(a+)+"}, "characters '(a+)+'"),
        ({"characters": "z-a"}, "are no class"),
        ({"characters": ""}, "characters ''"),
        ({"least": 0}, "least 0 and most 8"),
        ({"least": 9}, "least 9 and most 8"),
        ({"most": 10**6}, "most 1000000"),
        ({"most": "8"}, "most '8'"),
        ({"begins": 5}, "begins 5"),
    ],
)  # fmt: skip
def test_a_pattern_that_is_none_is_refused_with_what_to_give(wrong: dict[str, object], said: str) -> None:
    fields: dict[str, object] = {"kind": "badge", "begins": "BDG-", "characters": "0-9", "least": 6, "most": 8}
    with pytest.raises(InvalidInputError) as caught:
        Pattern(**(fields | wrong))  # type: ignore[arg-type]
    assert said in str(caught.value)


def test_an_unknown_kind_or_action_is_refused_with_what_was_meant() -> None:
    with pytest.raises(InvalidInputError, match="kind 'emial' is unknown; did you mean 'email'"):
        DEFAULT.changed({"emial": "mask"})
    with pytest.raises(InvalidInputError, match="email is 'hide'; use one of off, mask, refuse"):
        DEFAULT.changed({"email": "hide"})
    assert set(DEFAULT.changed({"secrets": "off"}).every.values()) == {"off"}


def test_kinds_of_an_analyser_need_one() -> None:
    policy = DEFAULT.changed({"person": "mask"}, analysed=True)
    with pytest.raises(SettingsError, match="person, which an analyser has to find"):
        policy.find("Ann")
    assert policy.mask("Ann came", analyser=lambda text: _each(text, "Ann", "person")).text == "[person] came"
    for wrong in ([(0, 99, "person")], [(0, 3)], ["x"]):
        with pytest.raises(InvalidInputError, match="the analyser gave a"):
            policy.find("Ann came", lambda text, wrong=wrong: wrong)


def _each(text: str, word: str, kind: str) -> list[tuple[int, int, str]]:
    at = text.find(word)
    return [] if at < 0 else [(at, at + len(word), kind)]


@pytest.mark.slow
def test_presidio_finds_what_has_a_form_without_a_model_and_off_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    from agentmem.redact.presidio import presidio

    def refused(*_: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    analyse = presidio()
    text = "Mail ann@example.com, card 4111 1111 1111 1111, ssn 536-90-4399, MAC 00:1b:63:84:45:e6."
    found = {(text[start:end], kind) for start, end, kind in analyse(text)}
    assert {("ann@example.com", "email"), ("4111 1111 1111 1111", "card"), ("536-90-4399", "ssn")} <= found
    policy = DEFAULT.changed({"mac_address": "mask"}, analysed=True)
    assert policy.mask(text, analyser=analyse).text.endswith("MAC [mac address].")


@pytest.mark.parametrize(
    ("redaction", "analyser"),
    [
        (Redaction({"word_code": "mask"}, [Pattern("word_code", "", "a-z", 4, 8)]), None),
        (
            Redaction({"person": "mask"}),
            lambda text: [(at, at + 6, "person") for at in [text.find("person")] if at >= 0],
        ),
        (Redaction({"person": "mask"}), lambda text: [(0, len(text), "person")]),
    ],
    ids=["a pattern", "an analyser", "an analyser of all"],
)
def test_masking_ends_where_a_placeholder_is_itself_like_what_is_sought(redaction: Redaction, analyser: Any) -> None:
    once = redaction.mask("a person wrote abcdef here", analyser=analyser)
    assert placeholder(next(iter(redaction.on - set(SECRETS)))) in once.text
    assert redaction.mask(once.text, analyser=analyser).text == once.text


TOKEN = "ghp_" + "a1B2" * 9


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (f"q?token%3D{TOKEN}%26x", "q?token%3D[github token]%26x"),
        (f"%22{TOKEN}%22", "%22[github token]%22"),
        ("aAKIA5G7XEMPLQRSTUVWX holds 5%.", None),
        (f"x{TOKEN}", "x[github token]"),
        ("curl -u bot:hunter22 https://x.org", "curl -u bot:[password] https://x.org"),
        ("curl --user 'bot:hunter22'", "curl --user 'bot:[password]'"),
        ("docker run -u 1000:1000 -u node:node x", None),
        ("git push -u origin:main", None),
        ("mysql --password hunter22 shop", "mysql --password [password] shop"),
        ("mysql --db-password 'hunter22' shop", "mysql --db-password '[password]' shop"),
        ("docker login \\\n--password hunter22\n", "docker login \\\n--password [password]\n"),
        ("'--password hunter22' or (--token hunter22)", "'--password [password]' or (--token hunter22)"),
        ("java --db.password hunter22 shop", "java --db.password [password] shop"),
        ("a--password hunter22", None),
        (f"a--{'b' * 28}password hunter22", None),
        ("login --password-stdin my_id1.dkr.us-west-2.example.com", None),
        ("use --password-file secrets.txt, or --password and --token", None),
        ("Cookie: theme=dark; session=a81bc81bdead; n=1", "Cookie: theme=dark; session=[secret]; n=1"),
        ("Set-Cookie: id=9f86d081884c7d659a2feaa0; Max-Age=60", "Set-Cookie: id=[secret]; Max-Age=60"),
        ("Cookie: theme=dark; lang=en-GB", None),
    ],
)  # fmt: skip
def test_secrets_in_addresses_flags_and_headers_are_found(text: str, masked: str | None) -> None:
    assert DEFAULT.mask(text).text == (text if masked is None else masked)

"""Words and stems: what a text is found by."""

import gc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmem.claims import claims
from agentmem.remembered import Remembered, forget
from agentmem.salience import Source, read
from agentmem.terms import measured
from agentmem.tokens import costs, count
from agentmem.words import STEM_LENGTH, STOPWORDS, content_stems, stems, words

TEXTS = st.text(st.characters(codec=None)) | st.text("aB1_.-'’ é東ก\ud800\x00🎉\u0301")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The Dog's bone, DON'T touch!", ["the", "dog", "bone", "dont", "touch"]),
        ("it’s O’Brien", ["it", "obrien"]),
        ("src/foo_bar.py", ["src", "foo", "bar", "py"]),
        ("3.14 on 2023-05-07 at 1,000", ["3", "14", "on", "2023", "05", "07", "at", "1", "000"]),
        ("getUserName", ["getusername", "get", "user", "name"]),
        ("parseHTTPResponse2", ["parsehttpresponse2", "parse", "http", "response2"]),
        ("café CAFÉ cafe\u0301 ﬁne ＡＢ", ["cafe", "cafe", "cafe", "fine", "ab"]),
        ("Straße İstanbul", ["strasse", "istanbul"]),
        ("Привет, мир", ["привет", "мир"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("東京都 は", ["東京", "京都", "は"]),
        ("กรุง", ["กร", "รุ", "ุง"]),
        ("v2東京", ["v2", "東京"]),
        ("\x00\ud800🎉 — …", []),
        ("", []),
    ],
)
def test_words_of(text: str, found: list[str]) -> None:
    assert words(text) == found


def test_a_cue_finds_other_forms_of_a_word() -> None:
    assert stems("running Runs RUN run's") == ["run"] * 4
    assert stems("crystallized") == stems("crystallizing")


def test_a_camel_case_name_is_found_whole_by_parts_and_in_snake_case() -> None:
    logged = set(stems("readUserConfig()"))
    assert set(stems("readuserconfig")) <= logged
    assert set(stems("read_user_config")) <= logged
    assert set(stems("user config")) <= logged


def test_cues_lose_function_words_but_never_everything() -> None:
    assert content_stems("Where did I put the keys, and the other keys?") == ["put", "key"]
    assert content_stems("who is it") == ["who", "is", "it"]
    assert content_stems("") == []


def test_stopwords_are_words_as_they_are_found_in_text() -> None:
    assert all(words(word) == [word] for word in STOPWORDS)
    assert not {"key", "red", "2", "good", "want"} & STOPWORDS


@given(TEXTS)
def test_no_text_is_refused_and_no_stem_holds_a_space_or_quote(text: str) -> None:
    for stem in stems(text):
        assert 0 < len(stem) <= STEM_LENGTH
        assert not set(stem) & set(" \t\n\r'\"\x00")
        stem.encode()


@given(TEXTS)
def test_there_is_one_stem_per_word_in_order(text: str) -> None:
    assert len(stems(text)) == len(words(text))
    assert stems(text) == [stem for word in words(text) for stem in stems(word)]


@given(TEXTS)
def test_words_of_words_are_the_same_words(text: str) -> None:
    found = words(text)
    assert words(" ".join(found)) == found


@given(st.text(), st.text())
def test_words_of_two_lines_are_the_words_of_each(one: str, other: str) -> None:
    assert words(f"{one}\n{other}") == words(one) + words(other)


@given(TEXTS)
def test_content_stems_are_distinct_stems_of_the_text_in_its_order(text: str) -> None:
    kept = content_stems(text)
    assert len(set(kept)) == len(kept)
    positions = [stems(text).index(stem) for stem in kept]
    assert kept == [] or min(positions) >= 0
    assert bool(kept) == bool(words(text))


def test_erasing_empties_every_cache_of_words() -> None:
    text = "The passphrase xyzzyplugh opens the vault."
    source = Source(1, "message", "Ann", text)
    count(text), stems(text), measured(text), claims(source), read([source])

    def kept() -> list[str]:
        gc.unfreeze()  # what conftest left out
        caches = [held for held in gc.get_objects() if issubclass(type(held), Remembered | type(costs()))]
        gc.freeze()
        return [key for cache in caches for key in cache if "xyzzy" in key]

    assert kept()
    forget()
    assert kept() == []
    assert count(text) == count(text) > 0

"""The package of environments: what `gymnasium.make` knows, and the text that observations are made of."""

from hypothesis import given
from hypothesis import strategies as st

from agentmem_envs.text import CHARSET, plain, text_space


def test_text_is_written_in_printable_ascii() -> None:
    assert plain("“Zoë” pays 12 € – at\r\nŁódź\t★") == '"Zoe" pays 12 EUR - at\nLodz ?'


@given(st.text())
def test_any_text_made_plain_is_in_the_space_and_stays_as_it_is(text: str) -> None:
    once = plain(text)
    assert set(once) <= CHARSET
    assert once in text_space(len(once) + 1)
    assert plain(once) == once

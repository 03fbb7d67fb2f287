"""Text as a picture, for `render_mode="rgb_array"` and videos: a fixed page of 5 by 7 letters. Knows no environment."""

import textwrap
from functools import cache

import numpy as np
from numpy.typing import NDArray

from agentmem_envs.text import plain

COLUMNS, LINES = 96, 24
"""Letters of a page; each takes 6 by 9 pixels."""
PAPER, INK = (250, 249, 245), (35, 35, 45)
_ROWS = "0123456789abcdefghijklmnopqrstuv"
_FONT = (
    "00000004444404aa00000aavavaa4fke5u4pq248bjcik8lid44000002488842842224804lel40044v4400000448000e00000000cc"
    "11248ggehjlphe4c4444eeh168gveh161he26aiv22vgu11he68guhhev124444ehhehheehhf12c0cc0cc00cc0c48124842100e0e00"
    "g84248geh12404ehnlnge4ahhvhhuhhuhhuehgggheuhhhhhuvgguggvvggugggehgnhhehhhvhhhe44444e72222ichikokihggggggv"
    "hrllhhhhpljhhhehhhhheuhhugggehhhliduhhukihfgge11uv444444hhhhhhehhhhaa4hhhllrhhha4ahhhha4444v1248gve88888e"
    "gg84211e22222e4ah0000000000v840000000e1fhfgguhhhu00eggge11fhhhf00ehvge68u88880fhhf1egguhhhh40c444e20622ic"
    "ggikokic44444e00qllll00uhhhh00ehhhe0uhhugg0fhhf1100mpggg00fge1u88u889600hhhhf00hhha400hllla00ha4ah0hhhf1e"
    "00v248v34484434444444o44244o008l200"
)
"""For each of the 95 printable characters its seven rows from the top, a row's five pixels as one digit to base 32."""


def page(text: str) -> NDArray[np.uint8]:
    """The text, wrapped, as uint8 [216, 576, 3]; what does not fit is left out, and the last line then says `...`.
    Letters are ASCII's, see `plain`.
    """
    lines = [part for line in plain(text).splitlines() for part in textwrap.wrap(line, COLUMNS - 2) or [""]]
    if len(lines) > LINES:
        lines[LINES - 1 :] = ["..."]
    ink = np.zeros((LINES, 9, COLUMNS, 6), bool)
    for number, line in enumerate(lines):
        for column, letter in enumerate(line, 1):
            top = 2 if letter in "gpqy" else 1  # they hang below the line
            ink[number, top : top + 7, column, :5] = _letters()[ord(letter) - 32]
    return np.where(ink.reshape(LINES * 9, COLUMNS * 6, 1), np.array(INK, np.uint8), np.array(PAPER, np.uint8))


@cache
def _letters() -> NDArray[np.bool_]:
    """[95, 7, 5]: the pixels of each letter."""
    rows = np.array([_ROWS.index(digit) for digit in _FONT]).reshape(95, 7, 1)
    return ((rows >> np.arange(4, -1, -1)) % 2).astype(bool)

"""The text of an HTML page, in lines with their numbers in the file, and its headings.

Knows which tags begin a line and which hold no text; knows nothing of style.
"""

from __future__ import annotations

from collections.abc import Sequence
from html.parser import HTMLParser

from agentmem.ingest.chunks import Line

SILENT = ("script", "style", "head", "template", "noscript", "svg", "nav")
HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
BREAKS = (*HEADINGS, *"p div section article li ul ol table tr br hr pre blockquote dt dd header footer main".split())
SPACED = (*HEADINGS, *"p table ul ol pre blockquote section article".split())


def lines_of_html(text: str) -> list[Line]:
    page = _Page()
    page.feed(text)
    page.close()
    page.end_line()
    return page.lines


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.lines: list[Line] = []
        self._words: list[str] = []
        self._silent: list[str] = []
        self._pre = self._level = 0
        self._at = 1

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        if tag in SILENT:
            self._silent.append(tag)
        if tag in BREAKS:
            self._break(tag)
        if tag in HEADINGS:
            self._level = int(tag[1])
        self._pre += tag == "pre"

    def handle_endtag(self, tag: str) -> None:
        if tag in self._silent:
            while self._silent.pop() != tag:
                pass
        if tag in BREAKS:
            self._break(tag)
        if tag in HEADINGS:
            self._level = 0
        self._pre = max(0, self._pre - (tag == "pre"))

    def handle_data(self, data: str) -> None:
        if self._silent or not (data.strip() or self._words):
            return
        if not self._words:
            self._at = self.getpos()[0] + data[: len(data) - len(data.lstrip())].count("\n")
        if not self._pre:
            self._words.append(data)
            return
        for place, line in enumerate(data.split("\n")):
            if place:
                self.end_line()
                self._at = self.getpos()[0] + place
            self._words.append(line)

    def _break(self, tag: str) -> None:
        self.end_line()
        if tag in SPACED and self.lines and self.lines[-1].text:
            self.lines.append(Line(self.getpos()[0], ""))

    def end_line(self) -> None:
        text = "".join(self._words)
        text = text.rstrip() if self._pre else " ".join(text.split())
        if text:
            self.lines.append(Line(self._at, text, self._level, text if self._level else ""))
        self._words = []

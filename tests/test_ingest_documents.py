"""Ingest of documents: pieces with their lines and headings, sentences whole, changes added."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from ingested import empty, lines

from agentmem import InvalidInputError, Memory
from agentmem.ingest import ingest
from agentmem.ingest.chunks import LONGEST, lines_of, pieces
from agentmem.ingest.markup import lines_of_html
from agentmem.tokens import count

DOCS = Path(__file__).parent.parent / "docs"
SENTENCE = "The quick brown fox number {} jumps over the lazy dog near the river bank, and rests there."
GUIDE = """# Paint

We sell paint.

## Colours

Cobalt is a blue.

### Reds

Vermilion is a red.

```python
# no heading
```

## Delivery

On Thursdays.
"""
PAGE = """<!DOCTYPE html>
<html><head><title>Shop</title><style>p {color: red}</style></head>
<body><nav>Home</nav><h1>Paint &amp; more</h1>
<p>We sell
<b>cobalt</b> paint.</p>
<h2>Delivery</h2><ul><li>Oslo</li><li>Bergen</li></ul>
<script>alert("no")</script>
<pre>two
  lines</pre>
</body></html>"""


@pytest.fixture
def memory() -> Memory:
    return empty()


def of(text: str, suffix: str = ".md", prose: bool = True) -> list[tuple[str, int, int, tuple[str, ...]]]:
    return [tuple(piece) for piece in pieces(lines_of(text, suffix), prose)]  # type: ignore[misc]


def test_a_document_is_an_episode_of_pieces_with_lines_and_headings(memory: Memory, tmp_path: Path) -> None:
    (tmp_path / "paint.md").write_text(GUIDE)
    report = ingest(memory, tmp_path / "paint.md")
    assert (report.format, report.lines, report.steps) == ("documents", 19, 4)
    first, colours, reds, delivery = memory.steps("paint.md")
    assert first.text == "# Paint\n\nWe sell paint."
    assert first.data == {"file": "paint.md", "lines": [1, 3], "place": ["Paint"]}
    assert (first.kind, first.actor) == ("observation", None)
    assert colours.data["place"] == ["Paint", "Colours"]
    assert reds.data == {"file": "paint.md", "lines": [9, 15], "place": ["Paint", "Colours", "Reds"]}
    assert delivery.data["place"] == ["Paint", "Delivery"]
    assert "Thursdays" in memory.recall("when is the delivery?").text


def test_a_heading_goes_with_what_follows() -> None:
    assert [text for text, *_ in of("# A\n\n## B\n\nText.\n")] == ["# A\n\n## B\n\nText."]


def test_underlined_titles_of_rst_are_headings() -> None:
    found = of("Paint\n=====\n\nAll of it.\n\nReds\n----\n\nVermilion.\n", ".rst")
    assert [place for *_, place in found] == [("Paint",), ("Paint", "Reds")]


def test_definitions_of_python_are_places_and_its_comments_are_none() -> None:
    found = of(
        "# imports\nimport os\n\n\ndef paint():\n    # blue\n    return 1\n\n\nclass Can:\n    pass\n", ".py", False
    )
    assert [(first, last, place) for _, first, last, place in found] == [
        (1, 2, ()),
        (5, 7, ("paint",)),
        (10, 11, ("Can",)),
    ]


def test_long_text_is_cut_between_sentences_at_300_tokens() -> None:
    sentences = [SENTENCE.format(number) for number in range(60)]
    wrapped = " ".join(sentences).replace(" and rests", "\nand rests")
    found = of(wrapped, ".txt")
    assert len(found) > 3
    assert all(count(text) <= LONGEST and text.endswith("there.") for text, *_ in found)
    assert " ".join(text for text, *_ in found).split() == wrapped.split()
    assert [first for _, first, *_ in found[1:]] == [last for *_, last, _ in found[:-1]]


def test_a_word_without_an_end_is_cut_within() -> None:
    found = of("x9" * 5_000, ".txt")
    assert "".join(text for text, *_ in found) == "x9" * 5_000
    assert all(count(text) <= LONGEST for text, *_ in found)


def test_a_long_list_is_cut_between_its_items() -> None:
    found = of("\n".join(f"- {SENTENCE.format(number)[:-1]}" for number in range(40)), ".md")
    assert all(text.startswith("- ") for text, *_ in found)


def test_rows_of_a_table_stay_whole() -> None:
    rows = [f"{number},paint,{number * 2}" for number in range(400)]
    found = of("\n".join(rows), ".csv", False)
    assert [row for text, *_ in found for row in text.split("\n")] == rows
    assert found[1][1] == found[0][2] + 1


def test_the_text_of_a_page_is_without_tags_and_has_its_lines() -> None:
    found = list(pieces(lines_of_html(PAGE), prose=True))
    assert [piece.text for piece in found] == [
        "Paint & more\n\nWe sell cobalt paint.",
        "Delivery\n\nOslo\nBergen\n\ntwo\n  lines",
    ]
    assert [(piece.first, piece.last, piece.place) for piece in found] == [
        (3, 4, ("Paint & more",)),
        (6, 9, ("Paint & more", "Delivery")),
    ]


def test_every_line_of_our_own_pages_is_in_a_piece_within_the_limit() -> None:
    for page in DOCS.rglob("*.md"):
        text = page.read_text()
        found = list(pieces(lines_of(text, ".md"), prose=True))
        assert "".join("".join(piece.text.split()) for piece in found) == "".join(text.split())
        assert all(count(piece.text) <= LONGEST for piece in found)


ODD = ("| .0283 ", "|\n", "\n\n", ". ", "| 1,003 ", "qzxv", "。", "- x", "ﷺ", "  ")


@given(st.lists(st.sampled_from(ODD), max_size=90), st.booleans())
@example(["| .0283 ", "|\n"] * 12, True)
@example(["  ", *["ﷺ"] * 16], False)
def test_any_text_is_cut_into_pieces_within_the_limit_and_nothing_is_lost(parts: list[str], prose: bool) -> None:
    text = "".join(parts)
    found = [piece.text for piece in pieces(lines_of(text, ".md"), prose, longest=50)]
    assert "".join("".join(found).split()) == "".join(text.split())
    assert max(map(count, found), default=0) <= 50


def test_an_edited_document_adds_only_the_pieces_that_changed(memory: Memory, tmp_path: Path) -> None:
    path = tmp_path / "paint.md"
    path.write_text(GUIDE)
    ingest(memory, path)
    assert ingest(memory, path).steps == 0
    path.write_text("Open daily.\n\n" + GUIDE.replace("Thursdays", "Fridays"))
    report = ingest(memory, path)
    assert (report.steps, report.known) == (2, 3)
    assert [step.text for step in memory.steps()][-2:] == ["Open daily.", "## Delivery\n\nOn Fridays."]
    assert all(episode.ended for episode in memory.episodes())


def test_the_same_paragraph_twice_is_two_pieces(memory: Memory, tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# A\n\nSame.\n\n# A\n\nSame.\n")
    assert ingest(memory, tmp_path / "a.md").steps == 2
    assert ingest(memory, tmp_path / "a.md").steps == 0


def test_text_that_is_no_utf8_is_named_with_its_line_and_the_remedy(memory: Memory, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"fine\ncaf\xe9\n")
    with pytest.raises(
        InvalidInputError, match="a.txt, line 2, is no UTF-8: it has the byte 0xe9; convert it, as with"
    ):
        ingest(memory, tmp_path / "a.txt")
    report = ingest(memory, tmp_path / "a.txt", skip_bad=True)
    assert (report.steps, report.bad[0].number) == (0, 0)


def test_lines_with_a_text_are_documents(memory: Memory, tmp_path: Path) -> None:
    shop = {"id": "shop", "title": "The paint shop", "text": "We sell paint.\n\n" + GUIDE, "license": "CC0"}
    path = lines(tmp_path / "set.jsonl", shop, {"text": "Another."})
    report = ingest(memory, path)
    assert (report.format, report.lines, report.episodes) == ("texts", 2, 2)
    assert [(episode.id, episode.goal) for episode in memory.episodes()] == [
        ("shop", "The paint shop"),
        ("set.jsonl/2", None),
    ]
    assert next(memory.steps("shop")).data["lines"] == [1, 1]
    assert ingest(memory, path).steps == 0
    with pytest.raises(InvalidInputError, match="line 3: it has no text, which is a str, or is a step of an episode"):
        ingest(memory, lines(path, shop, {"text": "Another."}, {"id": "x"}))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_marks_of_the_encoding_are_no_text(memory: Memory, tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.txt").write_text("Blåbær.\r\nRødbet.\r\n", encoding=encoding, newline="")
    ingest(memory, tmp_path / "a.txt")
    assert [step.text for step in memory.steps()] == ["Blåbær.\nRødbet."]

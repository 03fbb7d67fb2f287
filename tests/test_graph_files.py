"""Graphs as files and pictures: read back equal, whole whatever the texts, the same bytes each time."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import networkx
import numpy as np
import pytest
from graphs import content, edges, of_kind, remembered
from hypothesis import example, given
from hypothesis import strategies as st
from lawful import few
from matplotlib.backends.backend_agg import FigureCanvasAgg
from strategies import long_log, opened
from typer.testing import CliRunner, Result

from agentmem import InvalidInputError, Memory, MissingExtraError
from agentmem.cli import app
from agentmem.graph import (
    communities,
    draw,
    memory_graph,
    most_recalled,
    pagerank,
    picture,
    to_gexf,
    to_graphml,
    to_json,
    to_mermaid,
    write,
)
from agentmem.graph.names import entity_id, episode_id, plain

HOSTILE = (
    "\x00", "a\x00b\x1b[31mred\x07", "\r\n\t a \r lone return \x85\u2028", "<script>alert('x')</script> & ]]> <!-- --",
    '"', "'", "`", "$", "$x^", "\\", "%s {0} {name}", "end", "n0 --> n1", '"]; click n0 "javascript:alert(1)"',
    "#quot;", "x" * 1_000_000, "…" * 300, "\uffff\ufffe", "🎉 鍵は台所 مرحبا", "\u202egnp.exe", "]]>" * 50,
)  # fmt: skip
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def graph() -> networkx.DiGraph:
    with remembered(long_log()) as memory:
        return memory_graph(memory, retired=True)


@pytest.fixture(scope="module")
def hostile() -> networkx.DiGraph:
    return hostile_graph(HOSTILE)


def hostile_graph(texts: Any) -> networkx.DiGraph:
    """Of a memory that has these texts wherever one can stand."""
    with opened() as memory:
        for number, text in enumerate(texts):
            name = text[:900] or "-"
            with memory.episode(id=f"{name} {number}", goal=text, agent=name) as episode:
                episode.log(text, actor=name, subjects=[name])
                episode.say("user", f"I live in {text[:100]} now.")
                episode.recall(text[:1000], budget=60)
                episode.act(text)
        return memory_graph(memory, retired=True)


def of_gexf(text: str) -> networkx.DiGraph:
    """Read back, without what the format adds: ids of edges, times, places and colours."""
    read = networkx.read_gexf(io.BytesIO(text.encode()))
    for node in read.nodes.values():
        for added in ("viz", "start", "end"):
            node.pop(added, None)
    for *_, edge in read.edges(data=True):
        for added in ("id", "start", "end"):
            edge.pop(added, None)
    return read


class TestReadBack:
    @pytest.mark.parametrize("which", ["graph", "hostile"])
    def test_json_graphml_and_gexf_hold_all_of_it(self, which: str, request: pytest.FixtureRequest) -> None:
        graph = request.getfixturevalue(which)
        nodes = networkx.node_link_graph(json.loads(to_json(graph)), edges="edges")
        assert (content(nodes), nodes.graph) == (content(graph), graph.graph)
        marked = networkx.read_graphml(io.BytesIO(to_graphml(graph).encode()))
        assert content(marked) == content(graph)
        assert {name: marked.graph[name] for name in graph.graph} == graph.graph
        assert content(of_gexf(to_gexf(graph))) == content(graph)

    @few(15)
    @example([" "])
    @example([" " * 60, "\t\n\u2028"])
    @given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=60), min_size=1, max_size=3))
    def test_any_text_comes_back(self, texts: list[str]) -> None:
        graph = hostile_graph(texts)
        assert content(networkx.read_graphml(io.BytesIO(to_graphml(graph).encode()))) == content(graph)
        assert content(of_gexf(to_gexf(graph))) == content(graph)
        assert all(1 <= len(node["label"]) <= 48 for node in graph.nodes.values())
        assert to_mermaid(graph)

    def test_gexf_has_the_time_of_every_node_and_edge(self, graph: networkx.DiGraph) -> None:
        read = networkx.read_gexf(io.BytesIO(to_gexf(graph).encode()))
        assert read.graph["mode"] == "dynamic"
        retired = {name for name, node in graph.nodes.items() if "retired" in node}
        assert retired
        for name, node in read.nodes.items():
            assert int(node["start"]) == graph.nodes[name]["born"]
            assert ("end" in node) == (name in retired)
        assert all(int(edge["start"]) == edge["born"] for *_, edge in read.edges(data=True))

    def test_no_file_has_a_character_that_xml_forbids_and_none_is_long(self, hostile: networkx.DiGraph) -> None:
        for text in (to_graphml(hostile), to_gexf(hostile), draw(hostile, "svg").decode()):
            ElementTree.fromstring(text)
            assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", text)
        assert max(len(node.get("text", "")) for node in hostile.nodes.values()) <= 200
        assert max(len(node["label"]) for node in hostile.nodes.values()) <= 48

    def test_names_that_look_alike_once_cleaned_are_different_nodes(self) -> None:
        names = ["a\x00", "a\x01", "a\ufffd", "a\\u0000", "a\\", "a\\\\", "a"]
        for made in (episode_id, entity_id):
            assert len(set(map(made, names))) == len(names)
        assert plain("a\x00\r\nb\rc") == "a\ufffd\nb\ufffdc"

    def test_the_same_graph_gives_the_same_bytes(self, graph: networkx.DiGraph, tmp_path: Path) -> None:
        few_nodes = graph.subgraph(list(graph)[:40])
        for name in ("a.json", "a.graphml", "a.gexf", "a.mmd", "a.png", "a.svg"):
            write(few_nodes, tmp_path / name)
            again = tmp_path / f"again{Path(name).suffix}"
            write(few_nodes, again)
            assert again.read_bytes() == (tmp_path / name).read_bytes()


class TestMermaid:
    LINE = re.compile(
        r"flowchart LR"
        r"|  n\d+(\[|\(|\{\{|\{|>|\(\[|\(\()\"[\w .,:!?+/=@#;-]*\"(\]|\)|\}\}|\}|\]\)|\)\)):::\w+"
        r"|  n\d+ (-->|-\. [a-z ]+ \.->) n\d+"
        r"|  classDef \w+ fill:#\w{8},stroke:#\w{6}"
    )

    def test_every_line_is_one_of_the_grammar_whatever_the_texts(self, hostile: networkx.DiGraph) -> None:
        few_nodes = hostile.subgraph(list(hostile)[:140])
        text = to_mermaid(few_nodes)
        assert [line for line in text.split("\n")[:-1] if not self.LINE.fullmatch(line)] == []
        assert text.count(":::") == 140
        assert text.count(" n") - 140 - text.count("click") >= few_nodes.number_of_edges()

    def test_a_large_graph_is_refused_with_the_limit(self, graph: networkx.DiGraph) -> None:
        with pytest.raises(InvalidInputError, match="over the limit of 150; choose fewer by newest, around or limit"):
            to_mermaid(graph)


class TestPictures:
    def test_a_picture_has_a_title_a_legend_and_labels(self, graph: networkx.DiGraph) -> None:
        few_nodes = graph.subgraph([name for name, node in graph.nodes.items() if node["position"] > 250])
        texts = {element.text for element in ElementTree.fromstring(draw(few_nodes, "svg")).iter(f"{SVG}text")}
        units = len(of_kind(few_nodes, "unit"))
        assert {f"unit ({units})", "made from", "units", "steps"} <= texts
        assert any(text and text.startswith("Memory as of position") for text in texts)
        assert set(texts) & {node["label"] for node in few_nodes.nodes.values()}

    def test_no_word_lies_on_an_arc(self, graph: networkx.DiGraph) -> None:
        places = picture._places(graph)
        arcs = [(places[one], places[other]) for one, other in edges(graph, "recalled_by")]
        assert 10 < len(arcs) < picture.MANY
        figure, axis = picture._drawn(graph)
        drawn = FigureCanvasAgg(figure).get_renderer()
        points = np.concatenate([axis.transData.transform(picture._along(*two, picture._deep(axis))) for two in arcs])
        boxes = [text.get_window_extent(drawn) for text in axis.texts]
        assert len(boxes) > 20
        assert [box for box in boxes if any(box.contains(*point) for point in points)] == []

    def test_a_png_is_one(self, hostile: networkx.DiGraph, recwarn: pytest.WarningsRecorder) -> None:
        assert draw(hostile).startswith(b"\x89PNG\r\n")
        assert [str(one.message) for one in recwarn if "Glyph" in str(one.message)] == []

    def test_an_empty_graph_is_drawn(self) -> None:
        with opened() as memory:
            assert draw(memory_graph(memory)).startswith(b"\x89PNG")
            assert to_mermaid(memory_graph(memory)).startswith("flowchart")

    def test_what_is_too_large_to_be_read_is_refused(self) -> None:
        graph = networkx.DiGraph()
        graph.add_nodes_from(range(1501))
        with pytest.raises(InvalidInputError, match="1,501 nodes is over the limit of 1,500"):
            draw(graph)

    def test_without_matplotlib_it_says_how_to_install_it(
        self, graph: networkx.DiGraph, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(picture, "find_spec", lambda name: None)
        with pytest.raises(MissingExtraError, match="pip install .*\\[plot\\]"):
            draw(graph.subgraph(list(graph)[:9]))


def test_an_unknown_format_is_refused_and_nothing_is_written(graph: networkx.DiGraph, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="use one of json, graphml, gexf, mermaid, png, svg"):
        write(graph, tmp_path / "a.pdf")
    with pytest.raises(InvalidInputError, match="over the limit of 150"):
        write(graph, tmp_path / "a.mmd")
    assert list(tmp_path.iterdir()) == []


class TestCommand:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        with opened(tmp_path / "a.mem") as memory, memory.episode(id="door", agent="ada") as episode:
            episode.log("The red door is locked.", subjects=["Ann"])
            episode.recall("red door")
            episode.act("unlock the red door")
        return tmp_path / "a.mem"

    def call(self, *arguments: object) -> Result:
        return CliRunner().invoke(app, ["graph", *map(str, arguments)])

    def test_it_prints_counts_and_what_stands_out(self, path: Path) -> None:
        result = self.call(path)
        assert result.exit_code == 0, result.output
        assert re.search(r"step\s+2\b", result.stdout)
        assert re.search(r"recalled by\s+1\b", result.stdout)
        assert "most recalled" in result.stdout
        assert "s00000000002" in result.stdout

    def test_as_json_it_is_one_document(self, path: Path) -> None:
        found = json.loads(self.call(path, "--json").stdout)
        assert found["nodes"] == {"step": 2, "unit": 1, "recall": 1, "episode": 1, "entity": 1}
        assert found["most_recalled"][0]["id"] == "s00000000002"
        assert found["left_out"] == 0

    def test_it_writes_the_format_that_the_file_ends_with_or_that_is_asked_for(
        self, path: Path, tmp_path: Path
    ) -> None:
        for name, begins in (("a.svg", b"<?xml"), ("a.gexf", b"<?xml"), ("a.png", b"\x89PNG"), ("a.mmd", b"flowchart")):
            result = self.call(path, "--out", tmp_path / name)
            assert result.exit_code == 0, result.output
            assert (tmp_path / name).read_bytes().startswith(begins)
        assert self.call(path, "--out", tmp_path / "b.txt", "--format", "graphml").exit_code == 0
        assert len(networkx.read_graphml(tmp_path / "b.txt")) == 6

    def test_a_place_that_cannot_be_written_is_told(self, path: Path, tmp_path: Path) -> None:
        for place, said in (("none/a.json", "cannot write the graph to"), (".", "is a directory; give the path of")):
            result = self.call(path, "--out", tmp_path / place, "--format", "json")
            assert (result.exit_code, result.stdout) == (1, "")
            assert said in result.stderr

    def test_a_name_without_an_ending_is_told_to_have_one(self, path: Path, tmp_path: Path) -> None:
        result = self.call(path, "--out", tmp_path / "plain")
        endings = ".json, .graphml, .gexf, .mermaid, .png, .svg"
        assert (result.exit_code, result.stdout) == (1, "")
        said = f"plain does not say its format; give a name with an ending ({endings}), or a format"
        assert said in " ".join(result.stderr.split())
        assert "is a directory; give the path of a file in it" in self.call(path, "--out", ".").stderr

    def test_no_text_steers_the_terminal(self, tmp_path: Path) -> None:
        with opened(tmp_path / "b.mem") as memory, memory.episode(id="a\u202eb\u2066") as episode:
            episode.log("\u202egnp.exe \x9b31m", subjects=["\u2066Ann"])
            episode.recall("exe")
        result = self.call(tmp_path / "b.mem")
        assert "gnp.exe" in result.stdout
        assert not re.search("[\u202a-\u202e\u2066-\u2069\x7f-\x9f]", result.stdout)

    def test_a_format_without_a_file_goes_to_standard_output(self, path: Path) -> None:
        with Memory.open(path, encoder=None, read_only=True) as memory:
            graph = memory_graph(memory)
        read = networkx.node_link_graph(json.loads(self.call(path, "--format", "json").stdout), edges="edges")
        assert content(read) == content(graph)
        refused = self.call(path, "--format", "png")
        assert (refused.exit_code, refused.stdout) == (1, "")
        assert "give a file with --out memory.png" in refused.stderr

    @pytest.mark.parametrize(
        ("options", "said"),
        [(("--hops", "3"), "name it with --around ID"), (("--json", "--format", "json"), "give one of them")],
    )
    def test_options_that_do_not_go_together_are_refused(self, path: Path, options: tuple[str, ...], said: str) -> None:
        refused = self.call(path, *options)
        assert (refused.exit_code, refused.stdout) == (1, "")
        assert said in " ".join(refused.stderr.split())

    def test_it_takes_parts_and_says_what_is_left_out(self, path: Path) -> None:
        part = self.call(path, "--around", "Ann", "--hops", "1", "--format", "mermaid")
        assert part.stdout.count(":::") == 2
        assert json.loads(self.call(path, "--as-of", "s00000000002", "--layer", "step", "--json").stdout)["nodes"] == {
            "step": 1
        }
        assert "2 nodes left out by --limit 4" in self.call(path, "--limit", "4").stderr
        assert self.call(path, "--around", "nobody").exit_code == 1


def test_the_benchmark_tells_nodes_edges_and_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    from agentmem.bench.graph import main

    main(["--steps", "120", "--json"])
    figures = json.loads(capsys.readouterr().out)
    assert figures["the whole graph"]["nodes"] > 120
    assert figures["2 edges around a step"]["nodes"] < 120
    assert all(set(figure) == {"nodes", "edges", "seconds"} for figure in figures.values())


def test_a_memory_is_not_written_over_and_far_hops_end(tmp_path: Path) -> None:
    with Memory.open(tmp_path / "a.json", encoder=None) as memory:
        memory.episode().log("A fox.", subjects=["Ann"])
        made = memory_graph(memory, around="Ann", hops=10**9)
        assert len(made) > 1
        with pytest.raises(InvalidInputError, match="is a memory, or belongs to one"):
            write(made, tmp_path / "a.json")
    with Memory.open(tmp_path / "a.json", encoder=None) as memory:
        assert len(list(memory.steps())) == 1


def test_what_is_no_graph_number_or_seed_is_refused_with_its_value(graph: networkx.DiGraph, tmp_path: Path) -> None:
    asks = [to_json, to_graphml, to_gexf, to_mermaid, draw, pagerank, communities, most_recalled]
    for ask in [*asks, lambda graph: write(graph, tmp_path / "x.svg")]:
        with pytest.raises(InvalidInputError, match=r"graph 5 is no graph; make one: memory_graph\(memory\)"):
            ask(5)
    assert not list(tmp_path.iterdir())
    wrong: Any = "x"
    with pytest.raises(InvalidInputError, match="seed 'x' must be a whole number, 0 or more"):
        communities(graph, seed=wrong)
    with pytest.raises(InvalidInputError, match="n 'x' must be a whole number"):
        most_recalled(graph, n=wrong)
    for damping in (wrong, 2, float("nan")):
        with pytest.raises(InvalidInputError, match="damping .* must be a number from 0 to 1"):
            pagerank(graph, damping=damping)

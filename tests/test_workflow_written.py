"""A workflow's definition as a file has it: what cannot be read, or is too large to, is told by the file."""

import time
from pathlib import Path

import pytest
import yaml
from workflows import SMALL

from agentmem.errors import InvalidInputError
from agentmem_envs.workflow.definition import load


def test_a_file_that_cannot_be_read_is_told_by_its_path(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="absent.yaml': No such file or directory; give a YAML file or a dict"):
        load(tmp_path / "absent.yaml")
    (tmp_path / "broken.yaml").write_text("name: [a")
    with pytest.raises(InvalidInputError, match="broken.yaml': not YAML: .* line 1, column 9"):
        load(tmp_path / "broken.yaml")
    (tmp_path / "list.yaml").write_text("- a")
    with pytest.raises(InvalidInputError, match="the definition: .*: give a mapping with the keys name, goal, "):
        load(str(tmp_path / "list.yaml"))
    for wrong in ("- a", yaml.safe_dump(SMALL | {"first": "start"})):
        (tmp_path / "wrong.yaml").write_text(wrong)
        with pytest.raises(InvalidInputError, match="definition in '.*wrong.yaml' cannot be used:\n  (the|first)"):
            load(tmp_path / "wrong.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff")
    with pytest.raises(InvalidInputError, match="bytes.yaml': no text: .*; give a YAML file in UTF-8"):
        load(tmp_path / "bytes.yaml")
    with pytest.raises(InvalidInputError, match="no text: embedded null byte"):
        load("a\0b")


def test_a_file_that_is_too_large_is_refused_before_it_is_read_as_yaml(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(SMALL).ljust(2**20, "\n"))
    assert load(tmp_path / "a.yaml") == load(SMALL)
    (tmp_path / "a.yaml").write_text("- a\n" * 2_000_000)
    began = time.process_time()
    with pytest.raises(
        InvalidInputError, match="a.yaml': 8,000,000 bytes, and a definition has 1,048,576 at most; leave out"
    ):
        load(tmp_path / "a.yaml")
    assert time.process_time() - began < 1
    with pytest.raises(InvalidInputError, match="zero': 1,048,577 bytes, and"):
        load("/dev/zero")


@pytest.mark.parametrize("repeated", ["x" * 1_000, "[1, 2, 3, 4, 5, 6, 7, 8, 9]"])
def test_what_aliases_repeat_is_bounded_too(repeated: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(f"- &a {repeated}\n" + "- *a\n" * 20_000)
    with pytest.raises(
        InvalidInputError, match="more than 100,000 values, or 1,048,576 characters in all, with what .aliases"
    ):
        load(tmp_path / "a.yaml")


@pytest.mark.parametrize("written", ["[" * 500_000, "a: " + "{a: " * 200_000, "- " * 400_000 + "a"])
def test_lists_too_deep_within_each_other_are_refused(written: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(written)
    with pytest.raises(InvalidInputError, match="a.yaml': lists within lists too deep; write it flatter"):
        load(tmp_path / "a.yaml")


@pytest.mark.parametrize("value", ["2024-13-45", "!!int x", '!!int ""', "!!bool x", "!!timestamp x", "9" * 5_000])
def test_a_value_that_yaml_cannot_make_is_told_with_the_remedy(value: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(f"name: {value}")
    with pytest.raises(InvalidInputError, match="a.yaml': a date, a number or what has !! cannot be read .* in quotes"):
        load(tmp_path / "a.yaml")


def test_a_key_that_stands_twice_in_one_mapping_is_refused_by_its_lines(tmp_path: Path) -> None:
    written = yaml.safe_dump(SMALL, sort_keys=False)
    (tmp_path / "a.yaml").write_text("name: letters\n" + written)
    with pytest.raises(
        InvalidInputError, match="a.yaml': 'name' on line 2 stands in the same mapping on line 1; leave"
    ):
        load(tmp_path / "a.yaml")
    (tmp_path / "a.yaml").write_text(f"{written}x: [1, {{a: 1, b: &c {{}}, a: 2}}, *c]\n")
    line = len(written.splitlines()) + 1
    with pytest.raises(InvalidInputError, match=f"'a' on line {line} stands in the same mapping on line {line};"):
        load(tmp_path / "a.yaml")
    (tmp_path / "a.yaml").write_text(written.replace("sets:\n", "sets:\n      <<: {}\n      <<: {}\n"))
    assert load(tmp_path / "a.yaml") == load(SMALL)


@pytest.mark.parametrize("merged", ["&b {name: other, open: 2}", "[{name: other, open: 2}, {name: third}]"])
def test_a_key_may_stand_in_the_place_of_one_that_is_merged(merged: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(f"<<: {merged}\n{yaml.safe_dump(SMALL, sort_keys=False)}")
    assert load(tmp_path / "a.yaml") == load(SMALL | {"open": 2})

"""YAML: the words of YAML 1.2, and what is refused."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sss.errors import InputError
from sss.yaml_files import DEEPEST, LARGEST_FILE, as_yaml, parse_yaml, read_yaml


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no", "no"),
        ("yes", "yes"),
        ("On", "On"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("", None),
        ("1e-4", 1e-4),
        ("1.5E+3", 1500.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("+1", 1),
        ("-0", 0),
        ("007", 7),
        ("0o17", 15),
        ("0x1F", 31),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("2024-02-30", "2024-02-30"),
        ("-.inf", -math.inf),
        ("nan", "nan"),
        ("'1'", "1"),
        ('"no"', "no"),
        ("=", "="),
        ("[1, [a, .5]]", [1, ["a", 0.5]]),
    ],
)
def test_words(text: str, expected: Any) -> None:
    (value,) = parse_yaml(f"key: {text}").values()
    assert value == expected
    assert type(value) is type(expected)


def test_not_a_number() -> None:
    assert math.isnan(parse_yaml(".nan"))


def test_merged_sections_give_way() -> None:
    text = "a: &a {x: 1, y: 2}\nb: &b {y: 3, z: 4}\nc: {<<: [*a, *b], x: 5}\nd: {x: 6, <<: *a}"
    content = parse_yaml(text)
    assert content["c"] == {"x": 5, "y": 2, "z": 4}
    assert content["d"] == {"x": 6, "y": 2}
    assert parse_yaml("'<<': 3") == {"<<": 3}


def bomb(line: str) -> str:
    """Nine aliases of nine aliases of nine …"""
    lines = ["a0: &a0 {x: 1}"]
    for level in range(1, 10):
        lines.append(f"a{level}: &a{level} " + line.format(", ".join([f"*a{level - 1}"] * 9)))
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\nb: 2\na: 3", "the key a stands there twice, again in line 3, column 1"),
        ("a: {b: 1, b: 1}", "the key b stands there twice"),
        ("1: a", "the key in line 1, column 1 is no text; write it in quotes"),
        ("true: a", "is no text"),
        ("? [a]\n: b", "is no text"),
        ("a: 1\n---\na: 2", "expected a single document"),
        ("a:\n\t- b", "indent with spaces, not with tabs"),
        ("a: !!python/object/apply:os.system [ls]", "the tag tag:yaml.org,2002:python/object"),
        ("a: !!int x", "the tag tag:yaml.org,2002:int in line 1, column 4; leave it out"),
        ("<<: 3", "merges sections only, not 3"),
        ("a: *b", "undefined alias"),
        ("a: &a [*a]", f"more than {DEEPEST} lists or sections inside one another"),
        ("a: &a {<<: *a}", f"more than {DEEPEST}"),
        ("[" * 500, f"more than {DEEPEST}"),
        ("{a: " * (DEEPEST + 2) + "}" * (DEEPEST + 2), f"more than {DEEPEST}"),
        (bomb("[{}]"), "more than 10000 values"),
        (bomb("{{<<: [{}]}}"), "more than 10000 values"),
        ("a: " + "9" * 5000, "digits"),
        ('a: "\\UFFFFFFFF"', "too large"),
        ('a: "\\ud800"', "holds a character that is none"),
        ('a: "x\\0"', "holds a character that is none"),
        ("a: [", "expected"),
        ("a: b: c", "mapping values are not allowed here"),
        ("\x00", "unacceptable character"),
    ],
)
def test_refused_in_one_line(text: str, problem: str) -> None:
    with pytest.raises(InputError) as error:
        parse_yaml(text)
    assert problem in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("name: Übung\n", encoding=encoding)
    assert read_yaml(path) == {"name": "Übung"}


@pytest.mark.parametrize("text", ["", "# words only\n", "---\n", "\ufeff"])
def test_nothing_in_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text, encoding="utf-8")
    assert read_yaml(path) is None


@pytest.mark.parametrize(
    ("write", "problem"),
    [
        (lambda path: path.write_bytes(b"a: \xff"), "c.yaml is not a YAML file: "),
        (lambda path: path.write_bytes(b"#" * (LARGEST_FILE + 1)), "is larger than 64 kB"),
        (lambda path: path.mkdir(), "cannot read"),
        (lambda _path: None, "cannot read"),
    ],
)
def test_files_that_cannot_be_read(
    tmp_path: Path, write: Callable[[Path], object], problem: str
) -> None:
    path = tmp_path / "c.yaml"
    write(path)
    with pytest.raises(InputError, match=problem):
        read_yaml(path)


def test_what_is_written_is_read_again() -> None:
    words = [
        "no",
        "1e5",
        "0o7",
        "1_000",
        "12:30",
        "null",
        "",
        "~",
        ".5",
        "+1",
        "true",
        "2024-01-01",
    ]
    content = {
        "words": words,
        "text": "a\nb: c #",
        "date": "2024-01-01",
        "numbers": [1, -2.5, 1e-7, 3e30, math.inf],
    }
    content |= {"others": [True, None, {}, []], "odd": os_name(), "no": {"1e3": "x"}}
    assert parse_yaml(as_yaml(content)) == content


def os_name() -> str:
    """A file's name whose bytes are no text."""
    return b"\xff.jpg".decode(errors="surrogateescape")

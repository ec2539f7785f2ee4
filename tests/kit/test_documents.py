"""What people write in YAML is read strictly, and no input does harm."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from control_plane.kit.documents import MAX_CHARACTERS, DocumentInvalid, parse_document
from control_plane.kit.text import Phrase, translate


class Content(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    a: int
    b: list[str] = []


def mistakes(text: str) -> list[tuple[int, str]]:
    with pytest.raises(DocumentInvalid) as found:
        parse_document(text, Content, "file.yml")
    return [(mistake.line, str(mistake.reason)) for mistake in found.value.mistakes]


def test_a_good_file_is_read_with_its_lines() -> None:
    document = parse_document("# hello\na: 1\nb:\n- x\n- y\n", Content, "file.yml")
    assert document.value == Content(a=1, b=["x", "y"])
    assert document.line_of(("b", 1)) == 5


def test_every_mistake_has_its_own_line() -> None:
    assert mistakes("a: x\nb:\n- 1\nc: 2\n") == [
        (1, "a must be a whole number"),
        (3, "b.0 must be text; put it in quotation marks"),
        (4, "c is not known here"),
    ]


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("a: !!python/object/apply:os.system [x]\n", 1, "a must be a whole number"),
        ("a: !!binary aGk=\n", 1, "The type tag:yaml.org,2002:binary is not allowed"),
        ("a: .inf\n", 1, "This number is not finite"),
        ("a: 1\n---\na: 2\n", 2, "This is not YAML: but found another document"),
        ("? [x]\n: 1\n", 1, "A key must be plain text"),
        ("a: 1\n<<: {b: []}\n", 2, "A key must be plain text"),
        ("a: \x07\n", 1, "A character is not allowed in YAML"),
        ("a: أهلًا\nb: \x07\nc:\nd:\n", 2, "A character is not allowed in YAML"),
        ("a: 1\nb: \ud800\n", 2, "A character is not allowed in YAML"),
        ("a: 1\nb: " + "[" * 40 + "]" * 40 + "\n", 2, "This is nested too deeply"),
        ("- a\n", 1, "the document must be a block of keys and values"),
    ],
)
def test_what_only_yaml_can_say_is_refused(text: str, line: int, reason: str) -> None:
    assert mistakes(text) == [(line, reason)]


def test_a_huge_file_is_not_even_looked_at() -> None:
    assert mistakes("[" * (MAX_CHARACTERS + 1)) == [
        (1, f"The file is too long: at most {MAX_CHARACTERS} characters")
    ]


@given(st.text(max_size=200) | st.text(alphabet="ab:-[]{}&*!? \n\"'|>#%", max_size=60))
def test_no_text_makes_the_reader_fail_otherwise(text: str) -> None:
    with suppress(DocumentInvalid):
        parse_document(text, Content, "file.yml")


def test_a_reason_is_translated_with_its_text() -> None:
    with pytest.raises(DocumentInvalid) as found:
        parse_document("b: []\n", Content, "file.yml")
    english = translate(found.value.title, "en", **found.value.facts)
    assert english == "file.yml, line 1: a is missing"
    arabic = translate(found.value.title, "ar", **found.value.facts)
    assert arabic == "file.yml، السطر 1: الحقل a غير موجود"


def test_a_phrase_is_its_english_text() -> None:
    phrase = Phrase("{field} is missing", field="a")
    assert phrase == "a is missing"
    assert isinstance(phrase, str)

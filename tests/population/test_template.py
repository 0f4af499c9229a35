"""The mapping language."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.population.template import TemplateError, parse

PERSON = {
    "mail": ("Ann.Bell@Example.com", "second@example.com"),
    "givenname": ("Ann",),
    "sn": ("  Bell ",),
    "empty": ("",),
}


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{mail}", "Ann.Bell@Example.com"),
        ("{MAIL | lower}", "ann.bell@example.com"),
        ("{uid, empty, mail}", "Ann.Bell@Example.com"),
        ("{givenName} {sn}", "Ann Bell"),
        ("{title} {sn}", "Bell"),
        ("Dr. {title}", ""),
        ("fixed", "fixed"),
        ("{mail | local}", "Ann.Bell"),
        ("{mail | domain | upper}", "EXAMPLE.COM"),
        ("{sn | trim | first(1)}.", "B."),
        ('{mail | replace("@", " at ")}', "Ann.Bell at Example.com"),
        ('{title | default("no, title")}', "no, title"),
        ("{title | default(none)}", "none"),
        ("{{{givenName}}}", "{Ann}"),
    ],
)
def test_a_template_gives(template: str, value: str) -> None:
    assert parse(template).value(PERSON) == value


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{mail", "is never closed"),
        ("mail}", "closes nothing"),
        ("{}", "is not an attribute type"),
        ("{mail | evil}", 'there is no function "evil"'),
        ("{mail | first}", "first takes 1 values in brackets, found 0"),
        ("{mail | first(x)}", '"x" is not a number of characters'),
        ("{__class__}", "is not an attribute type"),
        ("{mail.upper()}", "is not an attribute type"),
    ],
)
def test_a_template_that_cannot_be_understood_says_why(template: str, said: str) -> None:
    with pytest.raises(TemplateError) as caught:
        parse(template)

    assert said in str(caught.value)


def test_the_attributes_to_ask_for_are_known() -> None:
    assert parse("{uid, mail | lower} x {sn}").attributes == {"uid", "mail", "sn"}


@given(st.text(max_size=40))
def test_any_text_is_a_template_or_a_template_error(text: str) -> None:
    with contextlib.suppress(TemplateError):
        assert isinstance(parse(text).value(PERSON), str)

"""`ipc.pages`: which pages people mean, and what is no selection."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.documents import pages
from src.errors import InvalidRequest


@pytest.mark.parametrize(
    ("text", "meant"), [("1", (0,)), ("1-3,5", (0, 1, 2, 4)), ("5, 1-2", (0, 1, 4)), ("2-2,1-3", (0, 1, 2))]
)
def test_pages_count_from_one(text: str, meant: tuple[int, ...]) -> None:
    """Both ends of a range count, order and doubles do not matter."""
    assert pages.select(pages.parse(text), 5) == meant


@pytest.mark.parametrize("text", ["", "0", "9-2", "a", "1-", "-3", "1..3", "1-3-5", "1,,2", "٣", "1" * 9, "1," * 2000])
def test_an_invalid_selection_is_an_error(text: str) -> None:
    """With the parameter named, before anything is opened."""
    with pytest.raises(InvalidRequest) as caught:
        pages.parse(text)
    assert caught.value.param == "pages"


def test_mistral_counts_from_zero() -> None:
    """Its lists name the same pages by other numbers."""
    assert pages.select(pages.from_list([0, 2]), 3) == (0, 2)
    with pytest.raises(InvalidRequest, match="negative"):
        pages.from_list([-1])


def test_a_page_beyond_the_end_is_named() -> None:
    """The text says how many there are."""
    with pytest.raises(InvalidRequest, match="the end: it has 3 pages"):
        pages.select(pages.parse("2-4"), 3)


@given(st.text(max_size=20))
def test_any_text_is_a_selection_or_refused(text: str) -> None:
    """Nothing else is raised."""
    try:
        ranges = pages.parse(text)
    except InvalidRequest:
        return
    assert all(0 <= first <= last for first, last in ranges)


def test_pages_beyond_those_counted_are_no_end() -> None:
    """Where counting stopped at the limit, the document's length is not told as if it were known."""
    with pytest.raises(InvalidRequest, match="has more than 1000 pages"):
        pages.select(((2000, 2000),), 1001, more=True)

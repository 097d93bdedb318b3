"""Where IMAGE_URL_HOSTS lists hosts: no URL and no DNS answer leads the service to itself or its neighbours."""

from __future__ import annotations

import socket

import pytest

from src.errors import InvalidImage, InvalidRequest
from tests.outside import HOST, PUBLIC, answer, outside
from tests.security.test_requests import SSRF

pytestmark = pytest.mark.e2e

# the list is as generous as an operator's may be
_LISTED = "example.com,.example.com,.evil.com,.example.evil,metadata.google.internal"
_METADATA = "https://metadata.google.internal/x"


@pytest.mark.parametrize("url", [url for url in SSRF if url != _METADATA] + ["data:image/png;base64,AAAA"])
def test_a_url_that_disguises_its_host_is_refused_before_anybody_is_asked(url: str) -> None:
    """Addresses in every spelling, users, ports, backslashes, odd letters, other schemes: not even resolved."""
    with outside(answer()) as internet, pytest.raises(InvalidRequest) as refused:
        internet.fetch(url, image_url_hosts=_LISTED)
    assert url not in refused.value.message
    assert internet.resolved == internet.called == []


@pytest.mark.parametrize("listed", ["", "example.com"])
def test_the_metadata_host_is_refused_where_it_is_not_listed(listed: str) -> None:
    """As any host."""
    with outside(answer()) as internet, pytest.raises(InvalidRequest):
        internet.fetch(_METADATA, image_url_hosts=listed)
    assert internet.resolved == []


@pytest.mark.parametrize("url", [_METADATA, f"http://{HOST}/a.png"])
@pytest.mark.parametrize(
    "addresses",
    [
        *(["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["10.0.0.1", "8.8.8.8"], ["169.254.169.254"], ["::ffff:10.0.0.1"]),
        *(["fd00::1"], ["::1"], ["0.0.0.0"], ["64:ff9b::7f00:1"], ["2002:7f00:1::"], ["fe80::1%eth0"]),
    ],
    ids=",".join,
)
def test_a_name_that_leads_home_is_not_followed(url: str, addresses: list[str]) -> None:
    """One address of a good name that is not of the internet is enough: nobody is called."""
    with outside(answer()) as internet:
        internet.addresses = lambda: addresses
        with pytest.raises(InvalidImage, match="not public"):
            internet.fetch(url, image_url_hosts=f"{_LISTED},http://{HOST}")
    assert internet.called == []


def test_a_name_is_asked_for_once() -> None:
    """DNS rebinding: what the name says the second time is never heard."""
    answers = iter([[PUBLIC], ["127.0.0.1"]])
    with outside(answer()) as internet:
        internet.addresses = lambda: next(answers)
        internet.fetch()
    assert len(internet.resolved) == 1
    assert internet.called == [(PUBLIC, 80)]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    """Not to this machine, nor anywhere: a listener here hears nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(0.1)
        place = f"Location: http://127.0.0.1:{listener.getsockname()[1]}/x.png"
        with outside(answer(b"", f"{status} Moved", place)) as internet, pytest.raises(InvalidImage, match="redirects"):
            internet.fetch()
        with pytest.raises(TimeoutError):
            listener.accept()
    assert len(internet.called) == 1

"""Which image URLs may be fetched, told by their text; which addresses may be called."""

from __future__ import annotations

import pytest

from src.api.openai.image_urls import is_public, target
from src.errors import InvalidRequest, UnsupportedValue
from src.settings import Settings

ALLOWED = "images.example.com, .cdn.example.com,http://plain.example.org"


@pytest.mark.parametrize(
    ("url", "scheme", "host", "path"),
    [
        ("https://images.example.com/a.png", "https", "images.example.com", "/a.png"),
        ("HTTPS://Images.Example.COM:443", "https", "images.example.com", "/"),
        ("https://images.example.com/a?sig=%2Fx#part", "https", "images.example.com", "/a?sig=%2Fx"),
        ("https://a.b.cdn.example.com/x", "https", "a.b.cdn.example.com", "/x"),
        ("http://plain.example.org:80/x", "http", "plain.example.org", "/x"),
    ],
)
def test_a_listed_host_is_fetched_from(url: str, scheme: str, host: str, path: str) -> None:
    """By its exact name, or below a suffix; without the part behind the hash."""
    found = target(url, ALLOWED, "p")
    assert (found.scheme, found.host, found.path, found.port) == (scheme, host, path, 443 if scheme == "https" else 80)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/",
        "https://cdn.example.com/",
        "https://evilcdn.example.com/",
        "https://images.example.com.evil.com/",
        "https://evilimages.example.com/",
        "http://images.example.com/",
        "https://plain.example.org/",
        "https://images.example.com:80/",
        "https://images.example.com:/",
        "https://images.example.com:0443/",
        "https:images.example.com/",
        "https:///images.example.com/",
        "//images.example.com/",
        "https://" + "a" * 3000 + ".cdn.example.com/",
        "https://" + "a" * 64 + ".cdn.example.com/",
        "https://-a.cdn.example.com/",
        "https://a..cdn.example.com/",
        "https://[images.example.com]/",
        "https://[::1/",
        "",
    ],
)
def test_what_is_not_listed_is_refused(url: str) -> None:
    """Not a host that looks like a listed one, not another scheme or port; the URL is not repeated."""
    with pytest.raises(InvalidRequest) as refused:
        target(url, ALLOWED, "messages[0].content")
    assert refused.value.param == "messages[0].content"
    assert not url or url not in refused.value.message


def test_without_a_list_nothing_is_fetched() -> None:
    """The default; the text says how to change it."""
    with pytest.raises(UnsupportedValue, match=r"Only data: URLs are read here .*IMAGE_URL_HOSTS"):
        target("https://images.example.com/", " , ", "p")


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "::ffff:8.8.8.8"])
def test_an_address_of_the_internet_is_public(address: str) -> None:
    """Also in its IPv6 spelling."""
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1"),
        *("192.0.0.8", "192.0.2.1", "192.88.99.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "::7f00:1", "::ffff:10.0.0.1", "::ffff:127.0.0.1", "fe80::1", "fe80::1%lo", "fd00::1"),
        *("ff02::1", "fec0::1", "100::1", "2001:db8::1", "2001::1", "2002:7f00:1::", "2002:808:808::"),
        *("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::808:808", "metadata", ""),
    ],
)
def test_an_address_that_leads_here_or_beside_us_is_not(address: str) -> None:
    """Loopback, private, link-local, multicast, reserved; and every form that hides one of them."""
    assert not is_public(address)


@pytest.mark.parametrize(
    "hosts", ["*", "localhost", ".com", "127.0.0.1", "https://example.com", "example.com/a", "a b.c"]
)
def test_a_list_that_names_no_hosts_stops_the_start(hosts: str) -> None:
    """A mistake in the list is found before the first request."""
    with pytest.raises(ValueError, match="is no host"):
        Settings(image_url_hosts=hosts)


def test_a_good_list_is_taken() -> None:
    """As it is documented."""
    assert Settings(image_url_hosts=ALLOWED).image_url_hosts == ALLOWED

"""Which Host headers are answered."""

import pytest
from streamlit import config

from dashboard.server import hosts
from dashboard.server.hosts import allowed_hosts, hostname, is_open, listed_hosts

LOOPBACK = ["localhost", "LOCALHOST:8501", "localhost.", "localhost.:1", "127.0.0.1:65535", "[::1]", "[0:0::1]:8501"]
MALFORMED = [
    "",
    " ",
    "localhost ",
    "localhost:",
    "localhost:x",
    "localhost:65536",
    "localhost:123456",
    "localhost..",
    ".",
    "user@localhost",
    "localhost/",
    "localhost#",
    "localhost?x",
    "localhost,evil.example",
    "::1",
    "[::1",
    "[evil]",
    "[::1]x",
    "[::1%25eth0]",
    "localhost\x00",
    "lоcalhost",
    "localhost:٣",
]
FOREIGN = [
    "evil.example",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "evil-localhost",
    "2130706433",
    "0x7f.1",
    "0177.0.0.1",
    "127.1",
    "xn--localhost",
]


@pytest.fixture
def listen(monkeypatch: pytest.MonkeyPatch):
    """Set where the server listens, and what is listed."""
    monkeypatch.setattr(hosts.socket, "gethostname", lambda: "Lab7.example.org")

    def listen(address: str | None, *, variable: str = "", option: tuple[str, ...] = ()) -> hosts.AllowedHosts:
        values = {"server.address": address, "server.allowedHosts": list(option)}
        monkeypatch.setattr(config, "get_option", values.__getitem__)
        monkeypatch.setenv(hosts.VARIABLE, variable)
        return allowed_hosts()

    return listen


@pytest.mark.parametrize("address", ["localhost", "127.0.0.1", "::1", "192.168.1.5", "lab7", "0.0.0.0", "::", None, ""])
def test_loopback_is_always_answered_and_nobody_elses_name_is(listen, address: str | None) -> None:
    allowed = listen(address)
    assert [host for host in LOOPBACK if not allowed.allow(host)] == []
    assert [host for host in [*MALFORMED, *FOREIGN] if allowed.allow(host)] == []


@pytest.mark.parametrize("address", ["localhost", "127.0.0.1", "::1"])
def test_a_server_for_this_machine_alone_answers_to_no_other_address_or_name(listen, address: str) -> None:
    allowed = listen(address)
    others = ["192.168.1.5", "[fe80::1]", "0.0.0.0", "lab7", "lab7.example.org", "lab7.local"]
    assert [host for host in others if allowed.allow(host)] == []
    assert not is_open()


@pytest.mark.parametrize("address", ["0.0.0.0", "::", None, "", "192.168.1.5", "Proxy.example"])
def test_an_open_server_answers_to_addresses_and_to_its_own_names(listen, address: str | None) -> None:
    allowed = listen(address)
    own = ["192.168.1.5:8501", "10.1.2.3", "[fe80::1]:8501", "LAB7", "lab7.example.org.", "lab7.local:8501"]
    assert [host for host in own if not allowed.allow(host)] == []
    assert allowed.allow("proxy.example") == (address == "Proxy.example")
    assert not allowed.allow("lab7.evil.example")
    assert is_open()


def test_names_are_listed_in_the_variable_and_in_streamlits_option(listen) -> None:
    allowed = listen(
        "localhost", variable="Vit.example.org, 10.0.0.7 *.Lab.example fd00::7", option=("other.example:81",)
    )
    taken = ["vit.example.org:443", "10.0.0.7", "a.lab.example", "a.b.lab.example", "[fd00::7]:1", "OTHER.example"]
    assert [host for host in taken if not allowed.allow(host)] == []
    refused = ["example.org", "a.vit.example.org", "lab.example", "evillab.example", "10.0.0.8", "[fd00::8]"]
    assert [host for host in refused if allowed.allow(host)] == []


def test_a_star_answers_to_every_name_that_is_one(listen) -> None:
    allowed = listen("localhost", variable="*")
    assert allowed.allow("evil.example")
    assert allowed.allow("10.1.2.3")
    assert [host for host in MALFORMED if allowed.allow(host)] == []


@pytest.mark.parametrize("listed", ["https://vit.example.org", "vit.example.org/", "a.*.example", "*example", "b:x"])
def test_what_is_no_name_is_refused_at_the_start(listen, listed: str) -> None:
    with pytest.raises(ValueError, match=r"VIT_DASHBOARD_ALLOWED_HOSTS .* must list host names such as .*; got "):
        listen("localhost", variable=listed)


def test_an_address_is_the_same_in_each_notation(listen) -> None:
    assert hostname("[2001:DB8::1]:8501") == "2001:db8::1"
    assert listen("2001:db8:0:0::1").allow("[2001:DB8::1]")
    assert listen("localhost").allow("[::ffff:127.0.0.1]")
    assert listed_hosts() == ()

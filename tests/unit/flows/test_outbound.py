"""Which addresses secrets may be fetched from (SECURITY.md, test 32)."""

import datetime as dt
import gzip
import ipaddress
import socket
import ssl
import threading
import time
from pathlib import Path

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidInput
from app.flows.outbound import Outbound
from app.flows.target import Target
from app.flows.transport import Limits, OutboundRefusal
from tests.support import odd_server
from tests.support.odd_server import serving
from tests.support.process import free_port

OK = odd_server.answer(200, b"{}")


class Names:
    """A resolver: each name's answers in turn, the last one for ever; counts how often it was asked."""

    def __init__(self, **answers: list[list[str]]) -> None:
        self.answers = {name.replace("_", "."): list(found) for name, found in answers.items()}
        self.asked = 0

    def __call__(self, host: str, port: int, **_kinds: object) -> list[tuple]:
        self.asked += 1
        if host not in self.answers:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        turns = self.answers[host]
        found = turns.pop(0) if len(turns) > 1 else turns[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]


def outbound(*allow: str, loopback: bool = False, names: Names | None = None, **limits: float) -> Outbound:
    return Outbound(
        allow, allow_loopback=loopback, resolve=names or Names(), limits=Limits(**limits) if limits else None
    )


# The URL


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("https://vault.example.com", "https://vault.example.com"),
        ("HTTPS://Vault.Example.COM:443/", "https://vault.example.com"),
        ("https://vault.example.com:8200/vault/", "https://vault.example.com:8200/vault"),
        ("http://127.0.0.1:8200", "http://127.0.0.1:8200"),
        ("http://[0:0:0:0:0:0:0:1]:8200", "http://[::1]:8200"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        ("https://vault_1.internal", "https://vault_1.internal"),
    ],
)
def test_a_url_has_one_form(url, normal):
    assert Target.parse(url).url == normal
    assert Target.parse(normal) == Target.parse(url)


@pytest.mark.parametrize(
    "url",
    [
        *("", "vault.example.com", "//vault.example.com", "ftp://vault.example.com", "file:///etc/passwd"),
        *("https://", "https:///v1", "https://:8200", "https:vault.example.com", "unix:///run/vault.sock"),
        *("https://bob:hunter2@vault.example.com", "https://vault.example.com@127.0.0.1", "https://@h"),
        *("https://h?x=1", "https://h/?", "https://h#f", "https://h/#", "https://h/a?b"),
        *(
            "https://h:0",
            "https://h:65536",
            "https://h:",
            "https://h:+80",
            "https://h:80:90",
            "https://h:\N{FULLWIDTH DIGIT EIGHT}",
        ),
        *("https://h\n", " https://h", "https://h\t", "https://h\\@evil", "https://h/a b", "https://h\x00"),
        *("https://h/../x", "https://h/a/..", "https://h/./", "https://h//x", "https://h/%2e%2e/"),
        *(
            "https://bücher.example",
            "http\N{LATIN SMALL LETTER LONG S}://h",
            "https://h\N{FULLWIDTH FULL STOP}example",
            "https://\N{KELVIN SIGN}",
        ),
        # one machine's address in another dress: resolvers take them all
        *("http://2130706433/", "http://0x7f.1/", "http://0x7f000001", "http://017700000001", "http://127.1"),
        *(
            "http://0177.0.0.1",
            "http://127.0.0.01",
            "http://127.0.0.1.",
            "http://localhost.",
            "https://h.com.",
        ),
        *("http://127.0.0.0x1", "https://1.2.3.4.5", "https://300.1.1.1", "https://h.0x7f", "https://h.123"),
        *("http://[::1", "http://::1", "http://[::1]x", "http://[fe80::1%25eth0]", "http://[fe80::1%eth0]"),
        *("http://[127.0.0.1]", "http://[]", "http://127.0.0.%31", "https://a..b", "https://-a.example"),
        f"https://{'a' * 64}.example",
        f"https://{'a.' * 127}example",
    ],
)
def test_what_is_not_plainly_the_url_of_a_server_is_refused_without_being_repeated(url):
    with pytest.raises(InvalidInput) as refusal:
        outbound("0.0.0.0/0", loopback=True).session(url)
    assert "hunter2" not in str(refusal.value)


def test_a_password_in_a_url_is_named_as_such():
    with pytest.raises(InvalidInput, match="must not contain a user name or password"):
        Target.parse("https://bob:hunter2@vault.example.com")


# The address


@pytest.mark.parametrize(
    ("host", "kind"),
    [
        *[(host, "loopback") for host in ("127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1")],
        *[(host, "private") for host in ("10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1")],
        *[(host, "private") for host in ("fc00::1", "fd00:ec2::254", "::ffff:10.0.0.1", "::ffff:a00:1")],
        *[(host, "shared") for host in ("100.64.0.1", "100.100.100.200", "::ffff:100.127.255.255")],
        *[(host, "link-local") for host in ("169.254.169.254", "fe80::1", "::ffff:169.254.169.254")],
        ("168.63.129.16", "link-local"),
        *[(host, "multicast") for host in ("224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1")],
        *[(host, "unspecified") for host in ("0.0.0.0", "0.1.2.3", "::", "::ffff:0.0.0.0")],  # noqa: S104 - to be refused
        *[(host, "reserved") for host in ("192.0.2.1", "198.18.0.1", "203.0.113.9", "240.0.0.1")],
        *[(host, "reserved") for host in ("255.255.255.255", "192.0.0.192", "192.88.99.1")],
        *[(host, "reserved") for host in ("::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe")],
        *[
            (host, "reserved")
            for host in ("64:ff9b:1::a00:1", "2002:7f00:1::1", "2001:0:1::1", "2001:db8::1")
        ],
        *[(host, "reserved") for host in ("fec0::1", "3fff::1", "5f00::1", "100::1", "4000::1")],
    ],
)
def test_an_address_that_is_not_public_is_refused_by_number_and_by_name(host, kind):
    literal = f"[{host}]" if ":" in host else host
    for url in (f"https://{literal}", "https://vault.test"):
        with pytest.raises(OutboundRefusal, match=f"has a {kind} address.*COUNTERSIGN_OUTBOUND_ALLOW"):
            outbound(names=Names(vault_test=[[host]])).session(url)


@pytest.mark.parametrize(
    "host", ["8.8.8.8", "172.32.0.1", "100.128.0.1", "[2606:4700::1111]", "[64:ff9b::808:808]"]
)
def test_a_public_address_is_allowed_over_https_only(host):
    outbound().session(f"https://{host}")
    with pytest.raises(OutboundRefusal, match="must be https"):
        outbound("0.0.0.0/0", "::/0", loopback=True).session(f"http://{host}")


@given(st.ip_addresses())
def test_nothing_is_allowed_that_python_does_not_call_global(address):
    url = f"https://[{address}]" if address.version == 6 else f"https://{address}"
    try:
        outbound().session(url)
    except OutboundRefusal:
        return
    assert address.is_global
    assert not address.is_multicast


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_judged_alike_in_its_ipv6_dress(address):
    def allowed(url):
        try:
            return bool(outbound().session(url))
        except OutboundRefusal:
            return False

    assert (
        allowed(f"https://{address}")
        == allowed(f"https://[::ffff:{address}]")
        == allowed(f"https://[64:ff9b::{address}]")
    )


@pytest.mark.parametrize(
    ("url", "loopback_allowed", "loopback_refused"),
    [
        ("http://127.0.0.1:8200", True, False),
        ("http://[::1]:8200", True, False),
        ("http://localhost:8200", True, False),
        ("https://localhost:8200", True, False),
        ("http://mixed.test", False, False),
        ("https://mixed.test", True, False),
        ("http://[64:ff9b::7f00:1]", False, False),
        ("http://0.0.0.0", False, False),
    ],
)
def test_loopback_is_for_an_issuer_that_is_there_itself(url, loopback_allowed, loopback_refused):
    names = Names(localhost=[["::1", "127.0.0.1"]], mixed_test=[["127.0.0.1", "8.8.8.8"]])
    for loopback, expected in ((True, loopback_allowed), (False, loopback_refused)):
        try:
            outbound(loopback=loopback, names=names).session(url)
        except OutboundRefusal:
            assert not expected
        else:
            assert expected


@pytest.mark.parametrize(
    ("allow", "address", "allowed"),
    [
        ("vault.test", "10.1.2.3", True),
        ("VAULT.test", "fd00::1", True),
        ("vault.test", "100.64.0.1", True),
        ("vault.test", "127.0.0.1", True),
        ("vault.test", "169.254.169.254", False),
        ("vault.test", "0.0.0.0", False),  # noqa: S104 - to be refused
        ("vault.test", "224.0.0.1", False),
        ("test", "10.1.2.3", False),
        ("other.test", "10.1.2.3", False),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "::ffff:10.1.2.3", True),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3", "10.1.2.4", False),
        ("10.9.9.9/8", "10.1.2.3", True),
        ("169.254.0.0/16", "169.254.169.254", True),
        ("fd00::/8", "fd00::1", True),
        ("fd00::/8", "10.1.2.3", False),
        ("0.0.0.0/0", "fd00::1", False),
    ],
)
def test_what_is_listed_is_allowed_though_private(allow, address, allowed):
    names = Names(vault_test=[[address]])
    if allowed:
        outbound(allow, names=names).session("https://vault.test")
    else:
        with pytest.raises(OutboundRefusal):
            outbound(allow, names=names).session("https://vault.test")


def test_one_address_that_is_not_allowed_refuses_the_name():
    with pytest.raises(OutboundRefusal, match="private"):
        outbound(names=Names(vault_test=[["8.8.8.8", "10.0.0.1"]])).session("https://vault.test")


@pytest.mark.parametrize(
    "entry", ["", "10.0.0.0/33", "*.example.com", "https://h", "h/8", "127.1", "a b", "h."]
)
def test_a_list_entry_that_is_neither_name_nor_network_is_refused(entry):
    with pytest.raises(InvalidInput, match="neither a host name nor a network"):
        outbound(entry)


# The name


def test_a_name_without_address():
    with pytest.raises(OutboundRefusal, match="cannot be resolved"):
        outbound().session("https://nowhere.test")
    with pytest.raises(OutboundRefusal, match="has no address"):
        outbound(names=Names(vault_test=[[]])).session("https://vault.test")


def test_a_name_server_that_does_not_answer():
    over = threading.Event()
    slow = Outbound(
        [], allow_loopback=True, resolve=lambda *_, **__: over.wait() and [], limits=Limits(connect=0.05)
    )
    with pytest.raises(OutboundRefusal, match="not resolved in time"):
        slow.session("https://vault.test")
    over.set()


def test_a_name_is_resolved_once_and_rebinding_it_changes_nothing():
    names = Names(vault_test=[["127.0.0.1"], ["127.0.0.2"]])
    with serving(OK) as server:
        session = outbound(loopback=True, names=names).session(f"http://vault.test:{server.port}")
        for _ in range(3):
            session.get(f"http://vault.test:{server.port}/v1/x")
    assert names.asked == 1
    assert [asked.headers["Host"] for asked in server.asked] == [f"vault.test:{server.port}"] * 3


def test_a_name_that_turns_private_is_refused_the_next_time():
    names = Names(vault_test=[["8.8.8.8"], ["10.0.0.1"]])
    subject = outbound(names=names)
    subject.session("https://vault.test")
    with pytest.raises(OutboundRefusal, match="private"):
        subject.session("https://vault.test")


def test_the_next_address_is_tried_when_one_does_not_answer():
    with serving(OK) as server:
        names = Names(localhost=[["127.0.0.2", "127.0.0.1"]])
        url = f"http://localhost:{server.port}"
        assert outbound(loopback=True, names=names).session(url).get(url).status_code == 200


# The session


@pytest.mark.parametrize(
    "other", ["http://127.0.0.1:1/", "https://127.0.0.1/", "http://localhost/", "http://127.0.0.1.evil.test/"]
)
def test_a_session_knows_one_origin(other):
    session = outbound(loopback=True).session("http://127.0.0.1:8200")
    with pytest.raises(requests.exceptions.InvalidSchema):
        session.get(other)


def test_nothing_is_taken_from_the_environment(monkeypatch, tmp_path):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login bob password hunter2\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    with serving(OK) as proxy, serving(OK) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, proxy.address)
        monkeypatch.delenv("NO_PROXY", raising=False)
        outbound(loopback=True).session(server.address).get(server.address)
    assert not proxy.asked
    assert "Authorization" not in server.asked[0].headers


def refusal_by(behave, **limits) -> str:
    with serving(behave) as server:
        session = outbound(loopback=True, **limits).session(server.address)
        with pytest.raises(OutboundRefusal) as refusal:
            session.get(server.address)
    assert refusal.value.__context__ is None
    return str(refusal.value)


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "behave",
    [
        odd_server.silence,
        odd_server.drip(b"", b"H"),
        odd_server.drip(HEAD, b"X"),
        odd_server.drip(HEAD, b"X: y\r\n"),
        odd_server.drip(HEAD + b"\r\n", b"{"),
        odd_server.drip(HEAD + b"Content-Length: 99999\r\n\r\n", b"{"),
        odd_server.drip(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n{\r\n"),
        odd_server.drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["silent", "status", "header", "headers", "body", "counted-body", "chunks", "continue"],
)
def test_a_slow_answer_is_cut_off_however_it_trickles(behave):
    before = time.monotonic()
    assert refusal_by(behave, total=0.2) == "no whole answer within 0.2 s"
    assert time.monotonic() - before < 60  # it would trickle for ever


def test_a_refused_connection():
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(OutboundRefusal, match="cannot connect: the connection was refused"):
        outbound(loopback=True).session(url).get(url)


def test_an_address_that_swallows_packets():
    """A listener whose queue is full takes no connection and refuses none."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(OutboundRefusal, match="cannot connect: no answer in time"):
            outbound(loopback=True, connect=0.1).session(url).get(url)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 300])
def test_a_redirect_is_not_followed(status):
    with serving(OK) as elsewhere:
        redirect = odd_server.answer(status, b"", {"Location": f"{elsewhere.address}/v1/x"})
        assert f"it redirects ({status})" in refusal_by(redirect)
    assert not elsewhere.asked


def test_an_answer_has_a_size():
    assert refusal_by(odd_server.answer(200, b"x" * 101), body=100) == "its answer is larger than 100 bytes"
    assert (
        refusal_by(odd_server.raw(HEAD + b"\r\n" + b"x" * (2 << 20)))
        == "its answer is larger than 1048576 bytes"
    )
    with serving(odd_server.answer(200, b"x" * 100)) as server:
        assert (
            len(outbound(loopback=True, body=100).session(server.address).get(server.address).content) == 100
        )


def test_a_gzip_bomb_is_not_unpacked():
    bomb = odd_server.answer(200, gzip.compress(b"0" * (64 << 20)), {"Content-Encoding": "gzip"})
    assert "compressed" in refusal_by(bomb)


@pytest.mark.parametrize(
    "behave",
    [odd_server.hang_up, odd_server.raw(b"SSH-2.0-OpenSSH\r\n"), odd_server.raw(HEAD + b"X" * 70_000)],
    ids=["hang-up", "ssh", "long-header"],
)
def test_what_is_not_http_is_said_without_quoting_it(behave):
    assert refusal_by(behave) == "its answer is not HTTP, or broke off"


# TLS


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A private authority and a certificate of vault.test: what a server needs, and what a client trusts."""
    home: Path = tmp_path_factory.mktemp("tls")
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test Authority")])
    now = dt.datetime.now(dt.UTC)

    def certificate(subject: x509.Name, public, *, ca: bool) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(ca_name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )

    root = certificate(ca_name, ca_key.public_key(), ca=True).sign(ca_key, hashes.SHA256())
    names = x509.SubjectAlternativeName(
        [x509.DNSName("vault.test"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    )
    leaf = certificate(x509.Name([]), key.public_key(), ca=False).add_extension(names, critical=True)
    pem = serialization.Encoding.PEM
    (home / "ca.pem").write_bytes(root.public_bytes(pem))
    (home / "server.pem").write_bytes(
        leaf.sign(ca_key, hashes.SHA256()).public_bytes(pem)
        + key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return home


def https(authority, behave=OK, seen=None):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(authority / "server.pem")
    if seen is not None:
        context.sni_callback = lambda _socket, name, _context: seen.append(name)
    return serving(behave, tls=context)


def get(authority, url, *, trusted=True, **limits):
    names = Names(vault_test=[["127.0.0.1"]], other_test=[["127.0.0.1"]])
    ca_file = str(authority / "ca.pem") if trusted else None
    subject = Outbound([], allow_loopback=True, resolve=names, limits=Limits(**limits), ca_file=ca_file)
    return subject.session(url).get(url)


def test_a_pinned_connection_still_asks_for_and_checks_the_name(authority):
    seen = []
    with https(authority, seen=seen) as server:
        assert get(authority, f"https://vault.test:{server.port}").status_code == 200
        assert get(authority, f"https://127.0.0.1:{server.port}").status_code == 200
    assert seen == ["vault.test", None]
    assert server.asked[0].headers["Host"] == f"vault.test:{server.port}"


def test_a_certificate_is_always_checked(authority, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority / "ca.pem"))
    with https(authority) as server:
        with pytest.raises(OutboundRefusal, match="certificate is not trusted: Hostname mismatch"):
            get(authority, f"https://other.test:{server.port}")
        with pytest.raises(OutboundRefusal, match="certificate is not trusted: unable to get local issuer"):
            get(authority, f"https://vault.test:{server.port}", trusted=False)
        subject = Outbound([], allow_loopback=True)
        with pytest.raises(OutboundRefusal, match="certificate is not trusted"):
            subject.session(server.address).get(server.address, verify=False)
    assert not server.asked


def test_a_server_without_tls_and_one_that_drips_through_it(authority):
    with serving(OK) as server, pytest.raises(OutboundRefusal, match="TLS failed"):
        get(authority, f"https://127.0.0.1:{server.port}")
    with (
        https(authority, odd_server.drip(HEAD + b"\r\n", b"{")) as server,
        pytest.raises(OutboundRefusal, match="no whole answer within"),
    ):
        get(authority, server.address, total=0.3)

"""Requests go only to addresses that are allowed, to the one that was checked, and end in time."""

import socket
import ssl
import subprocess
import threading
import time
from ipaddress import ip_network

import pytest
from django.core.exceptions import ValidationError

from tests.support.receiver import OK, receiving, status
from webhooks import sender as sender_module
from webhooks.addresses import is_allowed
from webhooks.models import Outcome
from webhooks.sender import Answer, Sender
from webhooks.target_url import parse_target, validate_target_url

LOOPBACK = [ip_network("127.0.0.0/8")]


@pytest.fixture(autouse=True)
def loopback(settings):
    settings.WEBHOOK_HTTP = True
    settings.WEBHOOK_ALLOWED_NETWORKS = LOOPBACK


@pytest.fixture
def sender():
    sender = Sender()
    yield sender
    sender.close()


@pytest.fixture
def addresses(monkeypatch):
    """Replace the look-up of names: each look-up of a name takes the next of its answers, the last one forever."""
    answers: dict = {}
    look_up = socket.getaddrinfo

    def getaddrinfo(host, port, *arguments, **options):
        if host not in answers:
            return look_up(host, port, *arguments, **options)
        found = answers[host].pop(0) if len(answers[host]) > 1 else answers[host][0]
        return [
            (socket.AF_INET6 if ":" in each else socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port))
            for each in found
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return answers


def post(sender, url, body=b"{}"):
    return sender.post(parse_target(url), {"webhook-id": "m1"}, body)


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "10.1.2.3", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.9.9.9", "168.63.129.16"),  # noqa: S104
        *("169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1"),
        *("198.18.0.1", "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1", "100::1"),
        *("2001::1", "2001:db8::1", "2002:7f00:1::", "3fff::1", "fc00::1", "fd00:ec2::254", "fe80::1%eth0", "ff02::1"),
    ],
)
def test_special_addresses_are_refused(settings, address):
    settings.WEBHOOK_ALLOWED_NETWORKS = []

    assert is_allowed(address) is False


@pytest.mark.parametrize("address", ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_public_addresses_are_allowed(settings, address):
    settings.WEBHOOK_ALLOWED_NETWORKS = []

    assert is_allowed(address) is True


def test_an_allowed_network_makes_its_addresses_allowed_and_no_others(settings):
    settings.WEBHOOK_ALLOWED_NETWORKS = [ip_network("10.20.0.0/16"), ip_network("fd00:1::/32")]

    assert [is_allowed(each) for each in ("10.20.1.1", "::ffff:10.20.1.1", "10.21.0.1", "fd00:1::5", "fd00:2::5")] == [
        *(True, True, False, True, False)
    ]


@pytest.mark.parametrize(
    "url",
    [
        *("http://169.254.169.254/", "https://localhost/", "https://api.localhost/", "https://127.0.0.1/"),
        *("https://127.1/", "https://2130706433/", "https://0x7f000001/", "https://0177.0.0.1/", "https://[::1]/"),
        *("https://[::ffff:10.0.0.1]/", "https://0/"),
    ],
)
def test_a_url_with_an_address_that_is_not_allowed_is_refused_at_once(settings, url):
    settings.WEBHOOK_ALLOWED_NETWORKS = []

    with pytest.raises(ValidationError) as refused:
        validate_target_url(url)

    assert refused.value.code == "address_refused"


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("ftp://school.example/", "invalid_scheme"),
        ("file:///etc/passwd", "invalid_scheme"),
        ("javascript:alert(1)", "invalid_scheme"),
        ("school.example/hook", "invalid_scheme"),
        ("https://user:password@school.example/", "has_credentials"),
        ("https://user@school.example/", "has_credentials"),
        ("https://school.example/#part", "has_fragment"),
        ("https://school.example/#", "has_fragment"),
        ("https:///path", "invalid_url"),
        ("https://", "invalid_url"),
        ("https://school.example:0/", "invalid_url"),
        ("https://school.example:65536/", "invalid_url"),
        ("https://school.example:port/", "invalid_url"),
        ("https://schööl.example/", "invalid_url"),
        ("https://school.example/a b", "invalid_url"),
        ("https://school.example/\r\nHost: other", "invalid_url"),
        ("https://school.example\\@other.example/", "has_credentials"),
        ("https://school.example\\other.example/", "invalid_url"),
        ("https://[::1/", "invalid_url"),
        ("https://[not-an-address]/", "invalid_url"),
        ("https://school.example/" + "a" * 5_000, "invalid_url"),
    ],
)
def test_malformed_urls_are_refused(url, code):
    with pytest.raises(ValidationError) as refused:
        validate_target_url(url)

    assert refused.value.code == code


def test_http_needs_the_setting(settings):
    settings.WEBHOOK_HTTP = False

    with pytest.raises(ValidationError) as refused:
        validate_target_url("http://school.example/")

    assert refused.value.code == "invalid_scheme"


@pytest.mark.parametrize("found", [["93.184.216.34", "10.0.0.1"], ["::1"], ["169.254.169.254"], []])
def test_a_name_with_any_address_that_is_not_allowed_is_refused(sender, addresses, settings, found, monkeypatch):
    settings.WEBHOOK_ALLOWED_NETWORKS = []
    addresses["hook.example"] = [found]
    monkeypatch.setattr(socket, "create_connection", pytest.fail)
    monkeypatch.setattr(socket, "socket", pytest.fail)

    assert post(sender, "https://hook.example/") == Answer(Outcome.ADDRESS)


def test_the_connection_goes_to_the_address_that_was_checked(sender, addresses):
    """A name server that gives another address at the second look-up cannot lead the request elsewhere."""
    with receiving() as receiver, receiving() as victim:
        addresses["hook.example"] = [["127.0.0.1"], ["10.0.0.1"]]

        assert post(sender, f"http://hook.example:{receiver.port}/a?b=c") == Answer(Outcome.DELIVERED, 200)
        assert post(sender, f"http://hook.example:{receiver.port}/a?b=c") == Answer(Outcome.ADDRESS)

        [request] = receiver.requests
        assert (request.path, request.headers["host"]) == ("/a?b=c", f"hook.example:{receiver.port}")
        assert victim.requests == []


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(sender, code):
    with receiving() as victim:
        with receiving(lambda *_: status(code, f"Location: {victim.url}")) as receiver:
            assert post(sender, receiver.url) == Answer(Outcome.STATUS, code)
        assert victim.requests == []


def test_proxies_of_the_environment_are_not_used(sender, monkeypatch):
    with receiving() as receiver, receiving() as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")

        assert post(sender, receiver.url) == Answer(Outcome.DELIVERED, 200)
        assert (len(receiver.requests), len(proxy.requests)) == (1, 0)


def test_requests_share_a_connection(sender):
    with receiving() as receiver:
        assert [post(sender, receiver.url).outcome for _ in range(5)] == [Outcome.DELIVERED] * 5
        assert receiver.connections == 1


def test_a_connection_that_the_receiver_has_closed_is_replaced(sender):
    answers = iter([OK, None, OK])
    with receiving(lambda *_: next(answers)) as receiver:
        assert [post(sender, receiver.url).outcome for _ in range(2)] == [Outcome.DELIVERED] * 2
        assert (receiver.connections, len(receiver.requests)) == (2, 3)


def test_a_new_connection_that_breaks_is_a_failure(sender):
    with receiving(lambda *_: None) as receiver:
        assert post(sender, receiver.url) == Answer(Outcome.CONNECTION)
        assert len(receiver.requests) == 1


def test_only_the_beginning_of_an_answer_is_read(sender):
    with receiving(lambda *_: status(200, body=b"x" * 10_000_000)) as receiver:
        assert [post(sender, receiver.url).outcome for _ in range(2)] == [Outcome.DELIVERED] * 2
        assert receiver.connections == 2


def test_a_short_answer_keeps_the_connection(sender):
    with receiving(lambda *_: status(200, body=b"x" * 4_000)) as receiver:
        assert [post(sender, receiver.url).outcome for _ in range(2)] == [Outcome.DELIVERED] * 2
        assert receiver.connections == 1


def test_no_answer_in_time_is_a_timeout(sender, monkeypatch):
    monkeypatch.setattr(sender_module, "ANSWER_SECONDS", 0.3)
    with receiving(lambda *_: time.sleep(2)) as receiver:
        assert post(sender, receiver.url) == Answer(Outcome.TIMEOUT)


def test_an_answer_that_comes_byte_by_byte_is_ended(sender, monkeypatch):
    monkeypatch.setattr(sender_module, "ANSWER_SECONDS", 0.5)

    def drip(_request, connection):
        for byte in b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100:
            connection.sendall(bytes([byte]))
            time.sleep(0.1)

    stopped = threading.Event()

    def watch():
        while not stopped.wait(0.05):
            sender.abort_if_late()

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.monotonic()
    with receiving(drip) as receiver:
        assert post(sender, receiver.url) == Answer(Outcome.TIMEOUT)
    stopped.set()
    watcher.join()
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("answer", [b"not http\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"X" * 100_000, b"\0" * 50])
def test_an_answer_that_is_no_http_is_a_failure(sender, answer):
    def answer_and_close(_request, connection):
        connection.sendall(answer)

    with receiving(answer_and_close) as receiver:
        assert post(sender, receiver.url) == Answer(Outcome.CONNECTION)


def test_nobody_listening_is_a_failure(sender):
    with receiving() as receiver:
        url = receiver.url
    assert post(sender, url) == Answer(Outcome.CONNECTION)


@pytest.mark.parametrize("host", ["does-not-exist.invalid", "a" * 64 + ".example", "..", "a..b"])
def test_a_name_that_is_not_found_is_a_failure(sender, host):
    assert post(sender, f"https://{host}/") == Answer(Outcome.NAME)


def test_retry_after_is_returned(sender):
    with receiving(lambda *_: status(503, "Retry-After: 120")) as receiver:
        assert post(sender, receiver.url) == Answer(Outcome.STATUS, 503, "120")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Return the files of a certificate for hook.example, which is its own authority, and of its key."""
    folder = tmp_path_factory.mktemp("certificate")
    names = ("-subj", "/CN=hook.example", "-addext", "subjectAltName=DNS:hook.example")
    files = ("-keyout", folder / "key.pem", "-out", folder / "certificate.pem")
    command = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names, *files)
    subprocess.run(command, check=True, capture_output=True)
    return folder / "certificate.pem", folder / "key.pem"


@pytest.fixture
def receiving_tls(certificate, monkeypatch):
    """Return a function that starts a receiver with TLS, which notes the names that clients ask for."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    sender_module.tls_context.cache_clear()
    asked = []
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    yield lambda: receiving(wrap=lambda connection: context.wrap_socket(connection, server_side=True)), asked
    sender_module.tls_context.cache_clear()


def test_tls_checks_the_name_of_the_url_and_not_the_address(sender, addresses, receiving_tls):
    start, asked = receiving_tls
    addresses["hook.example"] = addresses["other.example"] = [["127.0.0.1"]]
    with start() as receiver:
        assert post(sender, f"https://hook.example:{receiver.port}/") == Answer(Outcome.DELIVERED, 200)
        assert post(sender, f"https://other.example:{receiver.port}/") == Answer(Outcome.TLS)
        assert post(sender, f"https://127.0.0.1:{receiver.port}/") == Answer(Outcome.TLS)
        assert asked == ["hook.example", "other.example", None]
        assert [request.headers["host"] for request in receiver.requests] == [f"hook.example:{receiver.port}"]


def test_tls_refuses_an_unknown_authority(sender, addresses, receiving_tls, monkeypatch):
    start, _asked = receiving_tls
    monkeypatch.delenv("SSL_CERT_FILE")
    addresses["hook.example"] = [["127.0.0.1"]]
    with start() as receiver:
        assert post(sender, f"https://hook.example:{receiver.port}/") == Answer(Outcome.TLS)
        assert receiver.requests == []


def test_a_receiver_without_tls_is_refused(sender):
    def answer_at_once(connection):
        connection.sendall(status(400))
        return connection

    with receiving(wrap=answer_at_once) as receiver:
        assert post(sender, f"https://127.0.0.1:{receiver.port}/") == Answer(Outcome.TLS)

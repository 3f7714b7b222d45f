"""Hostile headers: types, lengths, hosts, cookies, conditions, credentials."""

from itertools import product

from tests.hostile.cases import Case


def header_cases() -> list[Case]:
    body = b'{"student_number": "S", "given_name": "A", "family_name": "B"}'
    types = [
        Case(f"the type {kind[:30]!r}", "POST", "/api/v1/students", 415, "unsupported_media_type", body, kind)
        for kind in [
            "",
            "text/plain",
            "application/xml",
            "application/x-www-form-urlencoded",
            "application/merge-patch+json",
            "x",
            "/",
            "application",
            "application/json/x",
            "\x7f",
            ";",
            "application/json; charset=utf-16",
            "application/json; charset=latin-1",
            "application/json; charset=utf-7",
            "application/jsonx",
        ]
    ]
    charsets = [
        Case("a query in another charset", "GET", "/api/v1/students?search=a", 415, "unsupported_media_type", b"", kind)
        for kind in ["text/plain; charset=utf-7", "text/plain; charset=idna", "text/plain; charset=cp500"]
    ]
    accepts = [
        Case(f"Accept {media_type!r}", "GET", "/api/v1/students", 406, "not_acceptable", headers={"Accept": media_type})
        for media_type in ["text/html", "application/xml", "image/*", "nonsense", ";", "application/json2"]
    ]
    keys = [
        Case(
            f"the key {key[:20]!r}",
            "POST",
            "/api/v1/students",
            400,
            "invalid_idempotency_key",
            body,
            headers={"Idempotency-Key": key},
        )
        for key in ["", " ", '""', "a b", "a" * 256, "ä", "\x7f", "\t", "a\x80"]
    ]
    tags = [
        Case(
            f"the tag {tag[:20]!r}",
            "DELETE",
            "/api/v1/courses/{course}",
            412,
            "precondition_failed",
            headers={"If-Match": tag},
        )
        for tag in ["", "x", '"', 'W/"x"', '"x", "y"', ",", "a" * 8_000, '"\x80"', "**"]
    ]
    hosts = [
        Case(f"the host {host[:20]!r}", "GET", "/api/v1/students", 400, "bad_request", headers={"Host": host})
        for host in [
            "evil.example",
            "a b",
            "[",
            "localhost:x",
            "",
            "a" * 300,
            "@localhost",
            "\x80",
        ]
    ]
    lengths = [
        Case(
            f"the length {length!r}",
            "POST",
            "/api/v1/students",
            400,
            "bad_request",
            body,
            headers={"Content-Length": length},
        )
        for length in ["-1", "+5", "5, 5", "0x5", "x", "1.0", " 5", "\u0665", str(10**30)]
    ]
    lengths.append(
        Case(
            "no length",
            "POST",
            "/api/v1/students",
            411,
            "length_required",
            body,
            headers={"Content-Length": "", "Transfer-Encoding": "chunked"},
        )
    )
    return [*types, *charsets, *accepts, *keys, *tags, *hosts, *lengths]


def anonymous_cases() -> list[Case]:
    tokens = [
        Case(
            f"the token {token[:20]!r}",
            "GET",
            "/api/v1/students",
            401,
            "authentication_failed",
            headers={"Authorization": f"Bearer {token}"},
        )
        for token in ["x", "a" * 8_000, "ä", "\x80", "a b c", ",", "=", "'", "a\tb", "null", "eyJhbGciOiJub25lIn0.e30."]
    ]
    none = [
        Case(
            f"the credentials {header[:20]!r}",
            "GET",
            "/api/v1/students",
            401,
            "not_authenticated",
            headers={"Authorization": header},
        )
        for header in [
            "",
            "Bearer",
            "bearer",
            "Basic !!!",
            "Basic AAA6AAA=",
            "Basic /////w==",
            "Digest x",
            "\x80",
            "x" * 8_000,
        ]
    ]
    sessions = [
        Case(
            f"the session {cookie[:30]!r}",
            "GET",
            "/api/v1/students",
            401,
            "not_authenticated",
            headers={"Cookie": cookie},
        )
        for cookie in [
            "sessionid=" + "a" * 8_000,
            "sessionid=",
            "sessionid=\x80",
            "sessionid='\"",
            "=",
            ";;;",
            "sessionid=%00",
            "sessionid=aaaaaaaa; sessionid=bbbbbbbb",
        ]
    ]
    cookies = [
        Case(f"the cookie {cookie!r}", "GET", path, 400, "bad_request", headers={"Cookie": cookie})
        for path, cookie in product(["/api/v1/students"], ['sessionid="a\\000b"', 'csrftoken="\\000"', 'x="\\000"'])
    ]
    return [*tokens, *none, *sessions, *cookies]

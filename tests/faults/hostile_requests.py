"""Hostile requests: bodies and heads that are wrong, huge, cut off or meant for another reader.

Each is made for an operation, with a right path and where it needs one a right body, so that what is hostile
gets as far as it can. Does not know what comes back.
"""

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tests.support.requests.hostile_values import BODIES, NUMBERS, TEXTS, VALUES

CRLF = b"\r\n"


@dataclass(frozen=True)
class Target:
    """An operation with a path that leads somewhere, and a body that it takes."""

    method: str
    path: str
    body: bytes = b""
    media: bytes = b"application/json"

    @property
    def fields(self) -> list[str]:
        """Return the names of the body's fields."""
        result: Any = (
            json.loads(self.body) if self.body.startswith(b"{") and self.body.count(b"\n") < 1 else {}
        )
        return list(result) or ["a"]


@dataclass(frozen=True)
class Sending:
    """Bytes to send, and what becomes of the connection then.

    end   "read" waits for the answer, "half" ends the sending side first, "reset" throws the connection away,
          "unread" hangs up after a while without having read anything
    slow  whether the sender takes its time, so that the answer may too
    """

    data: bytes
    end: str = "read"
    slow: bool = False
    pieces: list[bytes] = field(default_factory=list)


Make = Callable[[Target], Sending]


def head(target: Target, *headers: bytes, path: str = "", host: bytes = b"Host: localhost") -> bytes:
    """Return a request's head with these headers."""
    first = f"{target.method} {path or target.path} HTTP/1.1".encode()
    return CRLF.join([first, *([host] if host else []), *headers]) + 2 * CRLF


def whole(target: Target, body: bytes, *headers: bytes, media: bytes | None = None) -> bytes:
    """Return a request with a body and its right length."""
    types = [b"Content-Type: " + (target.media if media is None else media)]
    return head(target, *types, b"Content-Length: %d" % len(body), *headers) + body


def _sent(body: bytes) -> Make:
    return lambda target: Sending(whole(target, body))


def _in_every_field(token: bytes) -> Make:
    """Return what sends the right fields, each with this as its value."""

    def make(target: Target) -> Sending:
        pairs = (json.dumps(name).encode() + b": " + token for name in target.fields)
        return Sending(whole(target, b"{" + b", ".join(pairs) + b"}"))

    return make


def _with(*headers: bytes) -> Make:
    return lambda target: Sending(whole(target, target.body, *headers))


def _typed(media: bytes) -> Make:
    return lambda target: Sending(whole(target, target.body, media=media))


def _framed(*headers: bytes, body: bytes | None = None, end: str = "half") -> Make:
    """Return what sends the right body, or another, under headers that say how long it is."""

    def make(target: Target) -> Sending:
        types = b"Content-Type: " + target.media
        return Sending(head(target, types, *headers) + (target.body if body is None else body), end)

    return make


def _asked(query: bytes) -> Make:
    def make(target: Target) -> Sending:
        first, rest = whole(target, target.body).split(b" HTTP/1.1", 1)
        return Sending(first + query + b" HTTP/1.1" + rest)

    return make


def _headed(change: Callable[[Target], bytes], end: str = "half") -> Make:
    return lambda target: Sending(change(target), end)


_QUERIES = (
    *(
        b"?limit=" + value
        for value in (b"NaN", b"1e999", b"-1", b"0", b"9" * 5000, b"%00", b"", b"1.5", b"+1")
    ),
    *(b"?a=%FF", b"?%00=%00", b"?a[]=1", b"?&&&&&=&=", b"?limit=1&limit=2", b"?movie=" + b"x" * 5000),
    *(b"?" + b"&".join(b"movie=m%d" % number for number in range(5000)), b"?;a=b;c=d", b"?%", b"?%zz=%u0041"),
    *(b"?x=NaN&y=%00", b"?" + b"a" * 60_000),
)
_MEDIA = {
    "none": b"",
    "of text": b"text/plain",
    "of a form": b"application/x-www-form-urlencoded",
    "of parts without a boundary": b"multipart/form-data",
    "of parts": b"multipart/form-data; boundary=x",
    "of NDJSON": b"application/x-ndjson",
    "of CSV": b"text/csv",
    "of Parquet": b"application/vnd.apache.parquet",
    "of JSON in UTF-16": b"application/json; charset=utf-16",
    "of an unknown character set": b"application/json; charset=nonsense",
    "in capitals": b"APPLICATION/JSON",
    "of two kinds": b"application/json, text/csv",
    "very long": b"application/json; a=" + b"x" * 10_000,
    "no text": b"\xff\xfe/\x80",
    "of a relative": b"application/vnd.api+json",
}
_HEADERS = {
    **{
        f"Content-Encoding: {each}": b"Content-Encoding: " + each.encode()
        for each in ("gzip", "br", "x, y", "")
    },
    "an Accept of 5,000 kinds": b"Accept: " + b"a/b;q=0.1, " * 5000,
    "an Accept of no kind": b"Accept: ;;;===,,,",
    "an Accept of quality NaN": b"Accept: */*;q=NaN, text/html;q=1e999, image/png;q=-1",
    "50 KB of ETags": b"If-None-Match: " + b'"a", ' * 10_000,
    "an event id of NaN": b"Last-Event-ID: NaN",
    "an event id of 5,000 digits": b"Last-Event-ID: " + b"9" * 5000,
    "a negative event id": b"Last-Event-ID: -1",
    "a range": b"Range: bytes=5-2,0-99999999999999999999",
    "50 KB of cookies": b"Cookie: " + b"a=b; " * 10_000,
    "an authorization of bytes": b"Authorization: Bearer \xff\xfe\x80",
    "an authorization of 50 KB": b"Authorization: Bearer " + b"a" * 50_000,
    "a long request id": b"X-Request-ID: " + b"a" * 10_000,
    "a request id of bytes": b"X-Request-ID: \xff\xfe",
    "another host from a proxy": b"X-Forwarded-Host: evil.example.org",
    "another method": b"X-HTTP-Method-Override: DELETE",
    "no origin": b"Origin: null",
    "an expectation": b"Expect: 100-continue",
    "an unknown expectation": b"Expect: nonsense",
    "an upgrade to websockets": b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: a",
    "an upgrade to HTTP/2": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: a",
    "a closed connection": b"Connection: close",
    "a connection of everything": b"Connection: host, content-length, keep-alive, close, upgrade",
    "a thousand headers": CRLF.join(b"X-A%d: b" % number for number in range(1000)),
    "a long header": b"X-A: " + b"a" * 60_000,
    "a header of 100 KB": b"X-A: " + b"a" * 100_000,
    "a header without a colon": b"nonsense",
    "a header without a name": b": value",
    "a name with a blank": b"X A: b",
    "a name of bytes": b"X-\xff: b",
    "a NUL in a header": b"X-A: a\0b",
    "CR in a header": b"X-A: a\rX-B: b",
    "LF in a header": b"X-A: a\nX-B: b",
    "a folded header": b"X-A: a\r\n b",
    "a second host": b"Host: evil.example.org",
}
_CHUNKED = b"Transfer-Encoding: chunked"
_LENGTHS = {
    **{
        f"a length of {each or 'nothing'}": _framed(b"Content-Length: " + each.encode())
        for each in (
            "-1",
            "+5",
            "abc",
            "0x5",
            "5,5",
            "",
            "1e3",
            str(2**63),
            str(2**64),
            str(2**64 + 5),
            "9" * 500,
        )
    },
    "a length over the limit": _framed(b"Content-Length: 99999999999"),
    "two lengths": _framed(b"Content-Length: 1", b"Content-Length: 2"),
    "one length twice": _framed(b"Content-Length: 2", b"Content-Length: 2", body=b"{}"),
    "a length too short": _framed(
        b"Content-Length: 1", body=b"{}GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
    ),
    "a length too long": _framed(b"Content-Length: 1000"),
    "a length too long, then a reset": _framed(b"Content-Length: 1000", end="reset"),
    "length, then chunks": _framed(b"Content-Length: 3", _CHUNKED, body=b"0\r\n\r\n"),
    "chunks, then a length": _framed(
        _CHUNKED, b"Content-Length: 30", body=b"0\r\n\r\nGET /livez HTTP/1.1\r\n\r\n"
    ),
    **{
        f"chunked as {each!r}": _framed(b"Transfer-Encoding" + each, body=b"2\r\n{}\r\n0\r\n\r\n")
        for each in (
            *(b": chunked, chunked", b": xchunked", b": identity", b": gzip, chunked", b" : chunked"),
            *(
                b":\tchunked",
                b":\r\n chunked",
                b": chunked\r\nTransfer-Encoding: identity",
                b": CHUNKED",
                b":",
            ),
        )
    },
    **{
        f"chunks of {each[:20]!r}": _framed(_CHUNKED, body=each)
        for each in (
            *(
                b"zz\r\n",
                b"-1\r\n{}\r\n",
                b"f" * 16 + b"\r\n{}",
                b"f" * 5000 + b"\r\n",
                b"2\n{}\n0\n\n",
                b"2\r\n{}",
            ),
            *(
                b"2;a=b\r\n{}\r\n0\r\n\r\n",
                b"2 \r\n{}\r\n0\r\n\r\n",
                b"2\r\n{}0\r\n\r\n",
                b"0\r\nX-A: b\r\n\r\n",
            ),
            *(b"2\r\n{}\r\n0\r\nContent-Length: 5\r\nHost: evil.example.org\r\n\r\n", b"1;" + b"a" * 100_000),
            *(b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n", b"0x2\r\n{}\r\n0\r\n\r\n", b"1\r\n " * 1000, b"\r\n\r\n"),
        )
    },
}


def _with_method(method: bytes, line: bytes) -> bytes:
    return method + b" " + line.partition(b" ")[2]


def _line(change: Callable[[bytes], bytes]) -> Make:
    """Return what sends a right request with another first line."""

    def make(target: Target) -> Sending:
        first, _, rest = whole(target, target.body).partition(CRLF)
        return Sending(change(first) + CRLF + rest, "half")

    return make


def _path(change: Callable[[bytes], bytes]) -> Make:
    def make(target: Target) -> Sending:
        changed = change(target.path.encode())
        return Sending(whole(target, target.body).replace(target.path.encode(), changed, 1), "half")

    return make


_LINES: dict[str, Make] = {
    "HTTP/1.0": _line(lambda line: line.replace(b"1.1", b"1.0")),
    "HTTP/2.0": _line(lambda line: line.replace(b"1.1", b"2.0")),
    "HTTP/9.9": _line(lambda line: line.replace(b"1.1", b"9.9")),
    "no version": _line(lambda line: line.rpartition(b" ")[0]),
    "a method in small letters": _line(bytes.lower),
    "a method of no use": _line(lambda line: b"NONSENSE " + line.partition(b" ")[2]),
    "a method of bytes": _line(lambda line: b"\xff\xfe " + line.partition(b" ")[2]),
    **{
        f"the method {method.decode()}": _line(partial(_with_method, method))
        for method in (b"TRACE", b"OPTIONS", b"PATCH", b"HEAD", b"CONNECT", b"PROPFIND", b"PURGE")
    },
    "a second blank": _line(lambda line: line.replace(b" ", b"  ")),
    "a tab": _line(lambda line: line.replace(b" ", b"\t")),
    "a NUL in the line": _line(lambda line: line.replace(b" ", b" /\0", 1)),
    "another host in the line": _line(lambda line: line.replace(b" /", b" http://evil.example.org/", 1)),
    "a host and no path": _line(lambda line: line.partition(b" ")[0] + b" localhost:80 HTTP/1.1"),
    "a star": _line(lambda line: line.partition(b" ")[0] + b" * HTTP/1.1"),
    "an empty path": _line(lambda line: line.partition(b" ")[0] + b"  HTTP/1.1"),
    "a fragment": _path(lambda path: path + b"#x"),
    "a slash more": _path(lambda path: b"/" + path),
    "a slash at the end": _path(lambda path: path + b"/"),
    "up and down again": _path(lambda path: b"/v1/../../.." + path),
    "encoded dots": _path(lambda path: b"/%2e%2e/%2E%2E" + path),
    "a NUL at the end": _path(lambda path: path + b"%00"),
    "no UTF-8 at the end": _path(lambda path: path + b"%FF"),
    "bytes at the end": _path(lambda path: path + b"\xff\xfe"),
    "encoded twice": _path(lambda path: path.replace(b"/", b"%252F")),
    "encoded slashes": _path(lambda path: path.replace(b"/", b"%2F")),
    "half an encoding": _path(lambda path: path + b"%"),
    "a path of 60 KB": _path(lambda path: path + b"a" * 60_000),
    "a path of 100 KB": _path(lambda path: path + b"/a" * 50_000),
    "backslashes": _path(lambda path: path.replace(b"/", b"\\")),
}
_CONNECTIONS: dict[str, Make] = {
    "no host": lambda target: Sending(head(target, host=b""), "half"),
    "an empty host": lambda target: Sending(head(target, host=b"Host:")),
    "another host": lambda target: Sending(head(target, host=b"Host: evil.example.org")),
    "a host of bytes": lambda target: Sending(head(target, host=b"Host: \xff\xfe")),
    "a host of 10 KB": lambda target: Sending(head(target, host=b"Host: " + b"a" * 10_000)),
    "lines that end in LF": _headed(lambda target: whole(target, target.body).replace(CRLF, b"\n")),
    "lines that end in CR": _headed(lambda target: whole(target, target.body).replace(CRLF, b"\r")),
    "HTTP/2": _headed(lambda _: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x12\x04" + b"\0" * 20),
    "TLS": _headed(lambda _: b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(range(256)) * 2),
    "nothing at all": _headed(lambda _: b""),
    "empty lines": _headed(lambda target: CRLF * 1000 + whole(target, target.body)),
    "half a head": _headed(lambda target: head(target)[:-5]),
    "half a head, then a reset": _headed(lambda target: head(target)[:-5], "reset"),
    "half a body": _headed(lambda target: whole(target, target.body + b" ")[:-1]),
    "half a body, then a reset": _headed(lambda target: whole(target, target.body + b" ")[:-1], "reset"),
    "all, then a reset": _headed(lambda target: whole(target, target.body), "reset"),
    "all, then no more": _headed(lambda target: whole(target, target.body)),
    "three hundred in a row, none of them read": _headed(
        lambda target: whole(target, target.body) * 300, "unread"
    ),
    "a thousand pages in a row, none of them read": _headed(
        lambda _: head(Target("GET", "/openapi.json")) * 1000, "unread"
    ),
    "ten in a row": _headed(lambda target: whole(target, target.body) * 10),
    "one, and half of another": _headed(lambda target: whole(target, target.body) + head(target)[:-5]),
    "a head byte by byte": lambda target: Sending(
        b"", slow=True, pieces=[bytes([byte]) for byte in head(target)[:60]]
    ),
    "a body byte by byte": lambda target: Sending(
        head(target, b"Content-Type: application/json", b"Content-Length: 1000"),
        slow=True,
        pieces=[b" "] * 60,
    ),
    "chunk by chunk": lambda target: Sending(
        head(target, b"Content-Type: application/json", _CHUNKED), slow=True, pieces=[b"1\r\n \r\n"] * 60
    ),
}


def _twice(target: Target) -> Sending:
    text = target.body.strip()
    if not text.startswith(b"{") or text == b"{}":
        return Sending(whole(target, b'{"a": 1, "a": 2}'))
    return Sending(whole(target, text[:-1] + b", " + text[1:]))


def _typed_and_nested(media: bytes, body: bytes) -> Make:
    return lambda target: Sending(whole(target, body, media=media))


_NESTED = {
    f"{depth:,} brackets as {media.decode()}": _typed_and_nested(
        media, b'{"a": ' + b"[" * depth + b"]" * depth + b"}"
    )
    for media in (
        b"application/JSON",
        b"APPLICATION/JSON",
        b"Application/Json; charset=UTF-8",
        b"application/x+JSON",
    )
    for depth in (200, 5000, 100_000)
}

REQUESTS: dict[str, Make] = {
    **{f"number {name}": _in_every_field(token) for name, token in NUMBERS.items()},
    **{f"text: {name}": _in_every_field(token) for name, token in TEXTS.items()},
    **{f"value: {name}": _in_every_field(token) for name, token in VALUES.items()},
    **{f"body: {name}": _sent(body) for name, body in BODIES.items()},
    **{f"body: {name}": make for name, make in _NESTED.items()},
    "body: every name twice": _twice,
    **{f"query {query[:30]!r}": _asked(query) for query in _QUERIES},
    **{f"a type {name}": _typed(media) for name, media in _MEDIA.items()},
    **{f"header: {name}": _with(value) for name, value in _HEADERS.items()},
    "a bomb of gzip": lambda target: Sending(
        whole(target, gzip.compress(b" " * 2**22), b"Content-Encoding: gzip")
    ),
    **_LENGTHS,
    **{f"line: {name}": make for name, make in _LINES.items()},
    **{f"connection: {name}": make for name, make in _CONNECTIONS.items()},
}

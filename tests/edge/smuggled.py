"""Requests that two programs in a row may read as different ones, by name."""

from __future__ import annotations

from sampan.edge.heads import TARGET_LIMIT

POST = b"POST /a HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
LAST = b"0\r\n\r\n"
BEHIND = b"GET /behind HTTP/1.1\r\nHost: x\r\n\r\n"

REFUSED = {
    "length and chunks": POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n" + LAST,
    "chunks and length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n" + LAST,
    "two lengths": POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
    "the same length twice": POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "a list of lengths": POST + b"Content-Length: 3, 3\r\n\r\nabc",
    "a length with a plus": POST + b"Content-Length: +3\r\n\r\nabc",
    "a length below zero": POST + b"Content-Length: -3\r\n\r\nabc",
    "a length with a zero in front": POST + b"Content-Length: 03\r\n\r\nabc",
    "a length in hexadecimal": POST + b"Content-Length: 0x3\r\n\r\nabc",
    "a length with a blank in it": POST + b"Content-Length: 1 0\r\n\r\n0123456789",
    "a length of nothing": POST + b"Content-Length: \r\n\r\nabc",
    "a length in other digits": POST + "Content-Length: ٣\r\n\r\nabc".encode(),
    "a length in superscript": POST + b"Content-Length: \xb3\r\n\r\nabc",
    "a length of 65 bits": POST + b"Content-Length: 18446744073709551619\r\n\r\nabc",
    "a folded coding": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n" + LAST,
    "a folded header": POST + b"X: a\r\n\tb\r\nContent-Length: 0\r\n\r\n",
    "chunked twice, in two lines": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + LAST,
    "chunked twice, in one line": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n" + LAST,
    "gzip before chunked": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + LAST,
    "gzip behind chunked": POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n" + LAST,
    "the coding identity": POST + b"Transfer-Encoding: identity\r\n\r\n",
    "nearly chunked": POST + b"Transfer-Encoding: xchunked\r\n\r\n" + LAST,
    "chunked behind a control": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + LAST,
    "chunks in an upgrade": POST + b"Upgrade: h2c\r\nConnection: upgrade\r\nTransfer-Encoding: chunked\r\n\r\n" + LAST,
    "chunks in HTTP/1.0": CHUNKED.replace(b"1.1", b"1.0") + LAST,
    "chunks in HTTP/1.0 that stays": CHUNKED.replace(b"HTTP/1.1", b"HTTP/1.0\r\nConnection: keep-alive") + LAST,
    "a blank before the colon": POST + b"Content-Length : 3\r\n\r\nabc",
    "a blank before the colon of a coding": POST + b"Transfer-Encoding : chunked\r\n\r\n" + LAST,
    "a head with bare line feeds": b"POST /a HTTP/1.1\nHost: x\nContent-Length: 3\n\nabc\r\n\r\n",
    "one bare line feed": POST + b"X: a\nContent-Length: 3\r\n\r\nabc",
    "a bare line feed at the end": POST + b"Content-Length: 3\r\nX: y\n\r\nabc\r\n\r\n",
    "a bare carriage return": POST + b"X: a\rContent-Length: 3\r\n\r\nabc",
    "a NUL in a name": POST + b"X\x00: y\r\n\r\n",
    "a NUL in a value": POST + b"X: \x00y\r\n\r\n",
    "a header without a name": POST + b": y\r\n\r\n",
    "a header without a colon": POST + b"abc\r\n\r\n",
    "two hosts": POST + b"Host: y\r\n\r\n",
    "two blanks in the first line": b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a tab in the first line": b"GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "a blank in the target": b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "HTTP/2 in the clear": b"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
    "a version to come": b"GET / HTTP/1.2\r\nHost: x\r\n\r\n",
    "a byte over 127 in the target": b"GET /\xe9 HTTP/1.1\r\nHost: x\r\n\r\n",
    "a target without end": b"GET /" + b"a" * TARGET_LIMIT + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "a chunk of 68 bits": CHUNKED + b"1" + b"0" * 16 + b"\r\nabc\r\n" + LAST,
    "a chunk size with 0x": CHUNKED + b"0x3\r\nabc\r\n" + LAST,
    "a chunk size with a plus": CHUNKED + b"+3\r\nabc\r\n" + LAST,
    "a chunk size below zero": CHUNKED + b"-1\r\nabc\r\n" + LAST,
    "a chunk size with a blank": CHUNKED + b"3 \r\nabc\r\n" + LAST,
    "a chunk that ends by a line feed": CHUNKED + b"3\r\nabc\n" + LAST,
    "chunks by line feeds": CHUNKED + b"3\nabc\n0\n\n",
    "a chunk longer than it says": CHUNKED + b"3\r\nabcd\r\n" + LAST,
    "an extension with a line feed": CHUNKED + b"3;a\nb\r\nabc\r\n" + LAST,
    "a trailer that is a length": CHUNKED + b"3\r\nabc\r\n0\r\nContent-Length: 50\r\n\r\n",
}

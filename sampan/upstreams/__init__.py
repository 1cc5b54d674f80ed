"""HTTP out: the one client that every upstream is asked through. Foreign errors become faults here and nowhere else.

Words of this room:

- origin: where a pool connects to, and the path that every target of it starts with
- pool: the connections to one origin, with the head block that all their requests share
- connection: one socket (perhaps in TLS, perhaps through a proxy); OPENING → IDLE ⇄ BUSY → CLOSED
- dial: names, TCP, the proxy's CONNECT and TLS, up to a connection that can be asked
- request and answer: what goes out and what comes back; an answer has a head and a body that comes in chunks
- framed: the answer itself says where it ends (a length, chunks, or no body at all); an unframed one ends with the
  connection, so that a cut looks like an end
- fresh and reused: a connection that has not, or has, answered before
- stale: reused, and found closed before the first byte of an answer; the one case that is silently asked again
- clocks: connect, first event, idle, total; in seconds
- the reader: whoever consumes an answer; the peer: whoever sends it
"""

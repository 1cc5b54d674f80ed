"""The HTTP/1.1 client of Sampan, as the rest of this room uses it.

    pool = Pool(Origin.parse("https://api.anthropic.com"), ssl_context=tls_context(), headers={"x-api-key": key})
    async with await pool.request("POST", "/v1/messages", body=body, clocks=Clocks(connect=2)) as response:
        async for chunk in response.chunks():
            ...

Whatever goes wrong is a `TargetFault`. How it is taken apart: `origin` (values), `head` and `answer` (pure), `dial`,
`connection`, `response`, `pool` (I/O).
"""

from __future__ import annotations

from sampan.upstreams.dial import tls_context
from sampan.upstreams.origin import Clocks, Limits, Origin
from sampan.upstreams.pool import Pool
from sampan.upstreams.response import Response

__all__ = ["Clocks", "Limits", "Origin", "Pool", "Response", "tls_context"]

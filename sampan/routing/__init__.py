"""Who is asked, and in which order.

*catalog* knows the routes and makes the plan of a call; *breaker* and *bulkhead* guard each target; *router* walks the
plan; *probes* look at upstreams for free, so that an outage is seen before a caller meets it.
"""

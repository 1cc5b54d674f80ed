"""A rehearsed outage: the user's own routes, stand-ins that break in place of the clouds, and a scorecard.

- *trouble*: one way in which a cloud goes wrong, from the catalogue in `troubles`;
- *stand-in*: a server of ours on loopback that answers in place of a cloud, well or badly;
- *double*: one upstream as the stand-in plays it, with its own trouble and its own counters;
- *scene*: one cell of the scorecard: a trouble on one route, for one operation, streaming or not;
- *promise*: what must hold in a scene; the scorecard says of each whether it was kept.

It runs as a process of its own (`python -m sampan.drill`), so that nobody else pays for loading the official SDKs.
"""

"""Releases: pinned versions of models on this machine, how they come here, and how they are taken to another.

A **release** is one revision of one model: a folder below `<data>/models` with the files of the checkpoint and a
`release.json` that says what they are; it is **whole** once every file has arrived and is the one that was announced.
A **hub** is where models are published; a **bundle** is one signed file with releases, and Sampan itself if wished.
"""

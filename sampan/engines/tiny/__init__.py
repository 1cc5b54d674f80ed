"""Tiny checkpoints with random weights: the real architectures in the real file layout of the hub, in a few megabytes.

A **kind** is one checkpoint by name (`qwen2.5-vl`, `qwen-image`); making one takes seconds and no network, so that
every path of the engines can be run, and seen to work, on any machine. The answers are nonsense, the machinery is not.
"""

from sampan.engines.tiny.making import KINDS, make

__all__ = ["KINDS", "make"]

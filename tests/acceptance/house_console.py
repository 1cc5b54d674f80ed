"""The gateway that the console's pages are tried on, and pictured on."""

from __future__ import annotations

from clouds import Cloud
from gateway import DRAW, QUICK, TALK, route, upstream

CONSOLE_SERVER = 'default_model = "reader"\ndefault_image_model = "sketcher"\n'
ENGINES = '[engines.reader]\nkind = "reader"\n[engines.sketcher]\nkind = "sketcher"\n'


def console_config(cloud: Cloud) -> str:
    """The real CPU engines, which answer by default, and a cloud before them.

    `claude-*` and `gpt-image-1` go to the cloud's cells `console-talk` and `console-draw`, and to the engines when it
    is sick.
    """
    config = QUICK + ENGINES
    config += upstream("claude", cloud.url("console-talk"), "anthropic", more='probe = "off"')
    config += upstream("openai", cloud.url("console-draw"), "openai-images", more='probe = "off"')
    config += route("claude-*", TALK, "claude", "reader") + route("gpt-image-1", DRAW, "openai", "sketcher")
    return config + route("reader", TALK, "reader") + route("sketcher", DRAW, "sketcher")

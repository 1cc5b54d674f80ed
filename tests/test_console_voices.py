from sampan.config import Config
from sampan.console.voices import Behind, Voice, voices
from sampan.core import Dialect, Location, Operation, Target, Tier
from sampan.routing.catalog import Catalog, Route

CLOUD = Target("claude", None, Dialect.ANTHROPIC, Location.CLOUD, Tier.CLOUD)
READER = Target("reader", None, Dialect.ANTHROPIC, Location.LOCAL, Tier.DEGRADED)


def test_models_that_talk_are_told_with_who_answers_behind_them() -> None:
    routes = [
        Route("claude-*", (Operation.TEXT, Operation.VISION), (CLOUD, READER)),
        Route("words", (Operation.TEXT,), (CLOUD,)),
        Route("painter", (Operation.GENERATE,), (CLOUD,)),
    ]
    config = Config()
    catalog = Catalog(routes, (config.server.default_model,))
    told = voices(config, catalog, catalog.models({}))
    assert (told.default, told.largest_picture) == (config.server.default_model, config.server.max_image)
    behind = (Behind("claude", Tier.CLOUD, False), Behind("reader", Tier.DEGRADED, True))
    assert told.models == (
        Voice(config.server.default_model, True, behind),
        Voice("words", False, behind[:1]),
    )

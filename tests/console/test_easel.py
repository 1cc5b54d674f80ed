from __future__ import annotations

from sampan.config import Config, EngineSettings
from sampan.console.easel import Easel, easels
from sampan.core import Dialect, Location, Operation, Target, Tier
from sampan.routing.catalog import Catalog, Route

BOTH = (Operation.EDIT, Operation.GENERATE)
SKETCHER = Target("sketcher", None, Dialect.OPENAI_IMAGES, Location.LOCAL, Tier.DEGRADED)
PAINTER = Target("painter", None, Dialect.OPENAI_IMAGES, Location.LOCAL, Tier.LOCAL)
CLOUD = Target("openai", None, Dialect.OPENAI_IMAGES, Location.CLOUD, Tier.CLOUD)


def test_a_model_takes_what_all_its_targets_take() -> None:
    engines = {"sketcher": EngineSettings(kind="sketcher"), "painter": EngineSettings(kind="qwen_image", model="m")}
    catalog = Catalog(
        [
            Route("sketcher", BOTH, (SKETCHER,)),
            Route("painter", BOTH, (PAINTER, SKETCHER)),
            Route("gpt-image-1", (Operation.GENERATE,), (CLOUD, PAINTER)),
            Route("reader", (Operation.TEXT,), (SKETCHER,)),
        ]
    )
    found = easels(Config(engines=engines), catalog, catalog.models({}))
    assert found.default == Config().server.default_image_model and found.largest == Config().server.max_image
    assert found.models == (
        Easel("gpt-image-1", draws=True, edits=False, seeds=False, negates=False),
        Easel("painter", draws=True, edits=True, seeds=True, negates=True),
        Easel("sketcher", draws=True, edits=True, seeds=True, negates=False),
    )

"""The sketcher engine's core: pictures from words, without a model. `Sketcher` draws, `Order` asks, `Picture`
answers."""

from sampan.engines.contract import Order
from sampan.engines.sketcher.sketcher import Picture, Sketcher

__all__ = ["Order", "Picture", "Sketcher"]

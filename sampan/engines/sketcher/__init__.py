"""The sketcher engine's core: pictures from words, without a model. `Sketcher` draws, `Order` asks, `Picture`
answers."""

from sampan.engines.sketcher.sketcher import Order, Picture, Sketcher

__all__ = ["Order", "Picture", "Sketcher"]

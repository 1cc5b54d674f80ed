"""The routes, and the plan of a call: its ordered targets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from sampan.core import Call, Operation, Target
from sampan.errors import NotFound

ROUTE_CACHE = 1024
CACHED_NAME = 200  # characters; a longer name is looked up each time


@dataclass(frozen=True, slots=True)
class Route:
    """A public model name, or a pattern with * and ?, for some operations.

    Answers are kept for `keeps` seconds (0: not at all), for all departments where `shared`.
    """

    model: str
    operations: tuple[Operation, ...]
    targets: tuple[Target, ...]
    keeps: float = 0.0
    shared: bool = False

    @property
    def is_pattern(self) -> bool:
        return any(sign in self.model for sign in "*?")

    def matches(self, model: str) -> bool:
        if not self.is_pattern:
            return model == self.model
        return fnmatchcase(model, self.model.replace("[", "[[]"))  # fnmatch would read a class of characters


class Catalog:
    """Exact names come before patterns, patterns in the order of the configuration."""

    def __init__(self, routes: Sequence[Route], well_known: Iterable[str] = ()) -> None:
        """`well_known` are concrete names worth listing where a pattern would serve them."""
        self._routes = sorted(routes, key=lambda route: route.is_pattern)
        self._well_known = tuple(well_known)
        self._found: dict[tuple[str, Operation], Route] = {}

    @property
    def routes(self) -> tuple[Route, ...]:
        """All of them, in the order in which they are looked at."""
        return tuple(self._routes)

    def plan(self, call: Call) -> tuple[Target, ...]:
        """The targets of `call`, best first; raises `NotFound` naming what there is."""
        return self.route(call.model, call.operation).targets

    def route(self, model: str, operation: Operation) -> Route:
        """The route that serves it; raises `NotFound` naming what there is."""
        wanted = (model, operation)
        found = self._found.get(wanted)
        if found is None:
            found = self._find(model, operation)
            if len(model) <= CACHED_NAME:  # names are the callers' to invent: bounded in length and number
                if len(self._found) >= ROUTE_CACHE:
                    self._found.clear()
                self._found[wanted] = found
        return found

    def _find(self, model: str, operation: Operation) -> Route:
        for route in self._routes:
            if operation in route.operations and route.matches(model):
                return route
        known = sorted({route.model for route in self._routes if operation in route.operations})
        if not known:
            raise NotFound(f"model: no route serves {operation.value} here", param="model")
        raise NotFound(
            f"model: no route for {model[:100]!r}. Models for {operation.value}: {', '.join(known)}", param="model"
        )

    def models(self, learned: Mapping[str, Sequence[str]]) -> dict[str, tuple[Operation, ...]]:
        """Callable names with their operations. Patterns show the names that their upstreams listed (`learned`)."""
        found: dict[str, set[Operation]] = {}
        for route in self._routes:
            names = [route.model]
            if route.is_pattern:
                listed = [name for target in route.targets for name in learned.get(target.upstream, ())]
                names = [name for name in (*listed, *self._well_known) if route.matches(name)]
            for name in names:
                found.setdefault(name, set()).update(route.operations)
        return {name: tuple(sorted(found[name])) for name in sorted(found)}

    def operations(self, model: str) -> tuple[Operation, ...]:
        """What `model` can be asked for; nothing where no route serves it."""
        return tuple(sorted({op for route in self._routes if route.matches(model) for op in route.operations}))

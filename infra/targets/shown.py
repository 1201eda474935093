"""What the engine shows of a resource provider to the user, and what it hands to it."""

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

Props = dict[str, Any]
"""Inputs or state of a resource."""
P = ParamSpec("P")
R = TypeVar("R")


def in_one_sentence(*expected: type[Exception]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Show the user an expected failure without our stack: the engine prints what Python makes of an exception."""

    def decorate(method: Callable[P, R]) -> Callable[P, R]:
        @wraps(method)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return method(*args, **kwargs)
            except expected:
                sys.tracebacklimit = 0
                raise

        return call

    return decorate


def own(props: Props) -> Props:
    """Properties without what the engine adds."""
    return {name: value for name, value in props.items() if name != "__provider"}


def say(text: str) -> None:
    """Tell how far it is."""
    print(text, flush=True)  # noqa: T201 - the engine shows what a provider prints

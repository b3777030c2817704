"""Double precision in JAX without the user's global switch: it is on for as long as something is computed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from typing import Any, TypeVar, cast

import jax

Method = TypeVar("Method", bound=Callable[..., Any])


def in_double(method: Method) -> Method:
    """A method under which JAX computes in float64 where it is asked to, whatever the user's switch says."""

    @wraps(method)
    def under_switch(self: Any, *given: Any, **options: Any) -> Any:
        with x64():
            return method(self, *given, **options)

    return cast(Method, under_switch)


def in_session(method: Method) -> Method:
    """A method of a map, under the settings that its arrays need."""

    @wraps(method)
    def within(self: Any, *given: Any, **options: Any) -> Any:
        with self.ops.session():
            return method(self, *given, **options)

    return cast(Method, within)


def x64() -> AbstractContextManager[Any]:
    """JAX's own switch for the calling thread, for as long as it takes."""
    if cast(Any, jax.config).jax_enable_x64:
        return nullcontext()
    if hasattr(jax, "enable_x64"):
        return cast(AbstractContextManager[Any], cast(Any, jax).enable_x64(True))
    from jax import experimental  # its place before 0.8

    return cast(AbstractContextManager[Any], cast(Any, experimental).enable_x64(True))

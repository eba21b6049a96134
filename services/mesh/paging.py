"""Pages of a list that is ordered by one value (AIP-158).

    page = paging.read(request, cursor=UUID)
    found = await store.page(before=page.cursor, size=page.limit)
    Response(users=[... for each in page.kept(found)],
             next_page_token=page.next_token(found, lambda each: each.user_id))

The store is asked for one more than the page holds, which tells whether there is another page.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from services.mesh import page_token

C = TypeVar("C")
T = TypeVar("T")

DEFAULT_SIZE = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging(Generic[C]):
    """Which page of a list is asked for: `size` items, from `cursor` on; None is the beginning."""

    size: int
    cursor: C | None
    bound_to: bytes

    @property
    def limit(self) -> int:
        """Return how many items to ask the store for."""
        return self.size + 1

    def kept(self, found: Sequence[T]) -> Sequence[T]:
        """Return those of `found` that are on this page."""
        return found[: self.size]

    def next_token(self, found: Sequence[T], key: Callable[[T], object]) -> str:
        """Return the token of the next page, empty if `found` is no more than this one.

        `key` gives the value that the list is ordered by; its text must read as the cursor.
        """
        if len(found) <= self.size:
            return ""
        return self.token_after(key(found[self.size - 1]))

    def token_after(self, last: object) -> str:
        """Return the token of the page that begins after the value `last`."""
        return page_token.encode({"last": str(last)}, bound_to=self.bound_to)


def read(request: Any, *, cursor: Callable[[str], C]) -> Paging[C]:
    """Return the page that a list request asks for, by its `page_size` and `page_token`.

    `cursor` reads the value that the page before ended with. Raises InvalidArgument naming
    `page_token`, also when `cursor` raises a ValueError.
    """
    bound_to = page_token.binding(request)
    return Paging(
        size=request.page_size or DEFAULT_SIZE,
        cursor=page_token.parse(
            request.page_token, bound_to=bound_to, into=lambda kept: cursor(kept["last"])
        )
        if request.page_token
        else None,
        bound_to=bound_to,
    )

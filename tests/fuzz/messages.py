"""Makes requests of any type: some valid, most nearly so, a few no messages at all.

A dice throw decides everything, so the same seed makes the same requests. Ids that a service has
answered with come back in later requests: what exists is hit, too.
"""

import random
import string
from collections import defaultdict, deque
from collections.abc import Iterable
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from services.mesh.ids import new_id
from tests.contract.valid import fill, fill_message, is_message, rules_of, value

_VALID_SHARE, _BROKEN_SHARE = 0.3, 0.04
_SET_SHARE = 0.75
_MOST_DEPTH = 4
_KNOWN_IDS = 200

_TEXTS = (
    "",
    "\0",
    "a\0b",
    "\N{RIGHT-TO-LEFT OVERRIDE}\N{ZERO WIDTH JOINER}",
    "' OR 1=1 --",
    "$where",
    "%s{0}",
    "../../etc/passwd",
    "*",
    "tok_ok",
    "tok_declined",
    "stock>0",
    "title desc",
    "e" * 300,
    "x" * 5000,
)
_NUMBERS = (0, 1, -1, 2, 100, 101, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63), 2**64 - 1)
_REALS = (0.0, -0.0, 1.5, float("inf"), float("nan"), 1e308, 5e-324)
_OTHERS: dict[int, tuple[Any, ...]] = {
    FieldDescriptor.TYPE_BYTES: (b"", b"\0", b"\xff" * 64),
    FieldDescriptor.TYPE_BOOL: (False, True),
    FieldDescriptor.TYPE_DOUBLE: _REALS,
    FieldDescriptor.TYPE_FLOAT: _REALS,
}
_LETTERS = string.printable + "äß\N{SNOWMAN}"


class Messages:
    """Makes requests, and remembers what the answers told of."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)  # noqa: S311  # nothing secret, and the same each time
        self._known: defaultdict[str, deque[str]] = defaultdict(lambda: deque(maxlen=_KNOWN_IDS))

    def wire(self, request_type: type[Message]) -> bytes:
        """Makes a request, as it goes onto the wire."""
        request = request_type()
        if self._dice.random() < _VALID_SHARE:
            fill(request)
            self._change_one(request)
        else:
            self._scatter(request, _MOST_DEPTH)
        data = request.SerializeToString()
        return self._broken(data) if self._dice.random() < _BROKEN_SHARE else data

    def learn(self, answer: Message) -> None:
        """Remembers the ids of an answer."""
        for field, content in answer.ListFields():
            held: Iterable[Any] = content if field.is_repeated else [content]
            if is_message(field):
                if not _is_map(field):
                    for each in held:
                        self.learn(each)
            elif field.name.endswith("_id"):
                self._known[field.name].extend(held)

    def _change_one(self, request: Message) -> None:
        """Changes one field of a valid request, or none; ids become such as exist."""
        fields: list[Any] = list(request.DESCRIPTOR.fields)
        for field in fields:
            if field.name.endswith("_id") and not field.is_repeated and not is_message(field):
                self._set(request, field, self._id(field))
        if fields and self._dice.random() < _SET_SHARE:
            field = self._dice.choice(fields)
            request.ClearField(field.name)
            self._fill_field(request, field, _MOST_DEPTH)

    def _scatter(self, message: Message, depth: int) -> None:
        fields: Iterable[Any] = message.DESCRIPTOR.fields
        for field in fields:
            if self._dice.random() < _SET_SHARE:
                self._fill_field(message, field, depth)

    def _fill_field(self, message: Message, field: Any, depth: int) -> None:
        if _is_map(field):
            return
        if not field.is_repeated:
            if is_message(field):
                self._fill_child(getattr(message, field.name), depth)
            else:
                self._set(message, field, self._value(field))
            return
        items = getattr(message, field.name)
        for _ in range(self._dice.choice((0, 1, 1, 2, 3, 101))):
            if is_message(field):
                self._fill_child(items.add(), depth)
            else:
                self._append(items, self._value(field))

    def _fill_child(self, child: Message, depth: int) -> None:
        if self._dice.random() < _VALID_SHARE:
            fill_message(child)
        elif depth:
            self._scatter(child, depth - 1)
        child.SetInParent()

    def _value(self, field: FieldDescriptor) -> Any:
        if field.name.endswith("_id") and self._dice.random() < _SET_SHARE:
            return self._id(field)
        if field.type == FieldDescriptor.TYPE_STRING:
            return self._text(field)
        if field.enum_type is not None:
            return self._dice.choice([*(each.number for each in field.enum_type.values), 99])
        known = _OTHERS.get(field.type)
        return self._dice.choice(known or (*_NUMBERS, self._dice.randint(0, 200)))

    def _text(self, field: FieldDescriptor) -> str:
        dice = self._dice
        if dice.random() < _VALID_SHARE:
            text: str = value(field, rules_of(field))
            return text
        if dice.random() < _VALID_SHARE:
            return "".join(dice.choices(_LETTERS, k=dice.randint(1, 40)))
        return dice.choice(_TEXTS)

    def _id(self, field: FieldDescriptor) -> str:
        known = self._known[field.name]
        if known and self._dice.random() < _SET_SHARE:
            return self._dice.choice(list(known))
        return str(new_id())

    def _set(self, message: Message, field: FieldDescriptor, given: Any) -> None:
        try:
            setattr(message, field.name, given)
        except (TypeError, ValueError):
            # The type has no such value; the field stays as it is.
            return

    def _append(self, items: Any, given: Any) -> None:
        try:
            items.append(given)
        except (TypeError, ValueError):
            return

    def _broken(self, data: bytes) -> bytes:
        """Cuts, lengthens or changes what was a message."""
        dice = self._dice
        kind = dice.randrange(3)
        if kind == 0 and data:
            return data[: dice.randrange(len(data))]
        if kind == 1 and data:
            at = dice.randrange(len(data))
            return data[:at] + dice.randbytes(1) + data[at + 1 :]
        return data + dice.randbytes(dice.randint(1, 20))


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry

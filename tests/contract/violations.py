"""Builds, for any request type, one request for each rule that it breaks.

Standard rules are broken by what the descriptors say. A rule in CEL needs a line in `_CEL`; without
one the tests of the RPC fail, so that no rule goes untested.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from buf.validate import validate_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.type import money_pb2

from tests.contract.valid import fill, fill_message, is_message, rules_of, value

Change = Callable[[Message], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A rule that is broken: its id, the field that is named for it, and how to break it."""

    rule_id: str
    path: str
    change: Change

    def __str__(self) -> str:
        """Name it as test ids do."""
        return f"{self.path}-{self.rule_id}"

    def request(self, request_type: type[Message]) -> Message:
        """Return a request that is valid but for this."""
        request = fill(request_type())
        self.change(request)
        return request


def broken_rules(message: Descriptor, path: str = "") -> Iterator[Broken]:
    """Tell every rule of a message and of those in it."""
    for field in message.fields:
        name = f"{path}{field.name}"
        rules = rules_of(field)
        for rule_id, change in _changes(field, rules):
            yield Broken(rule_id=rule_id, path=name, change=_at(path, change))
        if field.is_repeated:
            for rule_id, content in _values(rules.repeated.items):
                change = _set_item(field.name, content)
                yield Broken(rule_id=rule_id, path=f"{name}[0]", change=_at(path, change))
        if field.message_type is not None and field.message_type.file.package.startswith("souk."):
            yield from broken_rules(
                field.message_type, f"{name}[0]." if field.is_repeated else f"{name}."
            )


def _changes(
    field: FieldDescriptor, rules: validate_pb2.FieldRules
) -> Iterator[tuple[str, Change]]:
    """Tell how to break the rules of a field in the message that holds it."""
    if rules.required:
        yield "required", lambda message: message.ClearField(field.name)
    for rule in rules.cel:
        yield rule.id, _in(field.name, _CEL[rule.id])
    if field.is_repeated:
        yield from _list_changes(field, rules.repeated)
    else:
        for rule_id, content in _values(rules):
            yield rule_id, _set(field.name, content)


def _values(rules: validate_pb2.FieldRules) -> Iterator[tuple[str, object]]:
    """Tell the values of one item or singular field that break its rules."""
    # An empty text breaks nothing where it means that the field is not given.
    may_be_empty = rules.ignore == validate_pb2.IGNORE_IF_ZERO_VALUE
    yield from _texts(rules.string, may_be_empty=may_be_empty)
    number, choice, span = rules.int32, rules.enum, rules.duration
    if number.HasField("gte"):
        yield "int32.gte_lte", number.gte - 1
        yield "int32.gte_lte", number.lte + 1
    for each in number.not_in:
        yield "int32.not_in", each
    if choice.defined_only:
        yield "enum.defined_only", 99
    for each in choice.not_in:
        yield "enum.not_in", each
    if rules.HasField("duration"):
        yield "duration.gte_lte", span.gte.seconds - 1
        yield "duration.gte_lte", span.lte.seconds + 1


def _texts(rules: validate_pb2.StringRules, *, may_be_empty: bool) -> Iterator[tuple[str, object]]:
    if rules.min_len and not may_be_empty:
        yield "string.min_len", "x" * (rules.min_len - 1)
    if rules.max_len:
        yield "string.max_len", "x" * (rules.max_len + 1)
    if rules.pattern:
        yield "string.pattern", "!"
    if rules.uuid:
        yield "string.uuid", "no-uuid"
    if rules.email:
        yield "string.email", "no-email"


def _list_changes(
    field: FieldDescriptor, rules: validate_pb2.RepeatedRules
) -> Iterator[tuple[str, Change]]:
    def repeat(times: int) -> Change:
        def change(message: Message) -> None:
            items = getattr(message, field.name)
            for _ in range(times):
                if is_message(field):
                    fill_message(items.add())
                else:
                    items.append(value(field, rules.items))

        return change

    if rules.min_items:
        yield "repeated.min_items", lambda message: message.ClearField(field.name)
    if rules.max_items:
        yield "repeated.max_items", repeat(rules.max_items)
    if rules.unique:
        yield "repeated.unique", repeat(1)


def _at(path: str, change: Change) -> Change:
    """Apply `change` to the message at `path`, like `items[0].`."""
    for name in reversed([part for part in path.split(".") if part]):
        change = _in(name, change)
    return change


def _in(name: str, change: Change) -> Change:
    field, _, index = name.partition("[")

    def nested(message: Any) -> None:
        child = getattr(message, field)
        change(child[0] if index else child)

    return nested


def _set(name: str, content: object) -> Change:
    def change(message: Message) -> None:
        child = getattr(message, name)
        if isinstance(child, Message):
            child.CopyFrom(type(child)(seconds=content))
        else:
            setattr(message, name, content)

    return change


def _set_item(name: str, content: object) -> Change:
    return lambda message: getattr(message, name).__setitem__(0, content)


def _repeat_first(items: Any) -> None:
    items.add().CopyFrom(items[0])


def _ask_for_sms(preferences: Any) -> None:
    channels = preferences.DESCRIPTOR.fields_by_name["channels"].enum_type
    preferences.channels.append(channels.values_by_name["CHANNEL_SMS"].number)
    preferences.ClearField("phone_number")


def _make_free(money: Any) -> None:
    money.CopyFrom(money_pb2.Money(currency_code="EUR"))


_CEL: dict[str, Callable[[Any], None]] = {
    "amount.valid": lambda money: setattr(money, "units", -1),
    "items.unique": _repeat_first,
    "postal_address.complete": lambda address: setattr(address, "region_code", "d"),
    "postal_address.length": lambda address: setattr(address, "locality", "x" * 201),
    "preferences.phone_number": _ask_for_sms,
    "price.currency": lambda money: setattr(money, "currency_code", "euro"),
    "price.positive": _make_free,
    "product.price": lambda product: product.ClearField("price"),
    "product.product_id": lambda product: product.ClearField("product_id"),
    "product.sku": lambda product: product.ClearField("sku"),
    "product.title": lambda product: product.ClearField("title"),
    "shipping_address.complete": lambda address: address.ClearField("address_lines"),
    "shipping_address.length": lambda address: setattr(address, "locality", "x" * 201),
    "update_mask.size": lambda mask: mask.paths.extend(["title"] * 21),
}

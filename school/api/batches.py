"""The action ``batch`` of a viewset: it creates or replaces many rows by their natural keys."""

from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, Protocol

from django.db import transaction
from django.utils.translation import gettext as _
from rest_framework.decorators import action
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.validators import UniqueValidator

from school.access.row_scope import check_can_add, filter_by_scope, outside_scope_refusal
from school.api.batch_bodies import MAX_BATCH_ERRORS, MAX_FULL_OUTCOMES, BatchBodySerializer, add_reasons
from school.api.idempotency import idempotent
from school.api.permissions import row_scope_of
from school.db.retry import retry_transaction
from school.http.problems import CONTENT_TYPE, flatten_errors, problem, shorten_reason
from school.refusals import Refusal, Refused
from school.text_normalization import normalized

CREATED, UPDATED, UNCHANGED, REFUSED, NOT_APPLIED = "created", "updated", "unchanged", "refused", "not_applied"


class Item(NamedTuple):
    """An item: the object with its new values, the outcome if it is saved, and the reasons why it is refused."""

    instance: Any
    outcome: str
    reasons: tuple[Refusal, ...] = ()


class Saver(Protocol):
    """Saves many objects of one model: see ``bulk.importers.object_saver``."""

    row_constraints: ClassVar[tuple[str, ...]]

    def find_by_keys(self, keys: Collection[Any]) -> dict[Hashable, Any]: ...

    def save_objects(self, entries: Sequence[Item], field_names: Sequence[str]) -> tuple[dict[int, Any], Any]: ...

    def after_save(self, instances: Sequence[Any]) -> Any: ...


@dataclass(frozen=True, slots=True)
class NaturalKey:
    """The fields of a natural key, and a function that makes the saver's key from their values ("" for null)."""

    fields: tuple[str, ...]
    make: Callable[..., Hashable]

    def of(self, item: Any) -> Hashable | None:
        """Return the key of an item; None if the item has none that could be valid."""
        if not isinstance(item, Mapping):
            return None
        values = ["" if item.get(name) is None else item[name] for name in self.fields]
        if not all(isinstance(each, str) and "\0" not in each for each in values) or not values[0]:
            return None
        return self.make(*map(normalized, values))

    def differ(self, first: Any, second: Any) -> bool:
        """Return True if two items differ in more than their keys."""
        return any(
            first.get(name) != second.get(name) for name in first.keys() | second.keys() if name not in self.fields
        )


class BatchMixin:
    """
    Adds the action ``batch`` to a viewset.

    The serializer of single requests validates the items. It takes values that it would look up for a single row from
    ``batch_context``; the saver checks the rest for all rows together. The number of queries does not depend on the
    number of items, except for the chunks of the inserts and updates.
    """

    request: Any
    natural_key: NaturalKey
    permission_model: Any
    method_permissions: Mapping[str, Any] = {}

    def batch_saver(self) -> Any:
        """Return a ``Saver`` whose history and journal entries name this request."""
        raise NotImplementedError

    def batch_context(self, items: Sequence[Any]) -> dict[str, Any]:
        """Return the values that the serializer needs to validate these items without queries."""
        return {}

    def allowed_parameters(self) -> set[str] | None:
        view: Any = super()
        return set() if getattr(self, "action", None) == "batch" else view.allowed_parameters()

    @action(detail=False, methods=["post"])
    @idempotent
    def batch(self, request: Request) -> Response:
        body = BatchBodySerializer(data=request.data)
        body.is_valid(raise_exception=True)
        items = self._save_items(body.validated_data["items"], is_atomic=body.validated_data["atomic"])
        outcomes = _render(items)
        applied = [not each.reasons and each.outcome != NOT_APPLIED for each in items]
        if not any(applied):
            message = _("No item of the batch was applied. See the outcome of each item.")
            answer = problem(422, [Refusal("nothing_applied", message, _("Nothing applied"))])
            return Response({**answer, "outcomes": outcomes}, 422, content_type=CONTENT_TYPE)
        return Response({"outcomes": outcomes}, 200 if all(applied) else 207)

    @retry_transaction
    @transaction.atomic
    def _save_items(self, bodies: Sequence[Any], *, is_atomic: bool) -> list[Item]:
        """Save the items that are not refused, or none if one is refused and ``is_atomic``; return all of them."""
        saver: Saver = self.batch_saver()
        items = list(self._parse_items(bodies, saver))
        good = [each for each in items if not each.reasons]
        refused, _reassigned = saver.save_objects(good, self._saved_fields())
        items = [each if each.reasons else replace_reasons(each, refused.get(id(each.instance), ())) for each in items]
        good = [each for each in items if not each.reasons]
        if is_atomic and len(good) < len(items):
            transaction.set_rollback(True)
            return [each if each.reasons else each._replace(outcome=NOT_APPLIED) for each in items]
        saver.after_save([each.instance for each in good if each.outcome != UNCHANGED])
        return items

    def _parse_items(self, bodies: Sequence[Any], saver: Saver) -> Iterator[Item]:
        keys = [self.natural_key.of(body) for body in bodies]
        existing, changeable = self._find_existing(saver, [key for key in keys if key is not None])
        serializer = self._serializer(bodies, saver)
        first: dict[Hashable, int] = {}
        errors: dict[Any, Any] = {}
        error_count = 0
        for index, (body, key) in enumerate(zip(bodies, keys, strict=True)):
            earlier = index if key is None else first.setdefault(key, index)
            if earlier != index and self.natural_key.differ(bodies[earlier], body):
                yield Item(None, REFUSED, (_duplicate_refusal(earlier),))
                continue
            instance = None if key is None else existing.get(key)
            try:
                if instance is None:
                    check_can_add(self.permission_model, row_scope_of(self.request))
                elif instance.pk and changeable is not None and instance.pk not in changeable:
                    raise Refused([outside_scope_refusal()])
                serializer.instance = instance
                values = _validate(serializer, body)
            except Refused as refused:
                yield Item(None, REFUSED, refused.refusals)
                continue
            except ValidationError as error:
                reasons = tuple(flatten_errors(error.detail))
                errors[index] = error.detail
                error_count += len(reasons)
                if error_count > MAX_BATCH_ERRORS:
                    raise ValidationError({"items": errors}) from None
                yield Item(None, REFUSED, reasons)
                continue
            item = _with_values(self.permission_model, instance, values)
            existing[key] = item.instance
            yield item

    def _find_existing(
        self, saver: Saver, keys: Sequence[Hashable]
    ) -> tuple[dict[Hashable, Any], Collection[int] | None]:
        """Lock the rows with these keys. Return those that the caller sees, and the ids of those it may change."""
        existing, row_scope = saver.find_by_keys(keys), row_scope_of(self.request)
        if row_scope is None:
            return existing, None
        rows = self.permission_model._base_manager.filter(pk__in=[each.pk for each in existing.values()])
        visible = set(filter_by_scope(rows, row_scope).values_list("pk", flat=True))
        changeable = set(filter_by_scope(rows, row_scope, to_change=True).values_list("pk", flat=True))
        return {key: each for key, each in existing.items() if each.pk in visible}, changeable

    def _serializer(self, bodies: Sequence[Any], saver: Saver) -> Any:
        """Return a serializer that validates one item after the other without queries."""
        view: Any = self
        context = {**view.get_serializer_context(), **self.batch_context(bodies)}
        serializer = view.get_serializer_class()(context={**context, "row_constraints": saver.row_constraints})
        for field in serializer.fields.values():
            field.validators = [each for each in field.validators if not isinstance(each, UniqueValidator)]
        return serializer

    def _saved_fields(self) -> list[str]:
        """Return the fields that an item can change."""
        view: Any = self
        writable = [each for each in view.get_serializer_class()().fields.values() if not each.read_only]
        return [str(each.source) for each in writable if each.field_name not in self.natural_key.fields]


def _validate(serializer: Any, body: Any) -> dict[str, Any]:
    """Return the values of an item; raise ``ValidationError`` or ``Refused``."""
    if not isinstance(body, Mapping):
        raise ValidationError([ErrorDetail(_("The item must be an object."), code="invalid")])
    values: dict[str, Any] = serializer.run_validation(body)
    return values


def _with_values(model: Any, instance: Any, values: Mapping[str, Any]) -> Item:
    """Set the values on an existing object or a new one."""
    if instance is None:
        return Item(model(**values), CREATED)
    outcome = UNCHANGED
    for name, value in values.items():
        if getattr(instance, name) != value:
            setattr(instance, name, value)
            outcome = UPDATED
    return Item(instance, outcome)


def _duplicate_refusal(earlier: int) -> Refusal:
    message = _("Item %(first)s has the same key and different values.") % {"first": earlier}
    return Refusal("duplicate_item", message, _("Duplicate item"))


def replace_reasons(item: Item, reasons: Sequence[Refusal]) -> Item:
    """Return an item that is refused for these reasons, or the item if there are none."""
    if not reasons:
        return item
    message = _("Another request saved a conflicting change at the same time. Read the object again and retry.")
    named = (replace(each, message=message) if each.code == "conflict" else each for each in reasons)
    return Item(None, REFUSED, tuple(named))


def _render(items: Sequence[Item]) -> list[dict[str, Any]]:
    """
    Return the outcomes for the response, with at most 98,000 bytes in total.

    The outcomes of many items are brief: those of saved rows have no empty members, and the last outcomes of refused
    items have only the code.
    """
    is_large = len(items) > MAX_FULL_OUTCOMES
    rendered = [(_brief if is_large or each.reasons else _full)(index, each) for index, each in enumerate(items)]
    failed = [index for index, each in enumerate(items) if each.reasons]
    add_reasons(rendered, failed, lambda index: _full(index, items[index]))
    return rendered


def _id_of(item: Item) -> int | None:
    return None if item.instance is None or item.outcome == NOT_APPLIED else item.instance.pk


def _brief(index: int, item: Item) -> dict[str, Any]:
    rendered: dict[str, Any] = {"index": index, "status": item.outcome}
    if item.reasons:
        rendered["code"] = item.reasons[0].code
    if pk := _id_of(item):
        rendered["id"] = pk
    return rendered


def _full(index: int, item: Item) -> dict[str, Any]:
    reasons = [shorten_reason(reason) for reason in item.reasons]
    return {
        "index": index,
        "status": item.outcome,
        "code": reasons[0].code if reasons else None,
        "message": " ".join(reason.message for reason in reasons),
        "errors": [reason.as_error() for reason in reasons],
        "id": _id_of(item),
    }

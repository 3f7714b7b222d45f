"""
Admin mixins for staff limited to their own courses: no page shows or changes a row of another course.

``school.access.row_scope`` determines which rows these are, and which permissions such staff keep.
"""

from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import FieldDoesNotExist, PermissionDenied, ValidationError
from django.db.models import DateTimeField, Model, QuerySet
from django.db.models.constants import LOOKUP_SEP
from django.http import HttpRequest

from school.access.row_scope import VISIBLE_ROWS, filter_by_scope, row_scope_of_staff

# The lookups that list filters use. Others, such as regular expressions, can take unlimited time.
ALLOWED_LOOKUPS = frozenset({"exact", "in", "isnull", "gt", "gte", "lt", "lte", "date"})


def is_allowed_lookup(model: type[Any] | None, path: str) -> bool:
    """Return True for a path of fields that ends with a field or with one of ``ALLOWED_LOOKUPS``."""
    parts = path.split(LOOKUP_SEP)
    for position, part in enumerate(parts):
        try:
            field: Any = model and model._meta.get_field(part)
        except FieldDoesNotExist:
            field = None
        if field is None:
            # Django ignores a text that is not a path of fields.
            return set(parts[max(position, 1) :]) <= ALLOWED_LOOKUPS
        model = field.related_model
    return True


def is_canonical_id(model: type[Model], text: str) -> bool:
    """
    Return True if a text is an id in the spelling that the admin uses.

    ``int`` also accepts "+1", "1_0" and digits of other scripts.
    """
    try:
        return str(model._meta.pk.to_python(text)) == text
    except (ValidationError, ValueError, OverflowError):
        return False


def _filter_rows(request: HttpRequest, rows: QuerySet[Any], *, to_change: bool = False) -> QuerySet[Any]:
    row_scope = row_scope_of_staff(request.user)
    if row_scope is None:
        return rows
    return (
        filter_by_scope(rows, row_scope, to_change=to_change) if rows.model._meta.label in VISIBLE_ROWS else rows.none()
    )


def _filter_choices(request: HttpRequest, field: Any) -> Any:
    """Remove rows outside the scope from the choices of a form field."""
    if field is not None:
        field.queryset = _filter_rows(request, field.queryset)
    return field


class RowScopeFilter(admin.RelatedFieldListFilter):
    """A list filter by a relation. It offers only the rows that the user can see in the list of the related model."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> Any:
        ordering = self.field_admin_ordering(field, request, model_admin)
        only = {}
        if row_scope_of_staff(request.user) is not None:
            only = {"pk__in": _filter_rows(request, field.related_model._default_manager.all()).values("pk")}
        return field.get_choices(include_blank=False, ordering=ordering, limit_choices_to=only)


class RowAccessMixin(admin.ModelAdmin):
    """
    Admin mixin that hides rows outside the user's own courses.

    ``SchoolAdminSite`` adds it to every registered admin. It filters the rows of every page and the choices of every
    relation. Limited staff see no rows of a model that ``school.access.row_scope`` does not list.
    """

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return _filter_rows(request, super().get_queryset(request))

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        return is_allowed_lookup(self.model, lookup) and super().lookup_allowed(lookup, value, request)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        if from_field is None and not is_canonical_id(self.model, object_id):
            return None
        return super().get_object(request, object_id, from_field)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Convert datetimes in the query to ``datetime``. Leave out invalid ones, which the widget cannot show."""
        initial: dict[str, Any] = super().get_changeform_initial_data(request)
        for field in self.model._meta.fields:
            if isinstance(field, DateTimeField) and field.name in initial:
                try:
                    initial[field.name] = field.to_python(initial[field.name])
                except ValidationError:
                    del initial[field.name]
        return initial

    def formfield_for_foreignkey(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        return _filter_choices(request, super().formfield_for_foreignkey(db_field, request, **kwargs))

    def formfield_for_manytomany(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        return _filter_choices(request, super().formfield_for_manytomany(db_field, request, **kwargs))

    def _is_in_scope(self, request: HttpRequest, obj: Any, *, to_change: bool = False) -> bool:
        if obj is None or row_scope_of_staff(request.user) is None:
            return True
        same = self.model._base_manager.filter(pk=getattr(obj, "pk", obj))
        return _filter_rows(request, same, to_change=to_change).exists()

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_view_permission(request, obj) and self._is_in_scope(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and self._is_in_scope(request, obj, to_change=True)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and self._is_in_scope(request, obj, to_change=True)

    _get_obj_does_not_exist_redirect: Any  # a method of Django that its type stubs lack

    def history_view(self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None) -> Any:
        """
        Show the history of a visible row.

        Without this method, django-simple-history would show versions of hidden rows too.
        """
        if self._is_hidden(request, object_id):
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        return super().history_view(request, object_id, extra_context)

    def history_form_view(self, request: HttpRequest, object_id: str, version_id: str, **kwargs: Any) -> Any:
        """
        Show an earlier version or restore it.

        Without this method, django-simple-history would let every user that may view the row restore it.
        """
        if self._is_hidden(request, object_id) or not version_id.isascii() or not version_id.isdecimal():
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        if request.method == "POST":
            row = self.get_object(request, unquote(object_id))
            if row is not None and not self.has_change_permission(request, row):
                raise PermissionDenied
        return super().history_form_view(request, object_id, version_id, **kwargs)  # type: ignore[misc]  # it is untyped

    def _is_hidden(self, request: HttpRequest, object_id: str) -> bool:
        if not is_canonical_id(self.model, unquote(object_id)):
            return True
        if row_scope_of_staff(request.user) is None or not self.has_view_permission(request):
            return False
        return self.get_object(request, unquote(object_id)) is None

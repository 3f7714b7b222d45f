"""Invalid ids in every admin path with an id, and in every parameter of its lists."""

from itertools import product
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib import admin
from django.db.models import Model
from django.test import Client

from tests.hostile.cases import HUGE
from tests.security.test_admin_access import World, routes

pytestmark = pytest.mark.django_db

ARABIC = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")
NOWHERE = {
    "a blank": "%20",
    "a word": "x",
    "an exponent": "1e3",
    "negative": "-1",
    "NUL": "%00",
    "an escaped NUL": "_00",
    "half an escape": "_",
    "bad UTF-8": "%FF",
    "a slash": "a_2Fb",
    "2^63": HUGE["2^63"],
    "5,000 digits": HUGE["5,000 digits"],
}


def other_spellings(pk: Any) -> dict[str, str]:
    """Return texts that `int` converts to this id, except the one that the admin itself writes."""
    return {
        "a sign": f"%2B{pk}",
        "an escaped sign": f"_2B{pk}",
        "a blank before": f"%20{pk}",
        "a line break": f"{pk}%0A",
        "an escaped blank": f"_20{pk}",
        "a zero before": f"0{pk}",
        "a grouped number": f"0_{pk}",
        "another script": quote(str(pk).translate(ARABIC)),
    }


@pytest.fixture
def world(actor, registrar):
    return World("OWN", registrar, actor)


def kind_of(route: str) -> str:
    return "/".join(route.split("/")[:2])


def address(world: World, route: str, text: str, *, version: bool = False) -> str:
    """Return the address of a route with a text in place of the id, or of the version."""
    if version:
        return world.address(route.replace("<version>", text))
    return world.address(
        route.replace("<slug:request_id>", text).replace("<path:content_type_id>", text).replace("<id>", text)
    )


def server_errors_at(client: Client, path: str) -> list[str]:
    """Send a GET and a POST; return a line for each response with a server error."""
    answers = {"GET": client.get(path), "POST": client.post(path, {"post": "yes"})}
    for answer in answers.values():
        b"".join(answer) if answer.streaming else answer.content
    return [
        f"{method} {path[:120]}: {answer.status_code}"
        for method, answer in answers.items()
        if answer.status_code >= 500
    ]


def routes_with_ids() -> list[str]:
    return sorted({route for route in routes() if "<id>" in route or "<slug" in route or "<path" in route})


def test_no_id_in_a_path_causes_a_server_error(world, admin_client):
    admin_client.raise_request_exception = False

    wrong = [
        line
        for route in routes_with_ids()
        for text in (*NOWHERE.values(), *other_spellings(world.ids.get(kind_of(route), 1)).values())
        for line in server_errors_at(admin_client, address(world, route, text))
    ]
    wrong += [
        line
        for route in routes()
        if "<version>" in route
        for text in (*NOWHERE.values(), *other_spellings(world.versions[kind_of(route)]).values())
        for line in server_errors_at(admin_client, address(world, route, text, version=True))
    ]

    print(*wrong, sep="\n")  # pytest cuts lists short
    assert wrong == []


def test_an_id_is_accepted_in_one_spelling_only(world, admin_client):
    """Another text that `int` converts to an id is not found, by pages that read and pages that change."""
    found = []
    for route in routes_with_ids():
        if kind_of(route) not in world.ids or route.count("/") < 3:
            continue
        for name, text in other_spellings(world.ids[kind_of(route)]).items():
            if name == "a zero before":  # our own pages accept it
                continue
            answer = admin_client.get(address(world, route, text))
            if answer.status_code == 200:
                found.append(f"{route}: {name}")

    assert found == []


# Parameters of lists


VALUES = ["x", "+1", "٣", "1e3", "\0", "9" * 5_000]


def parameters(model: type[Model], each: Any) -> list[str]:
    """Return parameter names of the list of a model, including filters that it does not have."""
    names = ["q", "o", "p", "_to_field", "_changelist_filters", "pk__in", "id__gte"]
    for given in each.list_filter:
        name = given[0] if isinstance(given, tuple) else given
        names += (
            [f"{name}__exact", f"{name}__id__exact", f"{name}__isnull"]
            if isinstance(name, str)
            else [name.parameter_name]
        )
    return sorted(set(names))


@pytest.mark.parametrize("model", admin.site._registry, ids=lambda model: model._meta.label)
def test_no_parameter_of_a_list_causes_a_server_error(model, world, admin_client):
    admin_client.raise_request_exception = False
    path = f"/admin/{model._meta.label_lower.replace('.', '/')}/"

    answers = {
        (name, text[:40]): admin_client.get(path, {name: text}).status_code
        for name, text in product(parameters(model, admin.site._registry[model]), VALUES)
    }

    assert {case: status for case, status in answers.items() if status >= 500} == {}


def test_no_parameter_of_an_autocomplete_or_search_causes_a_server_error(world, admin_client, rf):
    admin_client.raise_request_exception = False
    request = rf.get("/")
    fields = [
        {"app_label": model._meta.app_label, "model_name": model._meta.model_name, "field_name": name}
        for model, each in admin.site._registry.items()
        for name in each.get_autocomplete_fields(request)
    ]
    given = [{**field, name: text} for field, name, text in product(fields, ["term", "page", "field_name"], VALUES)]

    answers = [(query, admin_client.get("/admin/autocomplete/", query).status_code) for query in given]
    answers += [({"s": text}, admin_client.get("/admin/search/", {"s": text}).status_code) for text in VALUES]

    assert [(query, status) for query, status in answers if status >= 500] == []
    assert {str(each["field_name"]) for each in fields} == {
        "student",
        "course",
        "instead_of",
        "term",
        "terms",
        "courses",
    }


PARAMETERS = {
    "courses/course/{course}/change/": ["tab", "q", "page", "status", "before"],
    "students/student/{student}/change/": ["tab", "before", "page"],
    "courses/course/{course}/roster.csv": ["status", "q", "chosen"],
    "courses/course/{course}/roster/": ["status", "q", "chosen"],
    "courses/course/{course}/grades/": ["page"],
    "students/studentcourse/act/": ["action", "chosen", "next"],
    "students/studentcourse/enroll-many/": ["course", "student", "side"],
    "bulk/import/{import}/change/": ["page"],
    "bulk/import/{import}/report/": ["part"],
    "courses/course/{course}/history/": ["p", "page"],
    "courses/coursestaff/add/": ["course", "user"],
    "courses/course/add/": ["term", "capacity", "enrollment_opens_at", "prerequisites"],
    "students/studentcourse/add/": ["student", "course", "instead_of", "waive", "on_full"],
}


def test_no_parameter_of_a_page_causes_a_server_error(world, admin_client):
    admin_client.raise_request_exception = False
    ids = {kind.partition("/")[2]: pk for kind, pk in world.ids.items()}
    wrong = []
    for path, names in PARAMETERS.items():
        for name, text in product(names, VALUES):
            answer = admin_client.get(f"/admin/{path.format(**ids)}", {name: text})
            wrong += [(path, name, text[:40])] if answer.status_code >= 500 else []

    assert wrong == []

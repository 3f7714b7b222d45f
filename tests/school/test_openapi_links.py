"""The links of the OpenAPI document, and sequences of requests that follow them."""

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.support.contract import DOCUMENT, connection_kept, operations
from tests.support.request_sequences import RequestSequence
from tools.fuzz import examples

STEPS = 12
PARTS = 5  # for several processes; each starts its sequences in another order


def properties_of(schema):
    """Return the properties of a schema with those of the schemas that it extends or refers to."""
    schema = DOCUMENT["components"]["schemas"].get(schema.get("$ref", "").rpartition("/")[2], schema)
    extended = [properties_of(each) for each in schema.get("allOf", [])]
    return {name: each for part in [*extended, schema.get("properties", {})] for name, each in part.items()}


def test_every_link_uses_existing_fields_and_parameters_of_its_operation():
    found = {operation["operationId"]: operation for _name, operation in operations()}
    schemas = DOCUMENT["components"]["schemas"]
    for name, link in DOCUMENT["components"]["links"].items():
        answered = name.partition("_")[0]
        target = {each["name"]: each for each in found[link["operationId"]]["parameters"]}
        assert set(link["parameters"]) <= set(target), name
        assert {each for each, parameter in target.items() if parameter["in"] == "path"} <= set(link["parameters"]), (
            name
        )
        for expression in link["parameters"].values():
            if expression == "$response.header.ETag":
                continue
            place = schemas[answered]
            for step in expression.removeprefix("$response.body#/").split("/"):
                place = properties_of(place)[step]


def test_created_resources_link_to_all_their_operations():
    made = {}
    for _name, operation in operations():
        for status, response in operation["responses"].items():
            if status in ("201", "202") and "links" in response:
                made[operation["operationId"]] = set(response["links"])

    things = {each: {f"{each}_{what}" for what in ("retrieve", "update", "partial_update", "destroy")} for each in
              ("students", "courses", "terms")}  # fmt: skip
    after_import = {f"imports_{what}" for what in ("approve_create", "cancel_create", "undo_create")}
    after_import |= {"imports_retrieve", "imports_report_list", "imports_failed_rows_list"}
    assert made == {
        "students_create": things["students"]
        | {f"students_{what}" for what in ("courses_list", "courses_create", "holds_list", "holds_create")},
        "courses_create": things["courses"]
        | {"courses_students_list", "courses_cancel_create", "courses_cancel_undo_create"},
        "grades_create": {f"grades_{what}" for what in ("retrieve", "partial_update", "destroy")},
        "terms_create": things["terms"],
        "students_courses_create": {"enrollments_retrieve", "enrollments_events_list"}
        | {f"students_courses_{what}" for what in ("retrieve", "partial_update", "destroy")},
        **{f"imports_{what}": after_import for what in ("create", "approve_create", "cancel_create", "undo_create")},
    }


@pytest.mark.parametrize("part", range(PARTS))
def test_request_sequences_along_the_links_conform_to_the_document(api, part):
    token: str = api._credentials["HTTP_AUTHORIZATION"]
    done: set[str] = set()
    walk = type("Walk", (RequestSequence,), {"token": token, "done": done, "rule_order_seed": part})
    tried = settings(
        max_examples=examples(12),
        stateful_step_count=STEPS,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    with connection_kept():
        run_state_machine_as_test(walk, settings=tried)

    assert len(done) >= 10  # the sequences have reached many operations

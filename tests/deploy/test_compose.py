"""The file of Compose is valid by the public schema, hardened, and does not start without secrets."""

import json
import re
from pathlib import Path

import pytest
import yaml
from django.conf import settings
from django.core.management import get_commands
from jsonschema import Draft201909Validator

FOLDER = Path(settings.BASE_DIR) / "deploy"
TEXT = (FOLDER / "compose.yaml").read_text()
COMPOSE = yaml.safe_load(TEXT)
SERVICES = COMPOSE["services"]
OWN = [name for name, service in SERVICES.items() if service["image"].startswith("school:")]
# The Compose Specification by its authors, Apache License 2.0: see NOTICE.
SCHEMA = json.loads((Path(__file__).parent / "compose-spec.json").read_text())


def test_the_file_is_valid_by_the_compose_specification():
    assert [error.message for error in Draft201909Validator(SCHEMA).iter_errors(COMPOSE)] == []


def test_the_schema_refuses_an_unknown_key():
    wrong = {**COMPOSE, "services": {"web": {**SERVICES["web"], "memory": "1g"}}}

    assert not Draft201909Validator(SCHEMA).is_valid(wrong)


def test_there_is_a_service_for_each_process():
    assert sorted(SERVICES) == ["db", "housekeeping", "migrate", "nginx", "web", "work"]
    assert {name: SERVICES[name]["profiles"] for name in SERVICES if "profiles" in SERVICES[name]} == {
        "housekeeping": ["housekeeping"],
        "nginx": ["nginx"],
    }
    assert {SERVICES[name].get("command", ["serve"])[0] for name in OWN} <= set(get_commands())


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_has_few_rights_and_a_limit_of_memory(name):
    service = SERVICES[name]

    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    assert {"mem_limit", "pids_limit"} <= set(service)
    assert not service.get("privileged")


def test_the_server_and_the_worker_start_after_the_migrations():
    for name in ("web", "work"):
        assert SERVICES[name]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
    assert SERVICES["migrate"]["depends_on"] == {"db": {"condition": "service_healthy"}}
    assert SERVICES["migrate"]["restart"] == "no"


def test_secrets_come_from_files_and_none_has_a_default():
    for name, service in SERVICES.items():
        variables = service.get("environment", {})
        secrets = {key: value for key, value in variables.items() if re.search("SECRET|PASSWORD|TOKEN", key)}

        assert all(key.endswith("_FILE") and value.startswith("/run/secrets/") for key, value in secrets.items()), name
        given = [each if isinstance(each, str) else each["source"] for each in service.get("secrets", [])]
        assert {value.removeprefix("/run/secrets/") for value in secrets.values()} <= set(given)
        assert set(given) <= set(COMPOSE["secrets"])
    assert all(set(secret) == {"file"} for secret in COMPOSE["secrets"].values())


def test_compose_stops_if_a_required_setting_is_missing():
    required = re.findall(r"\$\{(\w+):\?", TEXT)
    with_default = re.findall(r"\$\{(\w+):-", TEXT)

    assert sorted(required) == ["ALLOWED_HOSTS", "TIME_ZONE"]
    assert sorted(set(re.findall(r"\$\{(\w+)", TEXT))) == sorted({*required, *with_default})


def test_only_the_proxy_can_be_reached_from_outside():
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}

    assert sorted(published) == ["nginx", "web"]
    assert all(port.startswith("127.0.0.1:") for port in published["web"])
    assert COMPOSE["networks"]["database"] == {"internal": True}


def test_only_services_that_send_something_reach_the_outside():
    assert sorted(name for name, service in SERVICES.items() if "outside" in service.get("networks", [])) == [
        "nginx",
        "web",
        "work",
    ]


def test_the_addresses_that_the_proxy_replaces_are_in_its_configuration():
    [script] = SERVICES["nginx"]["command"]
    replaced = re.findall(r"s\|([^|]+)\|", script)

    assert [text for text in replaced if text not in (FOLDER / "nginx.conf").read_text()] == []
    assert len(replaced) == 2

"""User-visible texts are marked in the code and translated in the catalogs."""

import re
from pathlib import Path
from typing import Any

import pytest
from babel.messages.catalog import Message
from django import forms
from django.apps import apps
from django.contrib import admin
from django.template.base import Lexer, TokenType
from django.utils.functional import Promise

from tools.messages import APPS, LANGUAGES, ROOT, complaints, wanted, wrong_with

TEMPLATES = sorted(path for app in APPS for path in (ROOT / app).rglob("*.html") if "templates" in path.parts)
ICONS = {"chevron_right", "close", "dock_to_right", "check", "search", "upload_file"}  # names of icons
WORD = re.compile(r"[^\W\d_]{2}")
SAID = re.compile(r'\b(?:title|placeholder|aria-label|alt|data-label)="([^"]*)"')
HOLE = "\0"


def words_in(template: str) -> list[str]:
    """Return the untranslated texts of a template: between its tags, and in attributes."""
    parts, is_translated = [], False
    for token in Lexer(template).tokenize():
        if token.token_type == TokenType.TEXT and not is_translated:
            parts.append(token.contents)
            continue
        parts.append(HOLE)
        if token.token_type == TokenType.BLOCK:
            name = token.contents.split()[0]
            if name in ("blocktranslate", "comment"):
                is_translated = True
            elif name in ("endblocktranslate", "endcomment"):
                is_translated = False
    html = re.sub(r"<(script|style)\b.*?</\1>", HOLE, "".join(parts), flags=re.DOTALL)
    said = SAID.findall(html) + re.split(HOLE, re.sub(r"<[^>]*>", HOLE, html))
    texts = (re.sub(r"&\w+;", "", text).replace(HOLE, "").strip() for text in said)
    return [text for text in texts if WORD.search(text) and text not in ICONS]


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("<p>Seats</p>", ["Seats"]),
        ('<a title="Go {{ where }}">→</a>', ["Go"]),
        ("<p>{% blocktranslate %}Seats{% endblocktranslate %} {{ n }} · {% translate 'free' %}</p>", []),
        ("{# Why #}<script src='x.js'>let words = 1;</script>", []),
    ],
)
def test_untranslated_words_are_found_in_templates(template, words):
    assert words_in(template) == words


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT)))
def test_templates_contain_no_untranslated_text(path):
    assert words_in(path.read_text()) == []


@pytest.mark.parametrize(
    ("message", "wrong"),
    [
        (Message("%(n)s seats", "%(n)s Plätze"), []),
        (Message("%(n)s seats", ""), ["not translated: '%(n)s seats'"]),
        (Message("%(n)s seats", "%(m)s Plätze"), ["other placeholders: '%(n)s seats' → '%(m)s Plätze'"]),
        (Message("seats", "Plätze", flags=["fuzzy"]), ["fuzzy: 'seats'"]),
        (Message(("%(n)s seat", "%(n)s seats"), ("%(n)s Platz", "")), ["not translated: '%(n)s seat'"]),
    ],
)
def test_faulty_translations_are_detected(message, wrong):
    assert wrong_with(message) == wrong


def test_every_text_is_translated():
    texts = wanted()

    assert [each for language in LANGUAGES for each in complaints(language, texts)] == []


def our_models():
    desks = admin.site._registry
    return [model for app in APPS for model in apps.get_app_config(app).get_models() if model in desks]


@pytest.mark.parametrize("model", our_models(), ids=lambda model: model._meta.label)
def test_model_names_are_translated(model):
    opts, desk = model._meta, admin.site._registry[model]
    inner = {"sha256", "fingerprint", "checkpoint", "attempts", "lease_owner", "leased_until"}
    inner |= {"unlisted", "reason_parts", "secret", "previous_secret", "previous_secret_until", "positions"}
    inner |= {"requested_positions", "requested_ping"}  # also not shown anywhere
    said = {"name": opts.verbose_name, "names": opts.verbose_name_plural}
    for field in opts.get_fields():
        if field.auto_created or field.name in inner or not hasattr(field, "verbose_name") or field.primary_key:
            continue
        said[field.name] = field.verbose_name
        said |= {f"{field.name}: {value}": label for value, label in field.flatchoices if model.__module__ in APPS}
        said |= {f"{field.name}, help": field.help_text} if field.help_text else {}
    for name in [*desk.list_display, *desk.readonly_fields]:
        if callable(column := getattr(desk, name, None)):
            said[name] = getattr(column, "short_description", None)
    said |= {f"group {number}": title for number, (title, _) in enumerate(desk.fieldsets or []) if title}

    assert [name for name, text in said.items() if not isinstance(text, Promise)] == []


def library_fields(form: Any) -> set[str]:
    """Return the fields of a form that a library defines."""
    libraries = [base for base in form.__mro__ if base.__module__.split(".")[0] not in APPS]
    return {name for base in libraries for name in getattr(base, "declared_fields", {})}


def our_forms(form: Any = forms.BaseForm) -> list[Any]:
    below = [each for child in form.__subclasses__() for each in (child, *our_forms(child))]
    return [each for each in below if each.__module__.split(".")[0] in APPS and "declared_fields" in vars(each)]


def test_labels_of_form_fields_are_translated():
    fields = {
        f"{form.__name__}.{name}": field
        for form in our_forms()
        for name, field in form.declared_fields.items()
        if name not in library_fields(form)
    }
    said = {f"{name} {part}": getattr(field, part) for name, field in fields.items() for part in ("label", "help_text")}

    assert [name for name, text in said.items() if text != "" and not isinstance(text, Promise)] == []


def test_no_message_is_an_f_string():
    """A text that is formatted before the lookup is found in no catalog."""
    glued = re.compile(r"\b(?:_|n?gettext(?:_lazy)?)\(\s*f[\"']")
    found = [
        str(path.relative_to(ROOT))
        for app in APPS
        for path in Path(ROOT / app).rglob("*.py")
        if glued.search(path.read_text())
    ]

    assert found == []

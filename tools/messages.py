"""
Compare the catalogs in locale/ with the messages of the code, or update them: `python -m tools.messages --write`.

``--write`` adds new messages, removes unused ones, keeps the translations, and compiles the catalogs. Neither
translators nor users of School need gettext's tools.
"""

import ast
import io
import re
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract
from babel.messages.mofile import read_mo, write_mo
from babel.messages.pofile import read_po, write_po
from django.utils.translation.template import templatize

ROOT = Path(__file__).resolve().parent.parent
APPS = ("school", "bulk", "courses", "students", "oneroster", "webhooks")
LANGUAGES = ("de", "es")
# Libraries whose texts are shown, and that lack some of these languages: our catalogs have the missing translations.
BORROWED = (
    *("unfold", "allauth", "axes", "simple_history", "oauth2_provider"),
    *("django.contrib.admin", "django.contrib.auth"),
)
TRANSLATED = ("django/conf", *(f"django/contrib/{name}" for name in ("admin", "auth", "contenttypes", "sessions")))
# Messages of these parts of libraries are left out: School does not show the pages that contain them.
PASSED_OVER = (
    *(
        "crispy",
        "import_export",
        "guardian",
        "location_field",
        "constance",
        "contrib/forms",
        "mixins/dataset",
        "mixins/nested",
        "allauth/idp",
        "phone",
    ),
    *(
        "oauth2_provider/templates",
        "oauth2_provider/forms",
        "oauth2_validators",
        "views",
        "management",
        "contrib/admindocs",
    ),
)
# Messages whose translations in a library do not fit: they use the informal form of address, or the verb for dropping
# a course also for logging out.
REPLACED = (
    "Are you sure you want to sign out?",
    "Be patient, you are sending too many requests.",
    "If you choose to trust this browser, you will not be asked for a verification code the next time you sign in.",
    "Logged out",
    "Please type your current password.",
    "Sign Out",
    "You are about to connect a new third-party account from %(provider)s.",
    "You are about to create a passkey for your account. As you can add additional keys later on, you can use a "
    "descriptive name to tell the keys apart.",
    "You are about to deactivate authenticator app based authentication. Are you sure?",
    "You are about to generate a new set of recovery codes for your account.",
    "You are about to sign in using a third-party account from %(provider)s.",
    "You are already logged in as %(user_display)s.",
    "You cannot generate recovery codes without having two-factor authentication enabled.",
    "You decided to cancel logging in to our site using one of your existing accounts. If this was a mistake, please "
    'proceed to <a href="%(login_url)s">sign in</a>.',
    "You have signed out.",
    "You must type the same password each time.",
    "Your account has no password set up.",
)
PUT_TOGETHER = ("addedname", "changedname", "deletedname")  # names of messages that Django puts together from parts

SINGLE, PLURAL = ("gettext", "gettext_lazy", "gettext_noop"), ("ngettext", "ngettext_lazy")
KEYWORDS: dict[str, Any] = {
    "_": None,
    **dict.fromkeys(SINGLE),
    **dict.fromkeys(PLURAL, (1, 2)),
    **dict.fromkeys(("pgettext", "pgettext_lazy"), ((1, "c"), 2)),
    **dict.fromkeys(("npgettext", "npgettext_lazy"), ((1, "c"), 2, 3)),
}
STRING = r"""u?(?:'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")"""  # a string literal, also with the prefix u
CALL = re.compile(rf"\b(_|gettext|ngettext|pgettext|npgettext)\(({STRING}(?:,\s*{STRING})*)(?:,\s*count)?\)", re.DOTALL)
PLACEHOLDER = re.compile(r"%\((\w+)\)|%([sd])|\{(\w*)\}")

Key = tuple[str | None, Any]  # the context, and the message: one text, or a singular and a plural


class Words(Catalog):
    """A catalog whose header contains no dates, so that an update without new messages changes nothing."""

    @property
    def mime_headers(self) -> list[tuple[str, str]]:
        return [
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Transfer-Encoding", "8bit"),
            ("Language", str(self.locale)),
            ("Plural-Forms", "nplurals=2; plural=(n != 1);"),
        ]


def said_in_python(path: Path) -> Iterator[Key]:
    with path.open("rb") as file:
        for _line, text, _comments, context in extract("python", file, KEYWORDS, options={"encoding": "utf-8"}):
            if text != ("",) and text:
                yield context, text


def said_in_template(path: Path) -> Iterator[Key]:
    """
    Yield the messages of a template: the calls of gettext functions in the text that Django generates from the
    template.
    """
    for name, arguments in CALL.findall(templatize(path.read_text())):
        texts = ast.literal_eval(f"[{arguments}]")
        context = texts.pop(0) if name.startswith(("p", "np")) else None
        yield context, tuple(texts) if name.startswith("n") else texts[0]


def said_below(folder: Path) -> Iterator[tuple[Path, Key]]:
    for path in sorted(folder.rglob("*")):
        if "migrations" in path.parts:
            continue
        if path.suffix == ".py":
            yield from ((path, key) for key in said_in_python(path))
        elif path.suffix in (".html", ".txt") and "templates" in path.parts:
            yield from ((path, key) for key in said_in_template(path))


def ours() -> dict[Key, str]:
    """Return the messages of School's code and templates, each with the first file that contains it."""
    return first((key, str(path.relative_to(ROOT))) for app in APPS for path, key in said_below(ROOT / app))


def first(found: Any) -> dict[Key, str]:
    places: dict[Key, str] = {}
    for key, place in found:
        places.setdefault(key, place)
    return places


def borrowed() -> dict[Key, str]:
    """Return the messages of libraries that School shows, and that lack a translation or have one that does not fit."""
    site = package("django").parent
    known = [
        {
            said(message)
            for name in (*TRANSLATED, *BORROWED)
            if (file := site / name / "locale" / language / "LC_MESSAGES" / "django.mo").exists()
            for message in read_mo(io.BytesIO(file.read_bytes()))
        }
        for language in LANGUAGES
    ]
    return first(
        (key, f"{name}")
        for name in BORROWED
        for path, key in said_below(package(name))
        if said_by(key)[1] in REPLACED or (is_shown(path, key) and not all(said_by(key) in words for words in known))
    )


def is_shown(path: Path, key: Key) -> bool:
    if any(part in str(path) for part in PASSED_OVER) or said_by(key)[1] in PUT_TOGETHER:
        return False
    return "oauth2_provider" not in str(path) or said_by(key)[1][:1].islower()  # only the names of fields in its forms


def package(name: str) -> Path:
    spec = find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def said(message: Message) -> Any:
    return said_by((message.context, message.id))


def said_by(key: Key) -> Any:
    """Return the key of a message in a catalog: its context and its singular."""
    context, text = key
    return context, text if isinstance(text, str) else text[0]


def wanted() -> dict[Key, str]:
    """Return all messages that the catalogs must have, each once, with its plural if it has one."""
    texts: dict[Any, tuple[Key, str]] = {}
    for key, place in {**borrowed(), **ours()}.items():
        had = texts.get(said_by(key))
        if had is None or isinstance(had[0][1], str):
            texts[said_by(key)] = (key, place)
    return dict(texts.values())


def file_of(language: str, suffix: str) -> Path:
    return ROOT / "locale" / language / "LC_MESSAGES" / f"django.{suffix}"


def committed(language: str) -> Catalog:
    with file_of(language, "po").open("rb") as file:
        return read_po(file, locale=language)


def updated(language: str, texts: dict[Key, str]) -> Words:
    """Return the catalog with exactly these messages and their existing translations."""
    catalog = Words(locale=language, fuzzy=False, header_comment="")
    old = {said(message): message for message in committed(language)} if file_of(language, "po").exists() else {}
    for key, place in sorted(texts.items(), key=lambda item: (item[1], str(item[0]))):
        had = old.get(said_by(key))
        has_same_form = had is not None and isinstance(had.id, str) == isinstance(key[1], str)
        translation = had.string if had is not None and has_same_form else ""
        catalog.add(key[1], translation, [(place, None)], context=key[0])  # type: ignore[list-item]  # no line
    return catalog


def as_po(catalog: Catalog) -> bytes:
    buffer = io.BytesIO()
    write_po(buffer, catalog, width=110, include_lineno=False, sort_by_file=False)
    return buffer.getvalue()


def as_mo(catalog: Catalog) -> bytes:
    buffer = io.BytesIO()
    write_mo(buffer, catalog)
    return buffer.getvalue()


def complaints(language: str, texts: dict[Key, str]) -> list[str]:
    """Return a sentence for each missing, unused or wrong message of a catalog."""
    catalog = committed(language)
    have = {said(message): message for message in catalog if message.id}
    want = {said_by(key): key for key in texts}
    found = [f"not in it: {text!r}" for text in sorted(want.keys() - have.keys(), key=str)]
    found += [f"nobody says it: {text!r}" for text in sorted(have.keys() - want.keys(), key=str)]
    for text in sorted(want.keys() & have.keys(), key=str):
        found += wrong_with(have[text])
    if file_of(language, "mo").read_bytes() != as_mo(updated(language, texts)):
        found.append("django.mo is not what django.po says")
    return [f"{language}: {each}" for each in found]


def wrong_with(message: Message) -> list[str]:
    """
    Return the faults of a translation: it is missing, marked as fuzzy, or has other placeholders or blanks than the
    message.
    """
    sources = [message.id] if isinstance(message.id, str) else list(message.id)
    translations = [message.string] if isinstance(message.string, str) else list(message.string or ())
    if len(sources) != len(translations) or not all(translations):
        return [f"not translated: {sources[0]!r}"]
    found = [f"fuzzy: {sources[0]!r}"] if message.fuzzy else []
    every = set().union(*map(placeholders, sources))
    for source, translation in zip(sources, translations, strict=True):
        if not placeholders(source) <= placeholders(translation) or not placeholders(translation) <= every:
            found.append(f"other placeholders: {source!r} → {translation!r}")
        if source[:1].isspace() != translation[:1].isspace() or source[-1:].isspace() != translation[-1:].isspace():
            found.append(f"other blanks around it: {source!r}")
    return found


def placeholders(text: str) -> set[str]:
    return {repr(found) for found in PLACEHOLDER.findall(text.replace("%%", ""))}


def main(arguments: list[str]) -> int:
    texts = wanted()
    if "--write" in arguments:
        for language in LANGUAGES:
            catalog = updated(language, texts)
            file_of(language, "po").parent.mkdir(parents=True, exist_ok=True)
            file_of(language, "po").write_bytes(as_po(catalog))
            file_of(language, "mo").write_bytes(as_mo(catalog))
    found = [each for language in LANGUAGES for each in complaints(language, texts)]
    print("\n".join(found))
    if found:
        print("Run `make messages`, and translate what is new in locale/.", file=sys.stderr)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

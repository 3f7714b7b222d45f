"""The reset of a forgotten password: by a link in a mail, for staff only, and without telling who has an account."""

import re
import smtplib

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.core.mail import EmailMessage

from school.accounts.password_reset import MAILS_PER_ADDRESS, mail_thread
from school.http import rate_counter

pytestmark = pytest.mark.django_db

ADDRESS = "ada@school.example"
NEW = "a long new password"


@pytest.fixture(autouse=True)
def mail_server(settings, monkeypatch):
    settings.EMAIL_HOST = "mail.invalid"
    settings.DEFAULT_FROM_EMAIL = "school@school.example"
    monkeypatch.setattr(rate_counter, "_sqlite_counter", rate_counter.SqliteCounter())


@pytest.fixture
def ada():
    return User.objects.create_user("ada", ADDRESS, "open sesame", is_staff=True)


def ask(client, address=ADDRESS):
    answer = client.post("/admin/password-reset/", {"email": address})
    mail_thread.submit(lambda: None).result()  # the thread has sent the mails
    return answer


def link_in(message):
    [link] = re.findall(r"http://testserver(/admin/password-reset/\S+)", message.body)
    return link


def test_the_link_in_the_mail_sets_a_new_password(client, ada):
    answer = ask(client)
    [message] = mail.outbox
    page = client.get(link_in(message), follow=True)
    done = client.post(page.request["PATH_INFO"], {"new_password1": NEW, "new_password2": NEW}, follow=True)

    assert (answer.status_code, answer["Location"]) == (302, "/admin/password-reset/sent/")
    assert (message.to, message.from_email, message.subject) == (
        [ADDRESS],
        "school@school.example",
        "School: set a new password",
    )
    assert "ada" in message.body
    assert "The password is set." in done.content.decode()
    ada.refresh_from_db()
    assert ada.check_password(NEW)
    assert "_auth_user_id" not in client.session  # a second factor is still needed
    assert "not valid" in client.get(link_in(message), follow=True).content.decode()  # it works once


def test_a_weak_password_is_refused(client, ada):
    ask(client)
    page = client.get(link_in(mail.outbox[0]), follow=True)
    answer = client.post(page.request["PATH_INFO"], {"new_password1": "ada", "new_password2": "ada"})

    assert answer.status_code == 200
    assert "too short" in answer.content.decode()
    ada.refresh_from_db()
    assert ada.check_password("open sesame")


@pytest.mark.parametrize("who", ["nobody", "no staff", "inactive", "without a password"])
def test_the_answer_does_not_tell_whether_there_is_an_account(client, ada, who):
    changes = {"no staff": {"is_staff": False}, "inactive": {"is_active": False}}
    User.objects.filter(pk=ada.pk).update(**changes.get(who, {"username": "ada"}))
    if who == "without a password":
        ada.set_unusable_password()
        ada.save()

    answer = ask(client, "nobody@school.example" if who == "nobody" else ADDRESS)

    assert (answer.status_code, answer["Location"]) == (302, "/admin/password-reset/sent/")
    assert mail.outbox == []


def test_a_mail_server_that_fails_changes_no_answer(client, ada, monkeypatch):
    def fail(_message):
        raise smtplib.SMTPServerDisconnected(f"no mail to {ADDRESS}")

    monkeypatch.setattr(EmailMessage, "send", fail)

    assert ask(client)["Location"] == "/admin/password-reset/sent/"


def test_an_account_gets_one_mail_a_minute(client, ada):
    answers = [ask(client) for _ in range(2)]

    assert {answer.status_code for answer in answers} == {302}
    assert len(mail.outbox) == 1


def test_an_address_can_ask_a_few_times_a_minute(client, ada):
    answers = [ask(client, f"{number}@school.example") for number in range(MAILS_PER_ADDRESS + 1)]

    assert [answer.status_code for answer in answers] == [302] * MAILS_PER_ADDRESS + [429]
    assert 1 <= int(answers[-1]["Retry-After"]) <= 60
    assert "Try again in a minute." in answers[-1].content.decode()


@pytest.mark.parametrize("uid", ["x", "MQ", "AAAA", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5", "%00", "ÿ"])
@pytest.mark.parametrize("token", ["x", "set-password", "a-b", "%00"])
def test_a_wrong_link_is_answered_with_a_page(client, ada, uid, token):
    answer = client.get(f"/admin/password-reset/{uid}/{token}/")

    assert answer.status_code in (200, 400, 404)
    assert "new_password1" not in answer.content.decode()


@pytest.mark.parametrize("address", ["", "ada", "a\x00@b.c", "a" * 400 + "@b.example"])
def test_a_malformed_address_is_refused_in_the_form(client, address):
    answer = ask(client, address)

    assert answer.status_code == 200
    assert mail.outbox == []


@pytest.mark.parametrize(
    "path",
    [
        "/admin/password-reset/",
        "/admin/password-reset/sent/",
        "/admin/password-reset/done/",
        "/admin/password-reset/MQ/x/",
    ],
)
def test_without_a_mail_server_there_is_no_reset(client, settings, path):
    with_server = client.get(path).status_code
    settings.EMAIL_HOST = ""

    assert (with_server, client.get(path).status_code) == (200, 404)
    assert "password-reset" not in client.get("/admin/login/").content.decode()


def test_the_login_page_leads_to_the_reset(client):
    assert 'href="/admin/password-reset/"' in client.get("/admin/login/").content.decode()


@pytest.mark.parametrize(("language", "words"), [("de", "Passwort"), ("es", "contraseña")])
def test_the_pages_and_the_mail_are_translated(client, ada, language, words):
    page = client.get("/admin/password-reset/", headers={"Accept-Language": language}).content.decode()
    client.post("/admin/password-reset/", {"email": ADDRESS}, headers={"Accept-Language": language})
    mail_thread.submit(lambda: None).result()

    assert words in page
    assert words in mail.outbox[0].subject

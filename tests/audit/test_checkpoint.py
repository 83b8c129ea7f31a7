"""Checkpoints are signed notes that other tools read, and their keys are on record."""

from __future__ import annotations

import base64

import pytest

from exporter.audit.checkpoint import (
    SigningKey,
    VerifierKey,
    check_note,
    checkpoints,
    make_checkpoint,
    read_note,
    verifier_keys,
)
from exporter.audit.segments import DAY_SECONDS, prune
from exporter.audit.trail import head
from exporter.errors import AuditError
from tests.support.trail import KEY, OTHER_KEY, append_entries, trail

# From the specifications of Go's package note and of C2SP.
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_TEXT = (
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
)
GO_SIGNATURE = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
RECORDS = 3


@pytest.fixture
def connection():  # type: ignore[no-untyped-def]
    with trail() as connection:
        append_entries(connection, RECORDS)
        yield connection


def test_a_signature_of_another_implementation_is_accepted() -> None:
    key = VerifierKey.parse(GO_KEY)
    assert str(key) == GO_KEY
    signature = base64.b64decode(GO_SIGNATURE)
    assert signature[:4] == key.id
    assert key.signed(GO_TEXT, signature[4:])
    assert not key.signed(GO_TEXT + " ", signature[4:])


def test_a_checkpoint_has_the_form_of_a_transparency_log(connection) -> None:  # type: ignore[no-untyped-def]
    found = make_checkpoint(connection, KEY, 2000.0)
    digest = base64.b64encode(head(connection).digest).decode()
    assert found.note.startswith(
        f"mlflow-exporter/tests\n{RECORDS + 1}\n{digest}\n\n— mlflow-exporter/tests "
    )
    note = check_note(found.note, [OTHER_KEY.vkey, KEY.vkey])
    assert (note.origin, note.seq, note.digest) == (KEY.name, found.seq, found.digest)
    assert list(checkpoints(connection)) == [found]


def test_without_a_key_it_is_not_signed_and_not_stored(connection) -> None:  # type: ignore[no-untyped-def]
    found = make_checkpoint(connection, None, 2000.0)
    assert (found.seq, found.digest, found.note) == (*head(connection), "")
    assert not list(checkpoints(connection))


def test_a_key_is_recorded_once(connection) -> None:  # type: ignore[no-untyped-def]
    for at in (2000.0, 3000.0):
        assert make_checkpoint(connection, KEY, at).seq == RECORDS + 1
    assert make_checkpoint(connection, OTHER_KEY, 4000.0).seq == RECORDS + 2
    assert verifier_keys(connection) == [KEY.vkey, OTHER_KEY.vkey]
    assert [found.at for found in checkpoints(connection)] == [2000.0, 4000.0]
    assert [found.seq for found in checkpoints(connection, 5, 5)] == [5]


def test_the_key_is_known_after_its_record_was_pruned(connection) -> None:  # type: ignore[no-untyped-def]
    make_checkpoint(connection, KEY, 2000.0)
    append_entries(connection, 1, at=5 * DAY_SECONDS)
    assert prune(connection, 3 * DAY_SECONDS, 6 * DAY_SECONDS)
    assert verifier_keys(connection) == [KEY.vkey]
    before = head(connection).seq
    assert make_checkpoint(connection, KEY, 6 * DAY_SECONDS).seq == before


def test_a_changed_text_is_not_signed() -> None:
    note = KEY.sign(f"{KEY.name}\n7\n{base64.b64encode(bytes(32)).decode()}\n")
    assert check_note(note, [KEY.vkey]).seq == 7
    with pytest.raises(AuditError, match="record 8 is not signed by a known key"):
        check_note(note.replace("\n7\n", "\n8\n"), [KEY.vkey])
    with pytest.raises(AuditError, match="not signed"):
        check_note(note, [OTHER_KEY.vkey])


def test_further_lines_and_foreign_signatures_are_allowed() -> None:
    text = f"{KEY.name}\n7\n{base64.b64encode(bytes(32)).decode()}\nextension\n"
    foreign = SigningKey("witness.example/w1", bytes(range(1, 33))).sign(text).rpartition("\n\n")[2]
    assert check_note(KEY.sign(text) + foreign, [KEY.vkey]).seq == 7


def test_one_wrong_signature_of_a_known_key_spoils_a_note() -> None:
    text = f"{KEY.name}\n7\n{base64.b64encode(bytes(32)).decode()}\n"
    wrong = KEY.sign(text + "x\n").rpartition("\n\n")[2]
    for note in (KEY.sign(text) + wrong, text + "\n" + wrong + KEY.sign(text).rpartition("\n\n")[2]):
        with pytest.raises(AuditError, match="not signed"):
            check_note(note, [KEY.vkey])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "a\n7\n",
        "a\n7\nAAAA\n\n— a AAAAAAAA\n",
        f"a\n07\n{'A' * 43}=\n\n— a AAAAAAAA\n",
        f"a\n-7\n{'A' * 43}=\n\n— a AAAAAAAA\n",
        f"a\n7\n{'A' * 43}=\n\n— a AAAAAAAA",
        f"a\n7\n{'A' * 43}=\n\n- a AAAAAAAA\n",
        f"a\n7\n{'A' * 43}=\n\n— a\n",
        f"a\n7\n{'A' * 43}=\n\n— a ***\n",
        f"a\n7\n{'A' * 43}=\n\n" + "— a AAAAAAAA\n" * 17,
        f"a\n7\n{'A' * 43}=\n" + "x" * 20_000 + "\n\n— a AAAAAAAA\n",
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(AuditError):
        read_note(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "a+b",
        "a+b+c",
        GO_KEY[:-4],
        GO_KEY.replace("c74f20a3", "c74f20a4"),
        GO_KEY.replace("+AR", "+Ah"),
    ],
)
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(AuditError):
        VerifierKey.parse(text)


def test_a_signing_key_is_kept_as_text() -> None:
    key = SigningKey.generate()
    again = SigningKey.parse(key.encode())
    assert (again.vkey, again.encode()) == (key.vkey, key.encode())
    assert key.encode().startswith(f"PRIVATE+KEY+{key.name}+")
    with pytest.raises(AuditError):
        SigningKey.parse(key.vkey)

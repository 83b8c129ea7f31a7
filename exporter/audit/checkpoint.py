"""Checkpoints: signed statements of the chain's end, to be kept outside of the store.

A checkpoint is a C2SP signed note (https://c2sp.org/signed-note) in the form of a transparency log's
(https://c2sp.org/tlog-checkpoint): three lines with the name of the trail, the number of its last record and
that record's digest in base64, and an Ed25519 signature (RFC 8032). The digest is that of a chain, not of a
Merkle tree.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256

import orjson
import sqlalchemy as sa
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from sqlalchemy.dialects import postgresql, sqlite

from exporter.audit.record import Entry
from exporter.audit.trail import append, as_bytes, head
from exporter.errors import AuditError, decoding
from exporter.storage import schema

ED25519 = b"\x01"  # type of the signature, in keys and their ids
MAX_NOTE_BYTES, MAX_SIGNATURES = 16 * 2**10, 16
_NAME = re.compile(r"[^\s+]{1,200}")
_SIZE = re.compile(r"0|[1-9][0-9]{0,17}")
_PRIVATE = "PRIVATE+KEY"

_records, _checkpoints = schema.audit_records, schema.audit_checkpoints
# The record about a key may have been pruned: then the one about that names the key.
_SELECT_KEYS = sa.select(_records.c.body).where(_records.c.kind.in_(("checkpoint_key", "pruned")))


@dataclass(frozen=True)
class VerifierKey:
    """Public key: `name+id+base64`, as C2SP writes it."""

    name: str
    public: bytes

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """
        Raises:
            AuditError: the text is no key for Ed25519, or its id is that of another key.
        """
        name, key_id, data = _split_key(text.strip())
        key = cls(name, data)
        if key.id.hex() != key_id:
            raise AuditError(f"the verifier key of {name} has the id of another")
        return key

    @property
    def id(self) -> bytes:
        """Four bytes that name the key in a signature."""
        return sha256(self.name.encode() + b"\n" + ED25519 + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{_base64(ED25519 + self.public)}"

    def signed(self, text: str, signature: bytes) -> bool:
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text.encode())
        except (InvalidSignature, ValueError):
            return False
        return True


class SigningKey:
    """Private key that signs checkpoints."""

    def __init__(self, name: str, secret: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(secret)
        self.public = VerifierKey(name, self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))

    @classmethod
    def generate(cls) -> SigningKey:
        """New key, named for itself: no other trail has its name."""
        key = Ed25519PrivateKey.generate()
        public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        secret = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        return cls(f"mlflow-exporter/{sha256(public).hexdigest()[:8]}", secret)

    @classmethod
    def parse(cls, text: str) -> SigningKey:
        """
        Raises:
            AuditError: the text is no key as `encode` writes it.
        """
        if not text.startswith(f"{_PRIVATE}+"):
            raise AuditError(f"a signing key begins with {_PRIVATE}")
        name, key_id, secret = _split_key(text.strip().removeprefix(f"{_PRIVATE}+"))
        key = cls(name, secret)
        if key.public.id.hex() != key_id:
            raise AuditError("the signing key has the id of another")
        return key

    def encode(self) -> str:
        """The key as text, in the form of Go's package `note`."""
        secret = self._key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        return f"{_PRIVATE}+{self.public.name}+{self.public.id.hex()}+{_base64(ED25519 + secret)}"

    @property
    def name(self) -> str:
        return self.public.name

    @property
    def vkey(self) -> str:
        """The public key as text."""
        return str(self.public)

    def sign(self, text: str) -> str:
        """Signed note of a text that ends with a newline."""
        signature = _base64(self.public.id + self._key.sign(text.encode()))
        return f"{text}\n— {self.name} {signature}\n"


@dataclass(frozen=True)
class Note:
    """A checkpoint that was read; nothing is known of its signatures yet."""

    origin: str
    seq: int
    digest: bytes
    text: str
    signatures: tuple[tuple[str, bytes], ...]  # name and id with signature

    def signed_by(self, keys: Sequence[VerifierKey]) -> VerifierKey | None:
        """The first of the keys that signed it.

        A wrong signature of a known key spoils the note: None.
        """
        found = None
        for name, signature in self.signatures:
            for key in keys:
                if key.name == name == self.origin and key.id == signature[:4]:
                    if not key.signed(self.text, signature[4:]):
                        return None
                    found = found or key
        return found


@dataclass(frozen=True)
class Checkpoint:
    """The end of the chain at a time; `note` is empty without a key."""

    seq: int
    at: float
    digest: bytes
    note: str


def make_checkpoint(connection: sa.Connection, key: SigningKey | None, now: float) -> Checkpoint:
    """Sign the end of the chain, and store it; a record says by which key, where that is another.

    Args:
        connection: within a transaction. The checkpoint may leave the process once that has ended.
        key: None: the checkpoint has no note, and is not stored.
        now: the clock's time, in seconds since the epoch.
    """
    if key is not None:
        before = _newest_key(connection)
        if before != key.vkey:
            entry = Entry("checkpoint_key", "system", data={"vkey": key.vkey, "before": before})
            append(connection, [entry], now)
    seq, digest = head(connection)
    if key is None:
        return Checkpoint(seq, now, digest, "")
    note = key.sign(f"{key.name}\n{seq}\n{_base64(digest)}\n")
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    row = insert(_checkpoints).values(seq=seq, at=now, note=note)
    connection.execute(row.on_conflict_do_update(index_elements=["seq"], set_={"note": note}))
    return Checkpoint(seq, now, digest, note)


def checkpoints(connection: sa.Connection, first: int = 1, last: int = 2**62) -> Iterator[Checkpoint]:
    """Stored checkpoints of records `first` to `last`, in order.

    Raises:
        AuditError: one of them cannot be read.
    """
    chosen = _checkpoints.c.seq.between(first, last)
    for row in connection.execute(sa.select(_checkpoints).where(chosen).order_by(_checkpoints.c.seq)):
        yield Checkpoint(row.seq, row.at, read_note(row.note).digest, row.note)


def verifier_keys(connection: sa.Connection) -> list[str]:
    """Public keys that the chain says its checkpoints were signed by, oldest first."""
    found = [
        vkey for body in connection.scalars(_SELECT_KEYS.order_by(_records.c.seq)) for vkey in _vkeys(body)
    ]
    return list(dict.fromkeys(found))


def read_note(text: str) -> Note:
    """Parse a checkpoint.

    Raises:
        AuditError: the text is none.
    """
    body, _, last = text.rpartition("\n\n")
    if len(text) > MAX_NOTE_BYTES or not body or not last.endswith("\n"):
        raise AuditError("a checkpoint is a signed note: text, an empty line and lines of signatures")
    lines = body.split("\n")
    signatures = last.removesuffix("\n").split("\n")
    if len(lines) < 3 or not lines[0] or not _SIZE.fullmatch(lines[1]):
        raise AuditError("a checkpoint has a name, a number and a digest on lines of their own")
    digest = _decode(lines[2])
    if len(digest) != 32:
        raise AuditError("the digest of a checkpoint has 32 bytes")
    if len(signatures) > MAX_SIGNATURES:
        raise AuditError(f"a checkpoint has more than {MAX_SIGNATURES} signatures")
    found = tuple(map(_read_signature, signatures))
    return Note(lines[0], int(lines[1]), digest, f"{body}\n", found)


def check_note(text: str, vkeys: Sequence[str]) -> Note:
    """Parse a checkpoint, and check that one of these keys signed it.

    Raises:
        AuditError: it is none, or no key signed it.
    """
    note = read_note(text)
    if note.signed_by([VerifierKey.parse(vkey) for vkey in vkeys]) is None:
        raise AuditError(f"the checkpoint of record {note.seq} is not signed by a known key")
    return note


def _newest_key(connection: sa.Connection) -> str:
    body = connection.scalar(_SELECT_KEYS.order_by(_records.c.seq.desc()).limit(1))
    return next(reversed(_vkeys(body)), "") if body is not None else ""


def _vkeys(body: bytes) -> list[str]:
    """Keys that a record names."""
    with decoding("a key in the audit trail"):
        data = orjson.loads(as_bytes(body))["data"]
        return [data["vkey"]] if "vkey" in data else list(data["vkeys"])


def _read_signature(line: str) -> tuple[str, bytes]:
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    signature = _decode(encoded)
    if dash != "—" or not _NAME.fullmatch(name) or len(signature) < 5:
        raise AuditError("a line of a signature has a dash (—), a name and the signature")
    return name, signature


def _split_key(text: str) -> tuple[str, str, bytes]:
    """Name, id in hex and the 32 bytes of a key."""
    parts = text.split("+", 2)
    data = _decode(parts[2]) if len(parts) == 3 else b""
    if len(data) != 33 or data[:1] != ED25519 or not _NAME.fullmatch(parts[0]):
        raise AuditError("a key has the form name+id+base64, for Ed25519")
    return parts[0], parts[1], data[1:]


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise AuditError("a checkpoint or key is not in base64") from None

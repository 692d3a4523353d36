"""A signed text, as DSSE has it (secure-systems-lab/dsse, protocol 1.0.2): ed25519 over a type and its bytes.

DSSE signs what was sent, byte for byte, so that no two readings of one JSON can be played against each other.
"""

import base64
import binascii
import hashlib
import os
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from samebits.base.errors import UserError, reason

TYPE = "application/vnd.in-toto+json"
PASSPHRASE = "SIGNING_PASSPHRASE"  # of a key that has one
MAKE_ONE = "`openssl genpkey -algorithm ed25519 -out key.pem` makes one"


def seal(payload: bytes, key: Ed25519PrivateKey) -> dict[str, Any]:
    """Return the envelope of `payload`."""
    signature = {"keyid": fingerprint(key.public_key()), "sig": _encoded(key.sign(_bytes_to_sign(payload)))}
    return {"payloadType": TYPE, "payload": _encoded(payload), "signatures": [signature]}


def opened(envelope: Any, key: Ed25519PublicKey) -> bytes:
    """Return the payload that was signed with `key`. Raises UserError, as the end of a sentence, if none was."""
    try:
        payload, kind = _decoded(envelope["payload"]), envelope["payloadType"]
        signatures = {each["keyid"]: _decoded(each["sig"]) for each in envelope["signatures"]}
    except (KeyError, TypeError, ValueError):
        raise UserError("is no signed statement: it should be an envelope as `samebits sign` writes it") from None
    if kind != TYPE:
        raise UserError(f"holds a {str(kind)[:100]!r}, not a statement ({TYPE})")
    if fingerprint(key) not in signatures:
        raise UserError(f"was signed by another key, {', '.join(map(str, signatures))[:200]}")
    try:
        key.verify(signatures[fingerprint(key)], _bytes_to_sign(payload))
    except InvalidSignature:
        raise UserError("was changed after it was signed: its signature does not fit") from None
    return payload


def private_key(path: Path) -> Ed25519PrivateKey:
    """Read an ed25519 key in PEM, PKCS 8 or OpenSSH's; its passphrase is in SIGNING_PASSPHRASE. Raises UserError."""
    data, secret = _read(path), os.environ.get(PASSPHRASE)
    is_openssh = b"OPENSSH" in data
    load = serialization.load_ssh_private_key if is_openssh else serialization.load_pem_private_key
    try:
        key = load(data, secret.encode() if secret else None)
    except TypeError:
        fault = (
            f"has a passphrase, to be given in {PASSPHRASE}" if not secret else f"has no passphrase: unset {PASSPHRASE}"
        )
        raise UserError(f"{path} {fault}") from None
    except (ValueError, UnsupportedAlgorithm):
        wrong = f", or {PASSPHRASE} is not its passphrase" if secret else ""
        raise UserError(f"{path} is no private key in PEM{wrong}: {MAKE_ONE}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise UserError(f"{path} is a key of another kind than ed25519: {MAKE_ONE}")
    return key


def public_key(path: Path) -> Ed25519PublicKey:
    """Read an ed25519 public key in PEM. Raises UserError."""
    try:
        key = serialization.load_pem_public_key(_read(path))
    except (ValueError, UnsupportedAlgorithm):
        raise UserError(f"{path} is no public key in PEM") from None
    if not isinstance(key, Ed25519PublicKey):
        raise UserError(f"{path} is a key of another kind than ed25519")
    return key


def pem(key: Ed25519PublicKey) -> str:
    """Return a public key as others read it."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.PEM, form).decode()


def fingerprint(key: Ed25519PublicKey) -> str:
    """Return what names a key: the SHA-256 of its 32 bytes."""
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()


def _bytes_to_sign(payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: lengths keep type and payload apart."""
    return b"DSSEv1 %d %s %d %s" % (len(TYPE), TYPE.encode(), len(payload), payload)


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decoded(text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError) as error:
        raise ValueError from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"there is no key {path}: {MAKE_ONE}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {reason(error)}") from None

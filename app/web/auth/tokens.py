"""An API key as text: `likely_`, 8 characters that name it, `_`, 43 that are secret, and 6 of a checksum.

The checksum tells a truncated or mistyped key from an unknown one without a query. The prefix lets scanners
find leaked keys, and `app.observability.logs.redact` find them in log lines.
"""

import hashlib
import re
import secrets
import string
from dataclasses import dataclass
from zlib import crc32

_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_KEY, _SECRET, _CHECKSUM = 8, 43, 6  # 62**43 is more than 2**256, and 62**6 more than 2**32
_SECRET_BITS = 256
_TOKEN = re.compile(rf"likely_([0-9A-Za-z]{{{_KEY}}})_[0-9A-Za-z]{{{_SECRET + _CHECKSUM}}}", re.ASCII)


@dataclass(frozen=True)
class Token:
    """A key's public name and the SHA-256 of its full text: all of it that is stored."""

    key: str
    digest: bytes


def make_token() -> str:
    """Return the text of a new key."""
    key = "".join(secrets.choice(_DIGITS) for _ in range(_KEY))
    text = f"likely_{key}_{_base62(secrets.randbits(_SECRET_BITS), _SECRET)}"
    return text + _checksum(text)


def read_token(text: str) -> Token | None:
    """Parse a key; return None for a wrong shape or a wrong checksum."""
    match = _TOKEN.fullmatch(text)
    if match is None or _checksum(text[:-_CHECKSUM]) != text[-_CHECKSUM:]:
        return None
    return Token(match[1], digest_of(text))


def digest_of(text: str) -> bytes:
    """Return the SHA-256 of a text, by which a key is looked up."""
    return hashlib.sha256(text.encode()).digest()


def _checksum(text: str) -> str:
    return _base62(crc32(text.encode()), _CHECKSUM)


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, len(_DIGITS))
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))

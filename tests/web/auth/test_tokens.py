"""The text of a key: what it is made of, which texts are none, and that hiding leaves no secret."""

import hashlib
import re
import string
import zlib
from collections import Counter

import pytest

from app.observability.logs import redact
from app.web.auth.tokens import make_token, read_token

DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase


def number(text: str) -> int:
    """Return what base62 digits mean; the other way around than the service goes."""
    return sum(DIGITS.index(digit) * 62**place for place, digit in enumerate(reversed(text)))


def test_a_key_says_what_it_is_and_carries_its_checksum() -> None:
    text = make_token()
    match = re.fullmatch(r"likely_([0-9A-Za-z]{8})_([0-9A-Za-z]{43})([0-9A-Za-z]{6})", text)
    assert match
    assert number(match[3]) == zlib.crc32(text[:-6].encode())
    token = read_token(text)
    assert token is not None
    assert (token.key, token.digest) == (match[1], hashlib.sha256(text.encode()).digest())


def test_a_key_has_256_random_bits() -> None:
    secrets = [number(make_token()[16:59]) for _ in range(400)]
    assert len(set(secrets)) == 400
    assert max(secrets) < 2**256
    ones = Counter(bit for secret in secrets for bit in range(256) if secret >> bit & 1)
    assert all(120 < ones[bit] < 280 for bit in range(256))  # eight standard deviations on either side


def test_one_wrong_character_anywhere_is_noticed() -> None:
    text = make_token()
    for place in range(len(text)):
        other = "1" if text[place] == "0" else "0"
        assert read_token(text[:place] + other + text[place + 1 :]) is None


@pytest.mark.parametrize("change", ["{}x", "{}\n", " {}", "{}{}", "", "likely_", "x{}"])
def test_what_is_longer_or_shorter_is_no_key(change: str) -> None:
    assert read_token(change.replace("{}", make_token())) is None
    assert read_token(make_token()[:-1]) is None


def test_a_key_is_hidden_wherever_it_stands_but_for_its_public_name() -> None:
    text = make_token()
    for where in (f"GET /v1/{text}/x?a={text}&b", f'{{"key":"{text}"}}', text.replace("_", "%5f"), text[:-7]):
        hidden = redact(where)
        assert text[16:32] not in hidden
        assert text[7:15] in hidden
    for mistyped in (text[:9] + text[10:], text[:9] + "x" + text[9:]):
        assert text[16:32] not in redact(mistyped)
    assert redact("the movie likely_not_a_key is likely") == "the movie likely_not_a_key is likely"

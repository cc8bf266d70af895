"""Values that are wrong, huge, cut off or meant for another reader: of JSON, of URLs, and whole bodies.

The operations that they are sent to are in `operations.py`. Does not know what is answered.
"""

import gzip
import json

# Pieces of JSON text, by what a field must not be.
BEYOND_FINITE = ("NaN", "Infinity", "-Infinity", "1e999", "-1e999")
NO_NUMBERS = ("true", '"1"', "[]", "{}")
SURROGATES = (r'"\ud800"', r'"\udfff"', r'"a\ud83d"', r'"\udc00\ud800"')
NO_STRINGS = ("5", "true", "[]", "{}", "NaN")
LONG = json.dumps("x" * 129)
BAD_TITLES = (*SURROGATES, *NO_STRINGS, r'"\u0000"', r'"two\nlines"', r'"\u0085"', json.dumps("x" * 501))
BAD_IDS = (
    *SURROGATES,
    *NO_STRINGS,
    *("null", '""', '" "', '"."', '".."', '"a/b"', r'"\u0000"', r'"a\nb"', r'"\u007f"', r'"\u2028"', LONG),
    r'"\ufffd"',
)
BAD_DIMENSIONS = (*SURROGATES, *NO_STRINGS, "null", '""', '" "', r'"\u0000"', r'"a\nb"', LONG)

# Pieces of URLs.
BAD_IDS_IN_URLS = (
    "%00",
    "a%0Ab",
    "%7F",
    "%C2%85",
    "%E2%80%A8",
    "%2E",
    "%2E%2E",
    "%20",
    "x" * 129,
    "%FF",
    "%ED%A0%80",
)
BAD_SUFFIXES = ("jpg", "SVG", "svg.txt", "svg%20", "%00", "%FF", "x" * 5000)
BAD_TRAININGS = ("abc", "0", "-1", "1.5", "1e3", str(2**53), "9" * 5000, "%00", "%FF", "NaN")


BAD_QUERIES = {
    "limit": ("0", "-1", "1001", "x", "1.5", "", "1e3", "9" * 5000, "NaN", "%00"),
    "min_score": ("-0.1", "1.1", "x", "", "NaN", "Infinity", "1e999"),
    "movie": (*BAD_IDS_IN_URLS, "", "a%2Fb"),
    "exclude": (*BAD_IDS_IN_URLS, "", "a%2Fb"),
    "after": ("", "x" * 258),
    "user": (*BAD_IDS_IN_URLS, "", "a%2Fb"),
    "training": ("0", "-1", "1.5", "x", "", str(2**53), "9" * 5000, "NaN"),
    "dimension": ("", "%20", "%00", "a%0Ab", "x" * 129, "vio"),
    "x": ("", "%20", "%00", "a%0Ab", "x" * 129, "vio"),
    "y": ("", "%20", "%00", "a%0Ab", "x" * 129, "vio"),
}

# JSON and what only looks like it, by name: for every field of a body, and whole bodies.
NUMBERS = {
    name: token.encode()
    for name, token in {
        **{token: token for token in ("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1e-999", "-0.0")},
        **{token: token for token in ("01", "+1", ".5", "1.", "1e", "0x10", "1_000", "--1", "1e+", "1e39")},
        "2**53": str(2**53),
        "2**63": str(2**63),
        "2**64": str(2**64),
        "-2**63": str(-(2**63)),
        "5,000 digits": "9" * 5000,
        "4,000 digits": "9" * 4000,
        "100,000 digits behind the point": "0." + "3" * 100_000,
        "an exponent of 10,000 digits": "1e" + "9" * 10_000,
    }.items()
}
TEXTS = {
    "a high surrogate": rb'"\ud800"',
    "a low surrogate": rb'"\udfff"',
    "half of an emoji": rb'"a\ud83d"',
    "surrogates the wrong way": rb'"\udc00\ud800"',
    "an escaped NUL": rb'"\u0000"',
    "a NUL": b'"a\0b"',
    "a control character": b'"a\x01b"',
    "DEL": b'"a\x7fb"',
    "a line break": b'"a\r\nb"',
    "a wrong escape": rb'"\x41"',
    "half an escape": rb'"\u12"',
    "an escape that is no number": rb'"\uZZZZ"',
    "a text without end": b'"abc',
    "a backslash at the end": b'"abc\\',
    "a megabyte of text": b'"' + b"x" * 2**20 + b'"',
    "a right-to-left override": rb'"\u202eabc"',
    "a byte order mark in a text": rb'"\ufeff"',
    "a line separator": rb'"\u2028"',
    "ten thousand accents": b'"a' + rb"\u0301" * 10_000 + b'"',
    "a path": b'"../../../../etc/passwd"',
    "SQL": b'"\'; DROP TABLE users; --"',
    "a template": b'"{{7*7}} ${jndi:ldap://x} {0.__class__}"',
    "a script": b'"<script>alert(1)</script>"',
    "a formula": b"\"=cmd|' /C calc'!A0\"",
    "a format": b'"%s%n%x {} {0} %(a)s"',
    "bytes that are no UTF-8": b'"\xff\xfe"',
    "overlong UTF-8": b'"\xc0\x80"',
    "a surrogate in UTF-8": b'"\xed\xa0\x80"',
    "beyond Unicode": b'"\xf4\x90\x80\x80"',
    "cut-off UTF-8": b'"\xe2\x82"',
}
VALUES = {
    **{
        each: each.encode()
        for each in ("null", "true", "[]", "{}", '""', "0", "-1", "[[]]", "[null]", "[{}]")
    },
    "a list of names": b'["a", "a", "a"]',
    "nested 90 times": b"[" * 90 + b"]" * 90,
    "nested 200 times": b"[" * 200 + b"]" * 200,
    "a hundred thousand empty lists": b"[" + b"[]," * 99_999 + b"[]]",
    "half a million zeros": b"[" + b"0," * 499_999 + b"0]",
}
BODIES = {
    "nothing": b"",
    "blanks": b" \t\r\n" * 100,
    "null": b"null",
    "a number": b"5",
    "a text": b'"text"',
    "a list": b"[1, 2]",
    "an empty object": b"{}",
    "a comma too much": b'{"a": 1,}',
    "a comment": b'{"a": 1} // yes',
    "single quotes": b"{'a': 1}",
    "two documents": b"{}{}",
    "half a document": b'{"a": [1, 2',
    "100,000 opening brackets": b"[" * 100_000,
    "100,000 opening braces": b'{"a":' * 100_000,
    "100,000 brackets, balanced": b"[" * 100_000 + b"]" * 100_000,
    "only closing brackets": b"]" * 100_000,
    "brackets in a text": b'{"a": "' + b"[" * 100_000 + b'"}',
    "escaped quotes": b'{"a": "' + b'\\"' * 100_000,
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "UTF-32": '{"a": 1}'.encode("utf-32"),
    "Latin-1": '{"a": "é"}'.encode("latin-1"),
    "all bytes": bytes(range(256)),
    "NULs": b"\0" * 1000,
    "gzip that nobody announced": gzip.compress(b"{}"),
    "Parquet's ends": b"PAR1" + b"\0" * 100 + b"PAR1",
    "100,000 names": b"{" + b",".join(b'"a%d":1' % number for number in range(100_000)) + b"}",
    "a name of a megabyte": b'{"' + b"a" * 2**20 + b'": 1}',
    "no name": b'{"": 1}',
    "a NUL in a name": rb'{"a\u0000b": 1}',
    "a surrogate in a name": rb'{"\ud800": 1}',
    "names of objects' insides": b'{"__proto__": {}, "constructor": {}, "__class__": {}, "model_config": {}}',
    "a body over the limit": b'{"a": "' + b"x" * (4 * 2**20) + b'"}',
    "CSV with quotes without end": b'user,movie,response\n"a,b,1\n',
    "lines of NDJSON that are none": b'{"movie": "a"\n[]\n\n\0\n' * 100,
}

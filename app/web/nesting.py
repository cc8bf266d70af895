"""How deeply the brackets of a JSON text nest, in linear time and before anything parses it.

Does not know whether the text is JSON.
"""

import json
import re

import numpy as np

# Possessive, and a string without its end is one up to the end of the text: no text makes this go back.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_OPENING, _CLOSING = b"[{", b"]}"
_OTHERS = bytes(set(range(256)) - set(_OPENING + _CLOSING + b'"'))
_STEPS = bytes.maketrans(_OPENING + _CLOSING, b"\x01\x01\xff\xff")  # +1 and −1 as int8


def nests_deeper(text: bytes, than: int) -> bool:
    """Return whether arrays and objects nest in each other more than so many times."""
    if len(text) <= than:
        return False
    if b"\0" in text:  # of UTF-16, in which a letter may have the byte of a quotation mark
        text = text.decode(json.detect_encoding(text), "replace").encode()
    if b"\\" in text:
        text = _STRING.sub(b"", text)
    # Most strings have no bracket, and are two quotation marks now; what is left between two is in one.
    marks = text.translate(None, _OTHERS).replace(b'""', b"")
    steps = np.frombuffer(b"".join(marks.split(b'"')[::2]).translate(_STEPS), np.int8)
    return bool(steps.size) and int(np.cumsum(steps, dtype=np.int32).max()) > than

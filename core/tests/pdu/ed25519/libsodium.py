"""Says which edge cases libsodium accepts; see the README beside this file."""

import sys

from nacl.exceptions import CryptoError
from nacl.signing import VerifyKey


def verdict(key: bytes, signature: bytes, message: bytes) -> str:
    try:
        VerifyKey(key).verify(message, signature)
    except CryptoError:
        return "refused"
    return "accepted"


for line in sys.stdin:
    marker, *fields = line.rstrip("\n").split(" ")
    if marker == "case":
        print(verdict(*map(bytes.fromhex, fields)))

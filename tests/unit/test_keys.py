"""Keys: one application's key says nothing of another's, nor of another purpose."""

import hashlib
import hmac
import itertools

from remora_api.keys import Purpose, derive


def test_a_key_is_the_hmac_that_the_docstring_says() -> None:
    expected = hmac.new(b"master", b"remora/v1/u-1/data/2", hashlib.sha256).hexdigest()
    assert derive(b"master", "u-1", Purpose.DATA, 2) == expected


def test_every_purpose_uid_generation_and_master_has_a_key_of_its_own() -> None:
    cases = itertools.product((b"a", b"b"), ("u-1", "u-2"), Purpose, (1, 2))
    keys = [derive(*case) for case in cases]
    assert len(set(keys)) == len(keys) == 2 * 2 * len(Purpose) * 2

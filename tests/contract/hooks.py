"""What fuzz-api.sh adds to generated requests, and what it counts of the answers.

A caller may make some 600 requests a minute, whom it takes no minute to make: requests come from ever new users, and, as
a trusted proxy says, from ever new addresses. Each twentieth has no token. Generated texts hardly ever name an entity or
look like a date: some are replaced by such.
"""

import atexit
import base64
import collections
import hashlib
import hmac
import itertools
import json
import os
import time
import zlib

import schemathesis

SECRET = os.environ["SUPABASE_JWT_SECRET"].encode()
ISSUER = os.environ["SUPABASE_URL"] + "/auth/v1"
CALLS_OF_A_USER = 50
WITHOUT_A_TOKEN = 20
DATES = [
    "2026-01-31", "2026-01-31T10:00:00Z", "0001-01-01", "9999-12-31", "0000-01-01", "-0001-12-31", "-4713-01-01",
    "-9999-12-31", "+262142-12-31", "-262143-01-01", "9999-12-31T23:59:59-14:00", "2026-02-30", "2026-06-30T23:59:60Z",
]
calls = itertools.count()
answers = collections.Counter()


def packed(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(number: int) -> str:
    now = int(time.time())
    claims = {
        "iss": ISSUER, "aud": "authenticated", "role": "authenticated", "iat": now, "exp": now + 3600,
        "sub": f"5f1d9a3e-2c1b-4d6e-9f00-{number:012d}", "app_metadata": {"b24sync_role": "admin"},
    }
    text = ".".join(packed(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
    return f"{text}.{packed(hmac.new(SECRET, text.encode(), hashlib.sha256).digest())}"


def chosen(value: object, one_in: int) -> bool:
    return zlib.crc32(repr(value).encode()) % one_in == 0


def with_entity(values: object, name: str) -> object:
    if isinstance(values, dict) and name in values and chosen(values, 2):
        values[name] = "deal"
    return values


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    return with_entity(path_parameters, "entity")


@schemathesis.hook
def map_body(context, body):
    return with_entity(body, "entity_type")


@schemathesis.hook
def map_query(context, query):
    for name in ("date_from", "date_to"):
        if isinstance(query, dict) and name in query and not chosen(query[name], 4):
            query[name] = DATES[zlib.crc32(repr(query[name]).encode()) % len(DATES)]
    return with_entity(query, "entity_type")


@schemathesis.hook
def before_call(context, case, kwargs):
    number = next(calls)
    case.headers["X-Forwarded-For"] = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    if number % WITHOUT_A_TOKEN == WITHOUT_A_TOKEN - 1:
        case.headers.pop("Authorization", None)
    else:
        case.headers["Authorization"] = f"Bearer {token(number // CALLS_OF_A_USER)}"


@schemathesis.hook
def after_call(context, case, response):
    answers[response.status_code] += 1


@atexit.register
def tell():
    with open(os.environ["ANSWERS"], "w") as file:
        file.writelines(f"{status} {count}\n" for status, count in sorted(answers.items()))

"""Holds the description of the API to the standard, and a running hotshard to the description.

api.py URL GROUP fetches the description from there, validates it, asks every route that reads for what is known (GROUP stands for the
id) and for what isn't there, and compares each answer with what is described: status, content type, and JSON by its schema. It prints
the routes it asked, one a line.
"""

import json
import sys
import urllib.error
import urllib.request

from jsonschema import Draft202012Validator
from openapi_spec_validator import validate


def ask(url):
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            kind = answer.headers.get_content_type()
            # A stream never ends; its first line says enough.
            body = answer.readline() if kind == "text/event-stream" else answer.read()
            return answer.status, kind, body
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get_content_type(), error.read()


def strict(schema):
    """The schema with no room for what it doesn't name."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    narrow = {name: strict(part) for name, part in schema.items()}
    if isinstance(schema.get("properties"), dict) and "object" in schema.get("type", ""):
        narrow.setdefault("additionalProperties", False)
    return narrow


def check(description, path, url):
    responses = description["paths"][path]["get"]["responses"]
    status, kind, body = ask(url)
    described = responses.get(str(status))
    assert described, f"{url} answers {status}, which isn't described: {body[:200]}"
    assert kind in described["content"], f"{url} answers {kind}, which isn't described: {body[:200]}"
    if kind == "application/json":
        schema = {**strict(described["content"][kind]["schema"]), "components": strict(description["components"])}
        Draft202012Validator(schema).validate(json.loads(body))
    return status


def main(base, group):
    status, _, body = ask(f"{base}/api/openapi.json")
    assert status == 200, body
    description = json.loads(body)
    validate(description)
    for path, methods in description["paths"].items():
        if "get" not in methods:
            continue
        status = check(description, path, base + path.replace("{id}", group).replace("{n}", "1"))
        assert status == 200, f"{path} answers {status}"
        if "{" in path:
            status = check(description, path, base + path.replace("{id}", "none").replace("{n}", "999999"))
            assert status == 404, f"{path} of what isn't there answers {status}"
            status = check(description, path, f"{base}{path.replace('{id}', '%ff').replace('{n}', 'x')}")
            assert status == 400, f"{path} of nonsense answers {status}"
        print(path)


main(*sys.argv[1:])

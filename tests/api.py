"""Holds the description of the API to the standard, and a running hotshard to the description.

api.py URL GROUP CONFIGURATION fetches the description from there, validates it, asks every route for what is known (GROUP stands for
the id), for what isn't there, for nonsense, and under the name of a stranger, and compares each answer with what is described: status,
content type, and JSON by its schema; the events of a stream, too. CONFIGURATION is the file hotshard reads again, and is broken at the
end. It prints what it asked, a method and a route a line.
"""

import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

STREAM = "text/event-stream"


def ask(method, url, headers=None):
    request = urllib.request.Request(url, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            kind = answer.headers.get_content_type()
            # A stream never ends.
            body = b"" if method == "HEAD" else events(answer) if kind == STREAM else answer.read()
            return answer.status, kind, body
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get_content_type(), error.read()


def events(stream):
    """The first event of each name, once there is one that tells of a window."""
    found, name, deadline = {}, None, time.monotonic() + 60
    while not (found.get("groups") and found.get("windows") and json.loads(found["windows"])["windows"]):
        assert time.monotonic() < deadline, f"no window is told of: {found}"
        line = stream.readline().decode()
        assert line, f"the stream ended: {found}"
        if line.startswith("event:"):
            name = line.removeprefix("event:").strip()
        elif line.startswith("data:"):
            found[name] = line.removeprefix("data:").strip()
    return found


def strict(schema):
    """The schema with no room for what it doesn't name."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    narrow = {name: strict(part) for name, part in schema.items()}
    if isinstance(schema.get("properties"), dict) and "object" in schema.get("type", ""):
        narrow.setdefault("additionalProperties", False)
        narrow.setdefault("required", list(schema["properties"]))
    return narrow


def hold(description, schema, text):
    whole = {**strict(schema), "components": strict(description["components"])}
    Draft202012Validator(whole).validate(json.loads(text))


def check(description, method, path, url, headers=None):
    """The status, if the answer is one of those described."""
    responses = description["paths"][path][method.lower()]["responses"]
    status, kind, body = ask(method, url, headers)
    described = responses.get(str(status))
    assert described, f"{method} {url} answers {status}, which isn't described: {body[:200]}"
    assert kind in described["content"], f"{method} {url} answers {kind}, which isn't described: {body[:200]}"
    content = described["content"][kind]
    if kind == "application/json":
        hold(description, content["schema"], body)
    for name, data in body.items() if kind == STREAM else []:
        schema = content["x-events"].get(name)
        assert schema, f"{url} tells of {name}, which isn't described"
        if data:
            hold(description, schema, data)
    return status


def question(operation):
    """What stands behind the `?` where a route can't do without it."""
    needed = [one for one in operation.get("parameters", []) if one["in"] == "query" and one["required"]]
    return "?" + urllib.parse.urlencode({one["name"]: one["example"] for one in needed}) if needed else ""


def main(base, group, configuration):
    status, _, body = ask("GET", f"{base}/api/openapi.json")
    assert status == 200, body
    description = json.loads(body)
    validate(description)

    def url_of(path, names, asked):
        return base + path.replace("{id}", names[0]).replace("{n}", names[1]) + asked

    def expect(wanted, method, path, names=(group, "1"), headers=None, asked=None):
        asked = question(description["paths"][path][method.lower()]) if asked is None else asked
        url = url_of(path, names, asked)
        status = check(description, method, path, url, headers)
        # No round begins while another one's windows are open.
        patience = time.monotonic() + 30
        while (status, wanted) == (409, 200) and time.monotonic() < patience:
            time.sleep(0.2)
            status = check(description, method, path, url, headers)
        assert status == wanted, f"{method} {url} {headers or ''} answers {status}, not {wanted}"

    for path, methods in description["paths"].items():
        described = {"parameters"}.isdisjoint(methods) and [method.upper() for method in methods]
        assert described in (["GET"], ["POST"]), f"{path}: {described}"
        [method] = described
        if method == "POST":
            # Another site's page, in somebody's browser, or one that was led here under a name of its own.
            for stranger in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Host": "evil.example"}):
                expect(403, method, path, headers=stranger)
            expect(200, method, path, headers={"Origin": base})
        elif "403" in methods["get"]["responses"]:
            expect(403, method, path, headers={"Host": "evil.example"})
        expect(200, method, path)
        if method == "GET":
            asked = question(methods["get"])
            assert ask("HEAD", url_of(path, (group, "1"), asked))[0] == 200, f"HEAD {path}"
            if asked:
                expect(400, method, path, asked="")
                # A statement takes its time: a page of another site, which couldn't read the answer, can't even begin one.
                expect(403, method, path, headers={"Sec-Fetch-Site": "cross-site"})
        if "{" in path:
            expect(404, method, path, ("none", "999999"))
            expect(400, method, path, ("%ff", "x"))
        print(method, path)
    with open(configuration, "w") as file:
        file.write("[poll]\nintervall = '1s'\n")
    expect(409, "POST", "/-/reload")


main(*sys.argv[1:])

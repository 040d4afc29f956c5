"""Opens a page in a real browser and waits until it shows a text.

browse.py CHROMIUM URL TEXT SECONDS prints JSON: what the page says, and every error of its console. The browser is spoken to over
two pipes, so no port is opened; pages that stream never finish loading, which is why its own ways to dump a page don't end.
"""

import json
import os
import select
import subprocess
import sys
import tempfile
import time


class Browser:
    def __init__(self, chromium, profile):
        (ours, self.requests), (self.answers, theirs) = os.pipe(), os.pipe()
        # The browser wants its pipes at 3 and 4; through files of higher numbers nothing gets in the way.
        script = f'exec "$@" 3<&{ours} 4>&{theirs}'
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", f"--user-data-dir={profile}"]
        self.process = subprocess.Popen(
            ["bash", "-c", script, "bash", chromium, *flags, "about:blank"],
            pass_fds=(ours, theirs), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        os.close(ours)
        os.close(theirs)
        self.last, self.buffer, self.errors = 0, b"", []

    def call(self, method, session=None, **params):
        self.last += 1
        message = {"id": self.last, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self.requests, json.dumps(message).encode() + b"\0")
        while (answer := self.receive()).get("id") != self.last:
            self.note(answer)
        if "error" in answer:
            sys.exit(f"{method}: {answer['error']}")
        return answer["result"]

    def receive(self):
        while b"\0" not in self.buffer:
            if not select.select([self.answers], [], [], 30)[0]:
                sys.exit("the browser says nothing")
            piece = os.read(self.answers, 1 << 16)
            if not piece:
                sys.exit("the browser is gone")
            self.buffer += piece
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def note(self, event):
        params = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description") or details["text"])
        elif event.get("method") == "Runtime.consoleAPICalled" and params["type"] == "error":
            self.errors.append(json.dumps(params["args"]))
        elif event.get("method") == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(params["entry"]["text"])


def main(chromium, url, text, seconds):
    deadline = time.monotonic() + float(seconds)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(chromium, profile)
        try:
            target = browser.call("Target.createTarget", url="about:blank")["targetId"]
            session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ["Runtime", "Log", "Page"]:
                browser.call(f"{domain}.enable", session)
            browser.call("Page.navigate", session, url=url)
            said = ""
            while text not in said and time.monotonic() < deadline and not browser.errors:
                time.sleep(0.2)
                answer = browser.call("Runtime.evaluate", session, expression="document.body?.innerText ?? ''")
                said = answer["result"]["value"]
            print(json.dumps({"said": said, "errors": browser.errors}))
        finally:
            browser.process.terminate()
            browser.process.wait(10)


main(*sys.argv[1:])

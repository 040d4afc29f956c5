"""Opens a page in a real browser and waits until it shows a text.

browse.py CHROMIUM URL TEXT SECONDS prints JSON: what the page says, and every error of its console. With `print` behind them also what
of it would be cut off or lie on each other on paper, and on how many sheets it fits; with `narrow` what is cut off on a telephone. The
browser is spoken to over two pipes, so no port is opened; pages that stream never finish loading, which is why its own ways to dump a page
don't end.
"""

import base64
import json
import os
import re
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


# A4 within the browser's own margins, in CSS pixels.
PAPER = {"width": 718, "height": 1047, "deviceScaleFactor": 1, "mobile": False}

# Elements beyond the right edge, and texts of one chart that lie on each other.
FAULTS = """(() => {
    const name = element => `${element.tagName.toLowerCase()} ${element.textContent.slice(0, 60)}`;
    const box = element => element.getBoundingClientRect();
    const all = [...document.querySelectorAll('main *')];
    const cut = all.filter(element => box(element).width > 0 && box(element).right > innerWidth + 1).map(name);
    const overlapping = [];
    for (const chart of document.querySelectorAll('svg.chart')) {
        const texts = [...chart.querySelectorAll('text')].map(text => [name(text), box(text)]);
        texts.forEach(([one, a], place) => texts.slice(place + 1).forEach(([other, b]) => {
            const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
            const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
            if (wide > 1 && high > 3) overlapping.push(`${one} / ${other}`);
        }));
    }
    return {cut, overlapping};
})()"""


def printed(browser, session):
    browser.call("Emulation.setEmulatedMedia", session, media="print")
    browser.call("Emulation.setDeviceMetricsOverride", session, **PAPER)
    faults = browser.call("Runtime.evaluate", session, expression=FAULTS, returnByValue=True)["result"]["value"]
    pdf = base64.b64decode(browser.call("Page.printToPDF", session, paperWidth=8.27, paperHeight=11.69)["data"])
    return {**faults, "sheets": len(re.findall(rb"/Type /Page\b", pdf))}


# A small telephone.
TELEPHONE = {"width": 320, "height": 700, "deviceScaleFactor": 1, "mobile": False}


def narrow(browser, session):
    browser.call("Emulation.setDeviceMetricsOverride", session, **TELEPHONE)
    script = FAULTS.replace("main *", "body *")
    return browser.call("Runtime.evaluate", session, expression=script, returnByValue=True)["result"]["value"]


def main(chromium, url, text, seconds, medium="screen"):
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
            look = {"print": printed, "narrow": narrow}.get(medium, lambda *_: {})
            print(json.dumps({"said": said, "errors": browser.errors, **look(browser, session)}))
        finally:
            browser.process.terminate()
            browser.process.wait(10)


main(*sys.argv[1:])

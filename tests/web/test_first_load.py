"""What a browser fetches for a page, by its own count: little at first, and no file twice."""

from dataclasses import dataclass, field

import pytest

from app.web.assets import Assets
from tests.support.console_scene import watched
from tests.support.crawling import Walker

pytestmark = pytest.mark.slow
MOST = 150_000
"""Bytes on the wire, heads and bodies, compressed: of the page and of all that it brings with it."""
STATIC = "/console/static/"
_WEIGHED = 2


@pytest.fixture(scope="module")
def tabs(full_installation, chromium):
    with watched(full_installation, chromium) as tabs:
        yield tabs


@dataclass
class Wire:
    """``sent``: what came over the wire, in bytes, by address; a file from the browser's cache costs none."""

    sent: dict[str, float] = field(default_factory=dict)
    _addresses: dict[str, str] = field(default_factory=dict)

    def listen(self, page):
        session = page.context.new_cdp_session(page)
        session.send("Network.enable")
        session.on("Network.requestWillBeSent", self._asked)
        session.on("Network.loadingFinished", self._finished)

    def _asked(self, event):
        self._addresses[event["requestId"]] = event["request"]["url"]

    def _finished(self, event):
        address = self._addresses.get(event["requestId"], "")
        if not address.startswith("data:"):
            self.sent[address] = self.sent.get(address, 0) + event["encodedDataLength"]


def loaded(page, url):
    """What it takes to show this page in this window."""
    wire = Wire()
    wire.listen(page)
    page.goto(url)  # a pause before all of it has come is no idleness yet
    page.wait_for_load_state("networkidle")
    return wire.sent


@pytest.fixture(scope="module")
def heaviest(full_installation):
    """The pages to weigh: with a plot and without, those that seem to be the largest."""
    weights = {True: {}, False: {}}
    files = Assets().files
    for each in Walker(full_installation).walk("alice").pages:
        if each.is_page:
            names = [file.partition("/console/static/")[2].partition("/")[2] for file in each.page.files]
            weight = len(each.answer.data) + sum(len(files[name].compressed) for name in names)
            weights["vendor/uplot.min.js" in names][each.url] = weight
    return [
        url for pages in weights.values() for url in sorted(pages, key=pages.get, reverse=True)[:_WEIGHED]
    ]


def test_the_heaviest_pages_come_quickly_the_first_time(heaviest, tabs):
    sizes = {}
    with tabs.open("alice") as page:
        browser = page.context.new_cdp_session(page)
        for url in heaviest:
            browser.send("Network.clearBrowserCache")
            sent = loaded(page, url)
            assert len([size for address, size in sent.items() if STATIC in address and size > 500]) > 5, sent
            sizes[url] = sum(sent.values())
    assert {url: size for url, size in sizes.items() if size > MOST} == {}


@pytest.mark.parametrize("url", ["/console/", "/console/keys"])
def test_no_file_comes_twice(tabs, url):
    with tabs.open("alice") as page:
        loaded(page, url)
        again = loaded(page, url)
    assert {address: size for address, size in again.items() if STATIC in address and size} == {}
    assert sum(again.values()) > 0

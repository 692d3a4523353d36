"""The report of really trained digits as a visitor has it: two widths, two themes, on paper, without a network."""

import base64
import contextlib

import pytest

from stages import report
from tests.made import chromium
from tests.made.trained import digits

pytestmark = pytest.mark.skipif(not chromium.PROGRAM, reason="there is no Chromium here")

# What somebody who sees badly, or nothing, stumbles over: each line is a list of faults.
FAULTS = """(() => {
  const all = selector => [...document.querySelectorAll(selector)];
  const name = element => element.outerHTML.slice(0, 120);
  const numbers = color => color.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(c => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = element => {
    for (let e = element; e; e = e.parentElement) {
      const color = numbers(getComputedStyle(e).backgroundColor);
      if (color.length === 3 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  const contrast = element => {
    const [a, b] = [light(numbers(getComputedStyle(element).color)), light(behind(element))];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  };
  const text = all("main *:not(svg *)").filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()));
  const levels = all("h1, h2, h3, h4").map(h => Number(h.tagName[1]));
  const ids = all("[id]").map(e => e.id), width = document.documentElement.scrollWidth;
  return {
    "wider than the window": width > innerWidth ? [width] : [],
    "hard to read": text.filter(e => contrast(e) < 4.5).map(name),
    "no alternative": all("img:not([alt]), img[alt=''], svg:not([role=img]), svg:not([aria-label])").map(name),
    "broken image": all("img").filter(e => e.complete && !e.naturalWidth).map(name),
    "a level left out": levels.filter((level, i) => i && level > levels[i - 1] + 1),
    "not one h1": all("h1").length === 1 ? [] : all("h1").map(name),
    "a header of nothing": all("th:not([scope])").map(name),
    "a table without a name": all("table:not([aria-label] *, [aria-labelledby] *)").filter(e => !e.caption).map(name),
    "an id twice": ids.filter((id, i) => ids.indexOf(id) !== i),
    "a link to nowhere": all("a").filter(e => !e.textContent.trim() || !document.querySelector(e.hash)).map(name),
    "out of reach of the keyboard":
      all("*:not([tabindex])").filter(e => getComputedStyle(e).overflowX === "auto").map(name),
    "no language": document.documentElement.lang ? [] : ["html"],
  };
})()"""


@pytest.fixture(scope="module")
def page():
    """The page, opened from its file."""
    with contextlib.chdir(digits()), pytest.MonkeyPatch.context() as patch:
        patch.delenv("DVC_STAGE", raising=False)
        report.main()
    with chromium.browser() as page:
        page.call("Page.navigate", url=(digits() / "reports/index.html").as_uri())
        page.wait("document.readyState === 'complete' && !!document.querySelector('footer')")
        page.js("document.querySelectorAll('details').forEach(e => e.open = true)")
        yield page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_nothing_to_stumble_over(page, width, scheme):
    page.look(width, 900, scheme)
    faults = {fault: found for fault, found in page.js(FAULTS).items() if found}
    assert not faults


def test_every_check_finds_its_fault(page):
    page.look(390, 900)
    plant = """(() => {
      const main = document.querySelector("main"), planted = document.createElement("div");
      planted.innerHTML = `<p style="color: #999">pale</p><div style="width: 2000px">wide</div><img src="data:,x">
        <img alt="x" src="data:,x"><svg></svg><h1>two</h1><h4>deep</h4><table><tr><th>x</th></tr></table>
        <i id="results"></i><a href="#nowhere"></a><div style="overflow-x: auto">box</div>`;
      document.documentElement.lang = "";
      main.append(planted);
      return true;
    })()"""
    page.js(plant)
    page.wait("[...document.images].every(image => image.complete)")
    found = page.js(FAULTS)
    page.js("document.querySelector('main').lastElementChild.remove(), document.documentElement.lang = 'en'")
    assert [fault for fault, places in found.items() if not places] == []


def test_it_asks_for_nothing_and_complains_of_nothing(page):
    assert [url for url in page.requested if not url.startswith(("file:", "data:"))] == []
    assert page.messages == []


def test_it_can_be_printed(page):
    pdf = base64.b64decode(page.call("Page.printToPDF")["data"])
    assert pdf.startswith(b"%PDF")


def test_it_is_small():
    assert (digits() / "reports/index.html").stat().st_size < 5_000_000

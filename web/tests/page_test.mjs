// Drives the chat page in headless Chromium against a real server with a real model.
//   node page_test.mjs CALLIE MODEL [SCREENSHOT_DIR]
// Exits 77 when Chromium is missing, which ctest reports as skipped.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import puppeteer from "puppeteer-core";

const [callie, model, pictures] = process.argv.slice(2);
const browserPath = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);
if (!browserPath) {
  console.log("skipped: there is no Chromium here");
  process.exit(77);
}
if (pictures) mkdirSync(pictures, { recursive: true });

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const port = await freePort();
const origin = `http://127.0.0.1:${port}`;
const server = spawn(callie, ["serve", model, "--port", String(port), "--threads", "1"], { stdio: ["ignore", "ignore", "inherit"] });
process.on("exit", () => server.kill());
for (let tries = 0; ; ++tries) {
  if (await fetch(`${origin}/health`).then((response) => response.ok, () => false)) break;
  assert(tries < 600 && server.exitCode === null, "the server did not start");
  await new Promise((resolve) => setTimeout(resolve, 100));
}

const browser = await puppeteer.launch({ executablePath: browserPath, args: ["--no-sandbox", "--disable-gpu"] });
const page = await browser.newPage();
await page.setViewport({ width: 1200, height: 800 });
const foreign = [];
const errors = [];
page.on("request", (request) => {
  const url = request.url();
  if (!url.startsWith(origin) && !url.startsWith("data:")) foreign.push(url);
});
page.on("pageerror", (error) => errors.push(error.message));
page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
page.on("dialog", (dialog) => dialog.accept());

const button = (name) => `::-p-aria([name="${name}"][role="button"])`;
const picture = (name) => (pictures ? page.screenshot({ path: `${pictures}/${name}.png` }) : null);
const answers = () => page.$$eval("article.assistant .markdown", (all) => all.map((one) => one.textContent.trim()));
const finished = () => page.waitForFunction(() => document.querySelector(".composer button").textContent === "Send" &&
  !document.querySelector('article[aria-busy="true"]'), { timeout: 60000 });
async function ask(text) {
  await page.type("#message", text);
  await page.keyboard.press("Enter");
}
async function change(label, value) {
  const field = await page.waitForSelector(`::-p-aria([name="${label}"])`);
  await field.click({ count: 3 });
  await field.type(value);
  await page.keyboard.press("Tab");
}

const tests = {
  async "an answer streams and shows its speed and what came from the cache"() {
    await page.goto(origin);
    await page.waitForFunction(() => document.querySelector(".picker select")?.value);
    await page.click(button("Settings"));
    // Long enough to fill a block of the prefix cache.
    await change("System prompt", "You are a careful assistant who answers in short and plain sentences. ".repeat(8));
    await change("Temperature", "0");
    await change("Longest answer (tokens)", "60");
    await page.click(button("Settings"));
    await ask("What is the capital of France? Answer in one short sentence.");
    await page.waitForSelector('article[aria-busy="true"]');
    await finished();
    assert.match((await answers())[0], /Paris/);
    assert.match(await page.$eval("article.assistant .speed", (line) => line.textContent),
      /[\d.]+ tokens\/s · \d+ tokens · first after \d+ ms · prompt \d+ tokens, \d+ from the cache/);
    await picture("answer-light");
  },

  async "the message field has the focus again, so that a conversation needs no mouse"() {
    assert.equal(await page.evaluate(() => document.activeElement.id), "message");
  },

  async "regenerate replaces the last answer, greedily by the same one"() {
    const before = await answers();
    await page.click(button("Regenerate"));
    await page.waitForSelector('article[aria-busy="true"]');
    await finished();
    assert.deepEqual(await answers(), before);
    assert.match(await page.$eval("article.assistant .speed", (line) => line.textContent), /, [1-9]\d* from the cache/);
  },

  async "an edited question is asked again"() {
    await page.click(button("Edit"));
    const field = await page.waitForSelector('::-p-aria([name="Edit the message"])');
    await field.evaluate((area) => area.select());
    await field.type("What is the capital of Italy? Answer in one short sentence.");
    await page.click(button("Ask again"));
    await page.waitForSelector('article[aria-busy="true"]');
    await finished();
    assert.equal((await answers()).length, 1);
    assert.match((await answers())[0], /Rome/);
  },

  async "stop ends an answer and keeps what was written"() {
    await page.click(button("Settings"));
    await change("Longest answer (tokens)", "2000");
    await page.click(button("Settings"));
    await ask("Tell me a very long story about the sea.");
    await page.waitForFunction(() => [...document.querySelectorAll("article.assistant .markdown")].at(-1)?.textContent.length > 40);
    await page.click(button("Stop"));
    await finished();
    assert((await answers()).at(-1).length > 40);
    assert.match(await page.$eval("article.assistant:last-of-type footer", (line) => line.textContent), /stopped/);
  },

  async "conversations survive a reload and can be found, renamed and deleted"() {
    const before = await answers();
    await page.reload();
    await page.waitForSelector("article.assistant");
    assert.deepEqual(await answers(), before);
    await page.keyboard.down("Control");
    await page.keyboard.down("Shift");
    await page.keyboard.press("KeyO");
    await page.keyboard.up("Shift");
    await page.keyboard.up("Control");
    await page.waitForFunction(() => document.querySelectorAll("article").length === 0);
    await ask("Say hello.");
    await page.waitForSelector('article[aria-busy="true"]');
    await page.waitForFunction(() => document.querySelector("article.assistant .markdown")?.textContent.length > 5);
    await page.keyboard.press("Escape");
    await finished();
    assert.equal((await page.$$(".sidebar li")).length, 2);
    await page.hover(".sidebar li");
    await page.click(button("Rename Say hello."));
    await page.waitForSelector(".sidebar li input");
    await page.keyboard.down("Control");
    await page.keyboard.press("KeyA");
    await page.keyboard.up("Control");
    await page.keyboard.type("Greeting");
    await page.keyboard.press("Enter");
    await page.waitForSelector(button("Greeting"));
    await page.type('::-p-aria([name="Search conversations"])', "Rome");
    await page.waitForFunction(() => document.querySelectorAll(".sidebar li").length === 1);
    await page.$eval(".sidebar input[type=search]", (field) => {
      field.value = "";
      field.dispatchEvent(new Event("input", { bubbles: true }));
    });
    await page.waitForFunction(() => document.querySelectorAll(".sidebar li").length === 2);
    await page.hover(".sidebar li");
    await page.click(button("Delete Greeting"));
    await page.waitForFunction(() => document.querySelectorAll(".sidebar li").length === 1);
  },

  async "Markdown and code are drawn, highlighted and copied; the model's HTML stays text"() {
    // What the server sends is replaced here, so that the drawing does not depend on what a small model writes.
    const text = "# Title\n\nSome **bold** and `code`.\n\n<script>window.broken = 1</script>\n\n[bad](javascript:alert(1)) " +
      "![picture](http://example.com/a.png)\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```python\ndef add(a, b):\n    return a + b  # sum\n```\n";
    await page.setRequestInterception(true);
    const replace = (request) => {
      if (!request.url().endsWith("/chat/completions")) return void request.continue();
      const events = [...text].map((content) => ({ choices: [{ index: 0, delta: { content } }] }))
        .concat({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }] });
      request.respond({ contentType: "text/event-stream",
        body: events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join("") + "data: [DONE]\n\n" });
    };
    page.on("request", replace);
    await page.click(button("New conversation"));
    await ask("Show me Markdown.");
    await page.waitForSelector("figure.code .hljs-keyword");
    await finished();
    page.off("request", replace);
    await page.setRequestInterception(false);
    assert.equal(await page.evaluate(() => window.broken), undefined);
    assert.equal(await page.$eval(".markdown", (node) => node.querySelectorAll("script, img, a[href^=javascript]").length), 0);
    assert.equal(await page.$eval(".markdown table td", (cell) => cell.textContent), "1");
    await browser.defaultBrowserContext().overridePermissions(origin, ["clipboard-read", "clipboard-sanitized-write"]);
    await page.bringToFront();
    await page.click(button("Copy the code"));
    await page.waitForFunction(() => document.querySelector("figure.code .copy")?.textContent === "Copied");
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), "def add(a, b):\n    return a + b  # sum\n");
    await picture("markdown-light");
  },

  async "colours follow the choice"() {
    const ground = () => page.$eval("body", (body) => getComputedStyle(body).backgroundColor);
    const light = await ground();
    await page.click(button("Settings"));
    await page.select("::-p-aria([name=\"Colours\"])", "dark");
    await page.waitForFunction((before) => getComputedStyle(document.body).backgroundColor !== before, {}, light);
    await picture("settings-dark");
  },

  async "no accessibility rule of axe is broken, in the dark and in the light"() {
    const source = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
    await page.evaluate(source);
    for (const theme of ["dark", "light"]) {
      await page.select("::-p-aria([name=\"Colours\"])", theme);
      const { violations } = await page.evaluate(() => window.axe.run());
      assert.deepEqual(violations.map(({ id, nodes }) => `${theme}: ${id}: ${nodes[0].html}`), []);
    }
    await page.click(button("Settings"));
  },

  async "a phone's width needs no sideways scrolling, and the list opens over the page"() {
    await page.setViewport({ width: 360, height: 740, isMobile: true, hasTouch: true });
    await page.waitForSelector(button("Conversations"));
    assert(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth));
    await picture("phone");
    await page.click(button("Conversations"));
    await page.waitForSelector(button("Close the list"));
    const focused = () => page.evaluate(() => document.activeElement.getAttribute("aria-label"));
    await page.waitForFunction(() => document.activeElement.getAttribute("aria-label") === "Close the list");
    await picture("phone-list");
    await page.keyboard.press("Escape");
    await page.waitForSelector(button("Close the list"), { hidden: true });
    assert.equal(await focused(), "Conversations");
    await page.click(button("Conversations"));
    await page.mouse.click(350, 400); // beside the list
    await page.waitForSelector(button("Close the list"), { hidden: true });
  },

  async "a server that is gone is said in words, and the question is kept"() {
    server.kill("SIGKILL");
    const known = errors.length;
    await ask("Are you there?");
    await page.waitForSelector('[role="alert"]');
    assert((await page.$$eval("article.user", (all) => all.at(-1).textContent)).includes("Are you there?"));
    errors.length = known; // the browser's own note of the refused connection
  },

  async "nothing was asked of another host, and the console stayed silent"() {
    assert.deepEqual(foreign, []);
    assert.deepEqual(errors, []);
  },
};

let failed = 0;
for (const [name, test] of Object.entries(tests)) {
  try {
    await test();
    console.log(`ok: ${name}`);
  } catch (error) {
    console.log(`FAILED: ${name}\n${error.stack}\n${errors.join("\n")}`);
    await picture(`failed-${++failed}`);
    break; // later ones build on earlier ones
  }
}
await browser.close();
process.exit(failed ? 1 : 0);

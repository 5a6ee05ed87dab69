// Chromium, driven by lines of JSON on stdin:
//
//   node chromium.mjs PROGRAM FOLDER
//
//   {"open": URL}          open a page
//   {"click": SELECTOR}    click, such as on a button
//   {"until": TEXT}        with either: wait for an address that contains the text
//   {"picture": NAME}      and then: keep a picture of the page in the folder
//
// Each is answered by a line with what is shown: the address and status of the page,
// its text, that of its frames, and its forms with their fields.
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const [executablePath, folder] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
const page = await browser.newPage({ viewport: { width: 760, height: 900 } });
page.setDefaultTimeout(20_000);

let status;
page.on('response', (response) => {
  if (response.request().isNavigationRequest() && response.frame() === page.mainFrame()) status = response.status();
});

const forms = () => [...document.forms].map((form) => ({
  action: form.action,
  fields: Object.fromEntries([...form.elements].filter((e) => e.type === 'hidden').map((e) => [e.name, e.value])),
}));

// act opens a page or clicks. Where an address is waited for, what it was that led
// there may end without being told.
async function act(open, click, until) {
  if (open) await page.goto(open).catch((error) => { if (!until) throw error; });
  if (click) await page.click(click);
}

async function run({ open, click, until, picture }) {
  await Promise.all([act(open, click, until), until && page.waitForURL((url) => url.href.includes(until))]);
  await page.waitForLoadState();
  if (picture) await page.screenshot({ path: join(folder, `${picture}.png`), fullPage: true });
  return {
    url: page.url(),
    status,
    text: await page.innerText('body'),
    frames: await Promise.all(page.frames().slice(1).map((frame) => frame.innerText('body', { timeout: 500 }).catch(String))),
    forms: await page.evaluate(forms),
  };
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await run(JSON.parse(line)).catch((error) => ({ error: String(error), url: page.url() }))));
}
await browser.close();

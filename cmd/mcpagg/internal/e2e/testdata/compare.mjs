// Uses all that server-everything has, step by step, and prints every JSON-RPC
// message that it sends and gets:
//
//   compare.mjs URL              over Streamable HTTP
//   compare.mjs PROGRAM ARG...   over stdio
//
// Left out is what needs the protocol's tasks: simulate-research-query, and the
// two tools named -async, which are there only for clients that have tasks.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import {
  CreateMessageRequestSchema, ElicitRequestSchema, ListRootsRequestSchema, McpError, ResultSchema,
} from '@modelcontextprotocol/sdk/types.js';

const patience = 4000; // milliseconds that a step waits for what has to come
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// After each error that came in an event stream, this client would ask for what
// came after it, and this server would repeat all that it has said since.
const reconnectionOptions = { maxRetries: 0 };

const [target, ...args] = process.argv.slice(2);
const transport = target.startsWith('http')
  ? new StreamableHTTPClientTransport(new URL(target), { reconnectionOptions, fetch: fetchAndNote })
  : new StdioClientTransport({ command: target, args, stderr: 'ignore' });

// Where messages came from, by what they say: the session's own stream, or that
// of a request. Those that came as JSON, or over stdio, are not in it.
const streams = new Map();
const contents = ({ id, method, params, result, error }) => JSON.stringify([id, method, params, result, error]);

async function fetchAndNote(url, init) {
  const response = await fetch(url, init);
  if (!response.headers.get('content-type')?.startsWith('text/event-stream')) return response;
  const stream = init.method === 'GET' ? 'session' : `request ${JSON.parse(init.body).id}`;
  const decoder = new TextDecoder();
  let rest = '';
  const noting = new TransformStream({
    transform(chunk, next) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
      rest = lines.pop();
      for (const data of lines.filter((line) => line.startsWith('data: {')).map((line) => line.slice(6))) {
        const key = contents(JSON.parse(data));
        streams.set(key, [...streams.get(key) ?? [], stream]);
      }
      next.enqueue(chunk);
    },
  });
  const { status, statusText, headers } = response;
  return new Response(response.body.pipeThrough(noting), { status, statusText, headers });
}

// What the user, the model and the file system of this client answer.
const say = { elicitation: { action: 'cancel' }, sampling: undefined, roots: [] };

const client = new Client({ name: 'compare', title: 'Compare', version: '1' }, {
  capabilities: { sampling: {}, elicitation: { form: {}, url: {} }, roots: { listChanged: true } },
});
client.setRequestHandler(ElicitRequestSchema, () => say.elicitation);
client.setRequestHandler(ListRootsRequestSchema, () => ({ roots: say.roots }));
client.setRequestHandler(CreateMessageRequestSchema, () => {
  if (say.sampling) return say.sampling;
  throw new McpError(-1, 'User rejected the sampling request', { by: 'compare' });
});

// The record is made between the client and its transport.
const record = [];
let step = '';
let arrived = () => {};
const wire = {
  start: async () => {
    transport.onmessage = (message, extra) => {
      record.push({ step, stream: streams.get(contents(message))?.shift(), message });
      wire.onmessage(message, extra);
      arrived();
    };
    transport.onclose = () => wire.onclose?.();
    transport.onerror = (error) => wire.onerror?.(error);
    await transport.start();
  },
  send: (message, options) => {
    record.push({ step, sent: true, message });
    return transport.send(message, options);
  },
  close: () => transport.close(),
  setProtocolVersion: (version) => transport.setProtocolVersion?.(version),
};

// A run is one step: what it does, and how often the server then sends what.
async function run(name, does, expected = {}) {
  step = name;
  await does();
  const deadline = Date.now() + patience;
  const missing = () => Object.entries(expected).some(([method, count]) =>
    record.filter((r) => r.step === step && !r.sent && r.message.method === method).length < count);
  while (missing() && Date.now() < deadline) {
    await Promise.race([new Promise((resolve) => { arrived = resolve; }), sleep(deadline - Date.now())]);
  }
}

// Errors are recorded like results; nothing else of them matters here.
const ask = (method, params, options) => client.request({ method, params }, ResultSchema, options).catch(() => {});
const call = (name, args, _meta) => ask('tools/call', { name, arguments: args, ...(_meta && { _meta }) });

const logged = 'notifications/message';
const updated = 'notifications/resources/updated';

// The server asks for the roots a moment after it has got to know the client,
// which through the gateway is when the first call is made.
say.roots = [{ uri: 'file:///srv/one', name: 'One' }, { uri: 'file:///srv/tw%C3%B6' }];
await run('initialize', async () => {
  await client.connect(wire);
  await call('echo', { message: 'first' });
}, { 'roots/list': 1, [logged]: 1 });
await run('ping', () => ask('ping'));

await run('tools/list', () => ask('tools/list', {}));
await run('echo', () => call('echo', { message: '1 < 2 && é \u2028 "\\" \u{1F600}' }));
await run('get-sum', () => call('get-sum', { a: 0.1, b: 1e21 }));
await run('get-tiny-image', () => call('get-tiny-image', {}));
for (const messageType of ['error', 'success', 'debug']) {
  await run(`get-annotated-message ${messageType}`, () => call('get-annotated-message', { messageType, includeImage: true }));
}
await run('get-annotated-message, default', () => call('get-annotated-message', { messageType: 'debug' }));
await run('get-resource-reference, default', () => call('get-resource-reference', {}));
await run('get-resource-reference Text', () => call('get-resource-reference', { resourceType: 'Text', resourceId: 7 }));
await run('get-resource-reference Blob', () => call('get-resource-reference', { resourceType: 'Blob', resourceId: 8 }));
await run('get-resource-reference -1', () => call('get-resource-reference', { resourceId: -1 }));
await run('get-resource-links', () => call('get-resource-links', { count: 4 }));
for (const location of ['New York', 'Chicago', 'Los Angeles']) {
  await run(`get-structured-content ${location}`, () => call('get-structured-content', { location }));
}
await run('no arguments', () => call('get-resource-links'));
await run('more arguments', () => call('echo', { message: 'more', than: ['declared'] }));
await run('get-env', () => call('get-env', {}));
await run('get-roots-list', () => call('get-roots-list', {}));

await run('unknown tool', () => call('no-such-tool', {}));
await run('wrong arguments', () => call('get-sum', { a: 1, b: 'two' }));
await run('missing arguments', () => call('echo', {}));
await run('unknown method', () => ask('no/such/method', {}));

for (const progressToken of ['a token', 42]) {
  await run(`progress ${progressToken}`,
    () => call('trigger-long-running-operation', { duration: 0.3, steps: 3 }, { progressToken }));
}
await run('no progress', () => call('trigger-long-running-operation', { duration: 0.1, steps: 2 }));
await run('calls at once', async () => {
  const calls = [];
  for (const [i, duration] of [0.6, 0.4, 0.2].entries()) {
    calls.push(call('trigger-long-running-operation', { duration, steps: 1 }, { progressToken: `call ${i}` }));
    await sleep(20);
  }
  await Promise.all(calls);
});
await run('cancellation', async () => {
  const cancelled = new AbortController();
  const call = ask('tools/call', { name: 'trigger-long-running-operation', arguments: { duration: 1, steps: 1 } },
    { signal: cancelled.signal });
  await sleep(300);
  cancelled.abort('changed my mind');
  await call;
  await sleep(900); // an answer that comes nevertheless is recorded
});

const form = {
  name: 'Ada', check: true, firstLine: 'It was.', email: 'ada@example.com', homepage: 'https://example.com/~ada',
  birthdate: '1815-12-10', integer: 7, number: 2.5, untitledSingleSelectEnum: 'Ross',
  untitledMultipleSelectEnum: ['Piano', 'Bass'], titledSingleSelectEnum: 'hero-2',
  titledMultipleSelectEnum: ['fish-1', 'fish-3'], legacyTitledEnum: 'pet-5',
};
const answers = {
  all: { action: 'accept', content: form }, some: { action: 'accept', content: { name: 'Bo' } },
  decline: { action: 'decline' }, cancel: { action: 'cancel' },
};
for (const [name, answer] of Object.entries(answers)) {
  say.elicitation = answer;
  await run(`elicitation ${name}`, () => call('trigger-elicitation-request', {}));
}
const link = { url: 'https://example.com/sign-in?a=1&b=2', message: 'Sign in', elicitationId: 'sign-in-1' };
for (const action of ['accept', 'decline', 'cancel']) {
  say.elicitation = { action };
  await run(`url elicitation ${action}`, () => call('trigger-url-elicitation', link));
}
say.elicitation = { action: 'accept' };
await run('url elicitation, default', () => call('trigger-url-elicitation', { url: link.url }));
await run('url elicitation required', () => call('trigger-url-elicitation', { ...link, errorPath: true }));
await run('url elicitation, again', () => call('trigger-url-elicitation', { ...link, errorPath: true }));

say.sampling = { model: 'a-model', role: 'assistant', content: { type: 'text', text: 'Once <upon> a time' }, stopReason: 'endTurn' };
await run('sampling', () => call('trigger-sampling-request', { prompt: 'Tell me a story', maxTokens: 50 }));
say.sampling = { model: 'a-model', role: 'assistant', content: { type: 'image', data: 'aGVsbG8=', mimeType: 'image/png' } };
await run('sampling an image', () => call('trigger-sampling-request', { prompt: 'Draw' }));
say.sampling = undefined;
await run('sampling refused', () => call('trigger-sampling-request', { prompt: 'Tell me more' }));

await run('prompts/list', () => ask('prompts/list', {}));
const prompt = (name, args) => ask('prompts/get', { name, arguments: args });
await run('simple-prompt', () => ask('prompts/get', { name: 'simple-prompt' }));
await run('args-prompt', () => prompt('args-prompt', { city: 'Paris', state: 'Texas' }));
await run('args-prompt, one', () => prompt('args-prompt', { city: 'Paris' }));
await run('args-prompt, none', () => prompt('args-prompt', {}));
await run('completable-prompt', () => prompt('completable-prompt', { department: 'Sales', name: 'Eve' }));
await run('resource-prompt Text', () => prompt('resource-prompt', { resourceType: 'Text', resourceId: '3' }));
await run('resource-prompt Blob', () => prompt('resource-prompt', { resourceType: 'Blob', resourceId: '4' }));
await run('resource-prompt, wrong', () => prompt('resource-prompt', { resourceType: 'Text', resourceId: 'x' }));
await run('unknown prompt', () => prompt('no-such-prompt', {}));

const complete = (ref, name, value, context) => ask('completion/complete', { ref, argument: { name, value }, ...(context && { context }) });
const completable = { type: 'ref/prompt', name: 'completable-prompt' };
const reference = { type: 'ref/prompt', name: 'resource-prompt' };
await run('complete department', () => complete(completable, 'department', 'S'));
await run('complete name', () => complete(completable, 'name', 'E', { arguments: { department: 'Sales' } }));
await run('complete name, no context', () => complete(completable, 'name', ''));
await run('complete resourceType', () => complete(reference, 'resourceType', ''));
await run('complete resourceId of the prompt', () => complete(reference, 'resourceId', '12'));
for (const kind of ['text', 'blob']) {
  const template = { type: 'ref/resource', uri: `demo://resource/dynamic/${kind}/{resourceId}` };
  await run(`complete ${kind} 5`, () => complete(template, 'resourceId', '5'));
  await run(`complete ${kind} x`, () => complete(template, 'resourceId', 'x'));
}
await run('complete an unknown argument', () => complete(completable, 'no-such-argument', ''));
await run('complete an unknown prompt', () => complete({ type: 'ref/prompt', name: 'no-such-prompt' }, 'a', ''));
await run('complete an unknown template', () => complete({ type: 'ref/resource', uri: 'demo://no/{such}' }, 'such', ''));

const documents = 'demo://resource/static/document/';
const read = (uri) => ask('resources/read', { uri });
await run('resources/list', () => ask('resources/list', {}));
await run('resources/templates/list', () => ask('resources/templates/list', {}));
for (const name of ['architecture', 'extension', 'features', 'how-it-works', 'instructions', 'startup', 'structure']) {
  await run(`read ${name}.md`, () => read(`${documents}${name}.md`));
}
await run('read text', () => read('demo://resource/dynamic/text/1'));
await run('read blob', () => read('demo://resource/dynamic/blob/2'));
await run('read text x', () => read('demo://resource/dynamic/text/x'));
await run('read a missing document', () => read(`${documents}missing.md`));
await run('read a foreign URI', () => read('https://example.com/'));

const file = { name: 'hello.txt.gz', data: 'data:text/plain;base64,SGVsbG8sIHdvcmxkIQ==' };
const relisted = { 'notifications/resources/list_changed': 1 };
await run('gzip, link', () => call('gzip-file-as-resource', { ...file, outputType: 'resourceLink' }), relisted);
await run('gzip, read', () => read('demo://resource/session/hello.txt.gz'));
await run('gzip, list', () => ask('resources/list', {}));
await run('gzip, resource', () => call('gzip-file-as-resource', { ...file, name: 'other.gz', outputType: 'resource' }), relisted);
await run('gzip, refused', () => call('gzip-file-as-resource', { name: 'x', data: 'ftp://example.com/' }));

const [one, two] = [`${documents}features.md`, 'demo://resource/dynamic/text/9'];
await run('setLevel debug', () => ask('logging/setLevel', { level: 'debug' }));
await run('setLevel wrong', () => ask('logging/setLevel', { level: 'loud' }));
await run('subscribe one', () => ask('resources/subscribe', { uri: one }), { [logged]: 1 });
await run('subscribe two', () => ask('resources/subscribe', { uri: two }), { [logged]: 1 });
await run('subscribe two, again', () => ask('resources/subscribe', { uri: two }), { [logged]: 1 });
await run('updates on', () => call('toggle-subscriber-updates', {}), { [updated]: 2 });
await run('updates off', () => call('toggle-subscriber-updates', {}));
await run('unsubscribe two', () => ask('resources/unsubscribe', { uri: two }), { [logged]: 1 });
await run('unsubscribe two, again', () => ask('resources/unsubscribe', { uri: two }), { [logged]: 1 });
await run('updates on again', () => call('toggle-subscriber-updates', {}), { [updated]: 1 });
await run('updates off again', () => call('toggle-subscriber-updates', {}));
await run('logging on', () => call('toggle-simulated-logging', {}), { [logged]: 1 });
await run('logging off', () => call('toggle-simulated-logging', {}));

say.roots = [{ uri: 'file:///srv/three', name: 'Three' }];
await run('roots changed', () => client.sendRootsListChanged(), { 'roots/list': 1, [logged]: 1 });
await run('get-roots-list, changed', () => call('get-roots-list', {}));
await run('roots changed often', () => Promise.all(Array.from({ length: 20 }, () => client.sendRootsListChanged())),
  { 'roots/list': 20, [logged]: 20 });
say.roots = [];
await run('roots gone', () => client.sendRootsListChanged(), { 'roots/list': 1, [logged]: 1 });
await run('get-roots-list, none', () => call('get-roots-list', {}));

// At this level the server's messages, which are "info", do not come.
await run('setLevel error', () => ask('logging/setLevel', { level: 'error' }));
await run('roots changed, quietly', async () => {
  await client.sendRootsListChanged();
  await sleep(300);
}, { 'roots/list': 1 });
await run('unsubscribe one, quietly', () => ask('resources/unsubscribe', { uri: one }));
await run('updates on, nothing watched', () => call('toggle-subscriber-updates', {}));
await run('updates off, at last', () => call('toggle-subscriber-updates', {}));
await run('end', () => sleep(200));

process.stdout.write(JSON.stringify(record));
await transport.terminateSession?.();
await client.close();

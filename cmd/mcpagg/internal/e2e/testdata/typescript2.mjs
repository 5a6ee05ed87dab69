// Lists, calls and waits for list_changed with the client of the SDK's second major version.
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';

const [url, name] = process.argv.slice(2);
const grown = 'growing_' + name;
const changed = Promise.withResolvers();
const client = new Client({ name, version: '1' }, {
  versionNegotiation: { mode: 'auto' },
  listChanged: {
    tools: {
      onChanged: (error, tools) => {
        if (error) changed.reject(error);
        else if (tools.some((tool) => tool.name === grown)) changed.resolve(tools);
      },
    },
  },
});
const transport = new StreamableHTTPClientTransport(new URL(url));
await client.connect(transport);
const before = (await client.listTools()).tools;
const echo = await client.callTool({ name: 'local_echo', arguments: { message: 'from ' + name } });
await client.callTool({ name: 'growing_grow', arguments: { name } });
const after = await changed.promise;
console.log(JSON.stringify({
  version: client.getNegotiatedProtocolVersion(),
  before: before.map((tool) => tool.name),
  after: after.map((tool) => tool.name),
  text: echo.content[0].text,
}));
await client.close();

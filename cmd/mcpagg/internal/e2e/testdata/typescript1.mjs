// Lists, calls and waits for list_changed with the SDK's first major version.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const [url, name] = process.argv.slice(2);
const grown = 'growing_' + name;
const changed = Promise.withResolvers();
const client = new Client({ name, version: '1' }, {
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
  version: transport.protocolVersion,
  before: before.map((tool) => tool.name),
  after: after.map((tool) => tool.name),
  text: echo.content[0].text,
}));
await transport.terminateSession();
await client.close();

/**
 * The reference: a proxy that judges nothing, written as the SDK suggests, with its `Server` towards the agent and
 * its `Client` towards the upstream. `node pass-through.js CMD ARGS…`.
 */
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import {
  CallToolRequestSchema,
  CallToolResultSchema,
  ListToolsRequestSchema,
  ListToolsResultSchema,
} from '@modelcontextprotocol/sdk/types.js';

const [command, ...args] = process.argv.slice(2);
if (command === undefined) {
  process.stderr.write('usage: pass-through CMD ARGS…\n');
  process.exit(64);
}
const info = { name: 'pass-through', version: '1' };
const client = new Client(info, { capabilities: {} });
const server = new Server(info, { capabilities: { tools: {} } });
server.setRequestHandler(ListToolsRequestSchema, (request) =>
  client.request({ method: 'tools/list', params: request.params }, ListToolsResultSchema),
);
server.setRequestHandler(CallToolRequestSchema, (request, { signal }) =>
  client.request({ method: 'tools/call', params: request.params }, CallToolResultSchema, { signal }),
);
await client.connect(new StdioClientTransport({ command, args }));
await server.connect(new StdioServerTransport());
process.stdin.on('end', () => {
  client.close().then(
    () => process.exit(0),
    () => process.exit(1),
  );
});

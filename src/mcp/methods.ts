/**
 * The methods that MCP's revisions 2024-11-05 to 2026-07-28 define for messages from the client to the server
 * (https://modelcontextprotocol.io/specification). A method that stands in none of them is not passed on.
 */

export const CLIENT_REQUESTS: ReadonlySet<string> = new Set([
  'initialize',
  'ping',
  'tools/list',
  'tools/call',
  'prompts/list',
  'prompts/get',
  'resources/list',
  'resources/templates/list',
  'resources/read',
  'resources/subscribe',
  'resources/unsubscribe',
  'completion/complete',
  'logging/setLevel',
  // 2025-11-25; an extension in 2026-07-28, which adds `update`
  'tasks/get',
  'tasks/result',
  'tasks/list',
  'tasks/cancel',
  'tasks/update',
  // 2026-07-28
  'server/discover',
  'subscriptions/listen',
]);

export const CLIENT_NOTIFICATIONS: ReadonlySet<string> = new Set([
  'notifications/initialized',
  'notifications/cancelled',
  'notifications/progress',
  'notifications/roots/list_changed',
  'notifications/tasks/status',
]);

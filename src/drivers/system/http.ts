/**
 * Node's HTTP. An `import` of it by name would also evaluate what nobody here asks for, among it the whole of `fetch`
 * and `WebSocket`: 6 MiB in every manager for as long as it lives.
 */
export const { Agent, createServer, request } = process.getBuiltinModule("node:http");

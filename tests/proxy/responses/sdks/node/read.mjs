// What OpenAI's Node SDK makes of the proxy's answers: `node read.mjs BASE_URL`, one JSON line.
import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.argv[2], apiKey: "a-token", maxRetries: 0 });
const tools = [
  {
    type: "function",
    name: "look",
    description: "Look at a file.",
    parameters: { type: "object", properties: { path: { type: "string" } } },
    strict: false,
  },
];

const stream = client.responses.stream({ model: "any", input: "Hi", tools });
const kinds = [];
stream.on("event", (event) => kinds.push(event.type));
const streamed = await stream.finalResponse();

const whole = await client.responses.create({ model: "any", input: "Hi" });
const shaped = await client.responses.parse({
  model: "any",
  input: "Hi",
  text: { format: { type: "json_schema", name: "n", schema: { type: "object" } } },
});
const models = [];
for await (const model of client.models.list()) models.push(model.id);
const refused = await client.responses
  .create({ model: "any", input: "long ".repeat(9000) })
  .catch((error) => ({ kind: error.constructor.name, status: error.status, code: error.code }));

console.log(
  JSON.stringify({
    kinds,
    streamed: streamed.output,
    text: streamed.output_text,
    whole: whole.output_text,
    usage: whole.usage,
    parsed: shaped.output_parsed,
    models,
    refused,
  }),
);

// openai's Node package: chat, streams, tools, structured output, responses, embeddings, errors.
import assert from "node:assert";
import OpenAI from "openai";

const [url, model, bias] = process.argv.slice(2);
const client = new OpenAI({ baseURL: url, apiKey: "none", maxRetries: 0 });
const messages = [{ role: "user", content: "hello" }];
const common = { model, messages, max_tokens: 60, temperature: 0 };
const short = { ...common, logit_bias: JSON.parse(bias) };
const parameters = {
  type: "object", properties: { days: { type: "integer" } }, required: ["days"], additionalProperties: false,
};

const whole = await client.chat.completions.create(common);
const runner = client.chat.completions.stream({ ...common, stream_options: { include_usage: true } });
assert.equal((await runner.finalChatCompletion()).choices[0].message.content, whole.choices[0].message.content);
const tools = [{ type: "function", function: { name: "weather", parameters } }];
const called = await client.chat.completions.stream({ ...short, tools, tool_choice: "required" }).finalChatCompletion();
assert.deepEqual(JSON.parse(called.choices[0].message.tool_calls[0].function.arguments), { days: 3 });
const format = { type: "json_schema", json_schema: { name: "x", schema: parameters, strict: true } };
const typed = await client.chat.completions.create({ ...short, response_format: format });
assert.deepEqual(JSON.parse(typed.choices[0].message.content), { days: 3 });
const response = await client.responses.create({ model, input: "hello", max_output_tokens: 60, temperature: 0 });
assert.equal(response.output_text, whole.choices[0].message.content);
const scored = await client.chat.completions.create({ ...common, n: 2, seed: 1, logprobs: true, top_logprobs: 2 });
assert.equal(scored.choices.length, 2);
const vectors = await client.embeddings.create({ model, input: ["a quay", "a buoy"] });
const norm = vectors.data[0].embedding.reduce((sum, one) => sum + one * one, 0);
assert.equal(vectors.data.length, 2);
assert.ok(Math.abs(norm - 1) < 1e-4);
await assert.rejects(client.chat.completions.create({ ...common, model: "nobody" }), OpenAI.NotFoundError);
await assert.rejects(client.chat.completions.create({ ...common, n: 0 }), OpenAI.BadRequestError);

// openai's Node package: files, batches, background responses and conversations, and what of them is refused.
import assert from "node:assert";
import OpenAI, { toFile } from "openai";

const [url, model] = process.argv.slice(2);
const client = new OpenAI({ baseURL: url, apiKey: "none", maxRetries: 0 });
const endpoint = "/v1/chat/completions";
const PATIENCE_MS = 120_000;

async function until(ask, ended) {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await ask();
    if (ended.includes(found.status)) return found;
    assert.ok(Date.now() < deadline, JSON.stringify(found));
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

// files
const line = (name, fields = {}) => JSON.stringify({
  custom_id: name, method: "POST", url: endpoint,
  body: { model, max_tokens: 4, messages: [{ role: "user", content: `hello ${name}` }], ...fields },
});
const text = [line("a"), line("b"), line("c", { n: 0 })].join("\n");
const file = await client.files.create({ file: await toFile(Buffer.from(text), "in.jsonl"), purpose: "batch" });
assert.equal(file.bytes, text.length);
assert.equal((await client.files.retrieve(file.id)).filename, "in.jsonl");
assert.equal(await (await client.files.content(file.id)).text(), text);
const listed = [];
for await (const one of client.files.list({ limit: 1 })) listed.push(one.id);
assert.ok(listed.includes(file.id));
const broken = await toFile(Buffer.from("{}\nno json\n"), "x.jsonl");
await assert.rejects(client.files.create({ file: broken, purpose: "batch" }), /[Ll]ine 2/);

// batches
const order = { input_file_id: file.id, endpoint, completion_window: "24h", metadata: { for: "tests" } };
const begun = await client.batches.create(order);
const batch = await until(() => client.batches.retrieve(begun.id), ["completed", "failed", "expired"]);
assert.deepEqual(batch.request_counts, { total: 3, completed: 2, failed: 1 });
const rows = async (id) => (await (await client.files.content(id)).text()).trim().split("\n").map((row) => JSON.parse(row));
const answers = await rows(batch.output_file_id);
assert.deepEqual(answers.map((row) => row.custom_id).sort(), ["a", "b"]);
assert.equal(answers[0].response.body.object, "chat.completion");
assert.deepEqual((await rows(batch.error_file_id)).map((row) => [row.custom_id, row.response.status_code]), [["c", 400]]);
const all = [];
for await (const one of client.batches.list({ limit: 1 })) all.push(one.id);
assert.ok(all.includes(batch.id));
await assert.rejects(client.batches.cancel(batch.id), OpenAI.BadRequestError);
await assert.rejects(client.batches.retrieve("batch_none"), OpenAI.NotFoundError);
assert.equal((await client.files.delete(file.id)).deleted, true);
await assert.rejects(client.files.retrieve(file.id), OpenAI.NotFoundError);

// background responses
const asked = { model, input: "hello", max_output_tokens: 12, temperature: 0, background: true };
const queued = await client.responses.create(asked);
assert.ok(["queued", "in_progress"].includes(queued.status));
const ended = await until(() => client.responses.retrieve(queued.id), ["completed", "incomplete", "failed"]);
assert.notEqual(ended.status, "failed");
const { background, ...now } = asked;
assert.equal(ended.output_text, (await client.responses.create(now)).output_text);
const events = [];
for await (const event of await client.responses.retrieve(queued.id, { stream: true })) events.push(event);
const later = [];
for await (const event of await client.responses.retrieve(queued.id, { stream: true, starting_after: 2 })) later.push(event);
assert.deepEqual(later, events.slice(3));
const stopped = await client.responses.create({ ...asked, max_output_tokens: 4000 });
assert.equal((await client.responses.cancel(stopped.id)).status, "cancelled");
await client.responses.delete(queued.id);
await assert.rejects(client.responses.retrieve(queued.id), OpenAI.NotFoundError);

// conversations
const conversation = await client.conversations.create({ items: [{ type: "message", role: "user", content: "My name is Ada." }] });
await client.responses.create({ model, input: "hello", max_output_tokens: 4, conversation: conversation.id });
const items = [];
for await (const item of client.conversations.items.list(conversation.id, { order: "asc" })) items.push(item.role);
assert.deepEqual(items, ["user", "user", "assistant"]);
assert.equal((await client.conversations.delete(conversation.id)).deleted, true);

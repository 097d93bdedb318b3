// Vercel's AI SDK over a scripted model: a loop with two tools by four providers, whole and streamed; a picture and a PDF.
import assert from "node:assert";
import fs from "node:fs";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const [url, model, folder] = process.argv.slice(2);
const notes = `${folder}/notes.txt`;
const openai = createOpenAI({ baseURL: url, apiKey: "none" });
const providers = {
  chat: openai.chat(model),
  responses: openai.responses(model),
  compatible: createOpenAICompatible({ name: "stoker", baseURL: url })(model),
  anthropic: createAnthropic({ baseURL: url, apiKey: "none" })(model),
};
const file = z.object({ file_path: z.string() });
const change = z.object({ file_path: z.string(), old_string: z.string(), new_string: z.string() });
const tools = {
  read_file: tool({ description: "What a file says.", inputSchema: file, execute: async (at) => fs.readFileSync(at.file_path, "utf8") }),
  edit_file: tool({
    description: "Replace text in a file.",
    inputSchema: change,
    execute: async (at) => {
      fs.writeFileSync(at.file_path, fs.readFileSync(at.file_path, "utf8").replace(at.old_string, at.new_string));
      return "edited";
    },
  }),
};
const prompt = `[[tools]] In ${notes} replace alpha by omega.`;
for (const [name, each] of Object.entries(providers)) {
  const common = { model: each, tools, prompt, stopWhen: stepCountIs(5), maxRetries: 0 };
  fs.writeFileSync(notes, "alpha\n");
  const whole = await generateText(common);
  assert.equal(whole.text, "The file said alpha.", name);
  assert.equal(fs.readFileSync(notes, "utf8"), "omega\n", name);
  fs.writeFileSync(notes, "alpha\n");
  const stream = streamText(common);
  await stream.consumeStream();
  assert.equal(await stream.text, "The file said alpha.", name);
  const parts = [
    { data: fs.readFileSync(`${folder}/bill.pdf`), mediaType: "application/pdf", right: /INVOICE 4711/ },
    { data: fs.readFileSync(`${folder}/pier.png`), mediaType: "image/png", right: /I see picture/ },
  ];
  for (const { data, mediaType, right } of parts) {
    const text = { type: "text", text: "[[attached]] What is it?" };
    const content = [text, { type: "file", data, mediaType, filename: mediaType.replace("/", ".") }];
    const said = await generateText({ model: each, messages: [{ role: "user", content }], maxRetries: 0 });
    assert.match(said.text, right, name);
  }
}

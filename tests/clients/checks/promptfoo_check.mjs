// promptfoo over a scripted model: an evaluation of two prompts by two providers, chat and responses.
import assert from "node:assert";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const [url, model, folder] = process.argv.slice(2);
const home = path.join(folder, "promptfoo");
fs.mkdirSync(home, { recursive: true });
const config = { apiBaseUrl: url, apiKey: "none", temperature: 0, max_tokens: 100 };
fs.writeFileSync(`${home}/promptfooconfig.json`, JSON.stringify({
  prompts: ["[[chat]] {{who}}"],
  providers: [{ id: `openai:chat:${model}`, config }, { id: `openai:responses:${model}`, config }],
  tests: [{ vars: { who: "hi" }, assert: [{ type: "contains", value: "Hello from the script" }] }],
}));
const env = {
  ...process.env, PROMPTFOO_DISABLE_TELEMETRY: "1", PROMPTFOO_DISABLE_UPDATE: "1", PROMPTFOO_CONFIG_DIR: home,
  PROMPTFOO_DISABLE_REMOTE_GENERATION: "1", PROMPTFOO_CACHE_ENABLED: "false",
};
const program = path.join(path.dirname(fileURLToPath(import.meta.url)), "node_modules", ".bin", "promptfoo");
const words = ["eval", "-c", `${home}/promptfooconfig.json`, "-o", `${home}/out.json`, "--no-progress-bar", "--no-cache", "--no-write"];
const done = spawnSync(program, words, { env, cwd: home, encoding: "utf8", timeout: 240_000 });
const { stats } = JSON.parse(fs.readFileSync(`${home}/out.json`, "utf8")).results;
assert.deepEqual([stats.successes, stats.failures, stats.errors], [2, 0, 0], done.stdout + done.stderr);

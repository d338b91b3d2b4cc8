// The official `openai` package of JavaScript, unchanged, against a real server.
//   node javascript_client_test.mjs CALLIE [MODEL] [EMBEDDING_MODEL]
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createServer } from "node:net";
import { basename } from "node:path";
import OpenAI from "openai";
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

const [callie, model = "smollm2-135m", embedding] = process.argv.slice(2);
const embeddingModel = embedding && basename(embedding); // a name or a folder

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const port = await freePort();
const models = embedding ? [model, embedding] : [model];
const server = spawn(callie, ["serve", ...models, "--port", String(port), "--threads", "1"], { stdio: "ignore" });
process.on("exit", () => server.kill());
for (let tries = 0; ; ++tries) {
  if (await fetch(`http://127.0.0.1:${port}/health`).then((response) => response.ok, () => false)) break;
  assert(tries < 600 && server.exitCode === null, "the server did not start");
  await new Promise((resolve) => setTimeout(resolve, 100));
}
const client = new OpenAI({ baseURL: `http://127.0.0.1:${port}/v1`, apiKey: "not-needed", maxRetries: 0 });
const user = (content) => [{ role: "user", content }];
const create = (options) => client.chat.completions.create({ model, ...options });

async function refused(promise, status, param) {
  await assert.rejects(promise, (error) => error.status === status && (param === undefined || error.param === param));
}

const tests = {
  async models() {
    const ids = [];
    for await (const one of client.models.list()) ids.push(one.id);
    assert(ids.includes(model));
  },
  async chatAndStreamAgree() {
    const question = { messages: user("What is the capital of France?"), max_tokens: 20, temperature: 0 };
    const whole = await create(question);
    let text = "";
    let usage;
    for await (const chunk of await create({ ...question, stream: true, stream_options: { include_usage: true } })) {
      text += chunk.choices[0]?.delta?.content ?? "";
      usage = chunk.usage ?? usage;
    }
    assert.equal(text, whole.choices[0].message.content);
    assert.equal(usage.completion_tokens, whole.usage.completion_tokens);
    const runner = client.chat.completions.stream({ model, ...question });
    assert.equal(await runner.finalContent(), text);
  },
  async logprobs() {
    const answer = await create({ messages: user("Hi"), max_tokens: 4, logprobs: true, top_logprobs: 3, temperature: 0 });
    assert(answer.choices[0].logprobs.content.every((one) => one.top_logprobs.length === 3 && one.logprob <= 0));
  },
  async structuredOutput() {
    const Event = z.object({ name: z.string().max(20), day: z.enum(["monday", "friday"]), guests: z.array(z.string().max(12)).max(3),
      count: z.number().int().min(0).max(99), place: z.object({ city: z.string().max(15), indoors: z.boolean() }) });
    const answer = await client.chat.completions.parse({ model, messages: user("An event, as JSON."), max_tokens: 400,
      temperature: 0.7, seed: 2, response_format: zodResponseFormat(Event, "event") });
    assert(Event.safeParse(answer.choices[0].message.parsed).success);
    const response = await client.responses.parse({ model, input: "An event, as JSON.", temperature: 0,
      max_output_tokens: 400, text: { format: zodTextFormat(Event, "event") } });
    assert(Event.safeParse(response.output_parsed).success);
  },
  async tools() {
    const parameters = { type: "object", additionalProperties: false, required: ["city"],
      properties: { city: { type: "string", enum: ["Paris", "Rome"] } } };
    const tools = [{ type: "function", function: { name: "get_weather", parameters } }];
    const question = { messages: user("The weather in Paris?"), tools, max_tokens: 100, temperature: 0 };
    let answer;
    try {
      answer = await create({ ...question, tool_choice: "required" });
    } catch (error) {
      assert.equal(error.param, "tools"); // a template without tools says so
      return;
    }
    const [call] = answer.choices[0].message.tool_calls;
    assert(["Paris", "Rome"].includes(JSON.parse(call.function.arguments).city));
    const stream = client.chat.completions.stream({ model, ...question, tool_choice: "required" });
    const message = await stream.finalMessage();
    assert.equal(message.tool_calls[0].function.arguments, call.function.arguments);
    const final = await create({ ...question, messages: [...question.messages, answer.choices[0].message,
      { role: "tool", tool_call_id: call.id, content: "clear, 21 degrees" }] });
    assert(final.choices[0].message.content || final.choices[0].message.tool_calls);
    // The client's own loop: it calls the function and sends its answer back.
    let called = 0;
    const runner = client.chat.completions.runTools({ model, messages: question.messages, max_tokens: 100, temperature: 0,
      tools: [{ type: "function", function: { name: "get_weather", parameters, parse: JSON.parse,
        function: () => (++called, "clear") } }] }, { maxChatCompletions: 3 });
    await runner.done().catch((error) => assert.match(String(error), /max/i));
  },
  async embeddings() {
    if (!embeddingModel) return;
    const { data, usage } = await client.embeddings.create({ model: embeddingModel, input: ["a small boat", "a little ship"] });
    const dot = data[0].embedding.reduce((sum, x, i) => sum + x * data[1].embedding[i], 0);
    assert((dot > 0.5 || !embeddingModel.includes("minilm")) && usage.total_tokens > 4);
    const floats = await client.embeddings.create({ model: embeddingModel, input: "a small boat", encoding_format: "float" });
    assert(floats.data[0].embedding.every((x, i) => Math.abs(x - data[0].embedding[i]) < 1e-6));
  },
  async responses() {
    const first = await client.responses.create({ model, input: "My name is Ada.", max_output_tokens: 8, temperature: 0 });
    assert(first.output_text);
    let text = "";
    for await (const event of await client.responses.create({ model, input: "What is my name?", stream: true,
      previous_response_id: first.id, max_output_tokens: 8, temperature: 0 })) {
      if (event.type === "response.output_text.delta") text += event.delta;
      if (event.type === "response.completed") assert.equal(event.response.output_text ?? text, text);
    }
    assert(text);
  },
  async errors() {
    await refused(create({ messages: user("x"), model: "nothing" }), 404, "model");
    await refused(create({ messages: [] }), 400, "messages");
    await refused(create({ messages: user("x"), top_p: 2 }), 400, "top_p");
    await refused(create({ messages: user("word ".repeat(9000)) }), 400, "messages");
  },
  async cancellation() {
    const stream = await create({ messages: user("A long story."), max_tokens: 2000, stream: true, ignore_eos: true });
    for await (const chunk of stream) {
      if (chunk.choices[0]?.delta?.content) break;
    }
    stream.controller.abort();
    const batch = async () => (await (await fetch(`http://127.0.0.1:${port}/metrics`)).text())
      .split("\n").filter((line) => line.startsWith("callie_batch{")).reduce((sum, line) => sum + Number(line.split(" ")[1]), 0);
    for (let i = 0; i < 400 && (await batch()) > 0; ++i) await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(await batch(), 0);
  },
};

let failed = 0;
for (const [name, test] of Object.entries(tests)) {
  try {
    await test();
    console.log(`ok      ${name}`);
  } catch (error) {
    ++failed;
    console.log(`FAILED  ${name}`, error);
  }
}
server.kill();
process.exit(failed ? 1 : 0);

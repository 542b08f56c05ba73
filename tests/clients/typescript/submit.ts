// A program on the generated TypeScript types: it submits a job, reads its result, and is told what is wrong with
// another. What must not compile is marked; the compiler fails where such a mark is not needed.
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

type Job = components["schemas"]["JobWithParts"];

const client = createClient<paths>({
  baseUrl: process.env["JOBSERVICE_URL"]!,
  headers: { Authorization: `Bearer ${process.env["JOBSERVICE_API_KEY"]}` },
});

async function readEnded(jobId: string): Promise<Job> {
  for (let tries = 0; tries < 600; tries++) {
    const { data, error } = await client.GET("/v1/jobs/{job_id}", {
      params: { path: { job_id: jobId }, query: { include: ["result", "metadata"] } },
    });
    if (error) throw new Error(error.code);
    if (data.finished_at !== null) return data;
    await sleep(100);
  }
  throw new Error("The job did not end within a minute.");
}

const { data: job, error } = await client.POST("/v1/jobs", {
  body: { type: "echo", payload: { n: [1, null, "ü"] }, tags: { customer: "7" }, metadata: "m" },
});
if (error) throw new Error(error.code);
const ended = await readEnded(job.id);
assert.equal(ended.state, "completed");
assert.deepEqual(ended.result, { n: [1, null, "ü"] });
assert.equal(ended.metadata, "m");

const page = await client.GET("/v1/jobs", { params: { query: { state: "completed", tag: ["customer:7"] } } });
assert(page.data?.data.some((found) => found.id === job.id));
const timeline = await client.GET("/v1/jobs/{job_id}/events", { params: { path: { job_id: job.id } } });
const first = timeline.data?.data[0];
assert(first?.type === "job.accepted" && first.data.queue === "default");

const refused = await client.POST("/v1/jobs", { body: { type: "echo", priority: 10 } });
assert(refused.error?.code === "invalid");
assert.deepEqual(refused.error.errors.map((fault) => [fault.pointer, fault.code]), [["/priority", "out-of-range"]]);
const unknown = await client.POST("/v1/jobs", { body: { type: "nobody.knows" } });
assert.equal(unknown.error?.code, "unknown-job-type");

export async function mustNotCompile(): Promise<void> {
  // @ts-expect-error: a job has a type.
  await client.POST("/v1/jobs", { body: { payload: 1 } });
  // @ts-expect-error: a priority is a number.
  await client.POST("/v1/jobs", { body: { type: "echo", priority: "high" } });
  // @ts-expect-error: there is no such state.
  await client.GET("/v1/jobs", { params: { query: { state: "running" } } });
  // @ts-expect-error: there is no such address.
  await client.GET("/v1/nothing");
}
console.log("result", JSON.stringify(ended.result));

// Lays out policies twice, one text in each line, by Cedar's own formatter.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const cedar = createRequire(process.argv[2] + "/")("@cedar-policy/cedar-wasm/nodejs");

const format = (policyText) => cedar.formatPolicies({ policyText, lineWidth: 80, indentWidth: 2 });

for await (const line of createInterface({ input: process.stdin })) {
  const once = format(JSON.parse(line));
  const twice = once.type === "success" ? format(once.formatted_policy) : once;
  console.log(JSON.stringify(twice.type === "success"
    ? { once: once.formatted_policy, twice: twice.formatted_policy }
    : { failed: twice.errors.map((e) => e.message).join("; ") }));
}

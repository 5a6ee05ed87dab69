// Answers questions, one in each line, by Cedar's own implementation.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const cedar = createRequire(process.argv[2] + "/")("@cedar-policy/cedar-wasm/nodejs");

for await (const line of createInterface({ input: process.stdin })) {
  const q = JSON.parse(line);
  const answer = cedar.isAuthorized({
    principal: q.principal, action: q.action, resource: q.resource, context: q.context,
    policies: { staticPolicies: q.policies }, entities: q.entities,
  });
  if (answer.type !== "success") {
    console.log(JSON.stringify({ failed: answer.errors.map((e) => e.message).join("; ") }));
    continue;
  }
  const { decision, diagnostics } = answer.response;
  console.log(JSON.stringify({
    allow: decision === "allow", reasons: diagnostics.reason.sort(), errors: diagnostics.errors.map((e) => e.policyId).sort(),
  }));
}

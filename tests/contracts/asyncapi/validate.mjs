// Validates an AsyncAPI document with the official parser: node validate.mjs DOCUMENT
// Exit code 0 if it has neither errors nor warnings, 1 with one line for each otherwise.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const SEVERITIES = ["error", "warning", "information", "hint"];

const path = process.argv[2];
const { document, diagnostics } = await new Parser().parse(readFileSync(path, "utf8"));
const objections = diagnostics.filter(({ severity }) => severity <= 1);
for (const { severity, code, path: place, message } of diagnostics) {
  console.error(`${SEVERITIES[severity]} ${code} at ${place.join("/")}: ${message}`);
}
if (!document || objections.length > 0) {
  process.exit(1);
}
const count = (what) => what.all().length;
console.log(
  `AsyncAPI ${document.version()}: ${count(document.allChannels())} channels, ` +
    `${count(document.allMessages())} messages, ${count(document.allOperations())} operations`,
);

"""Asks AsyncAPI's own parser whether it takes our description of the topics. Status 1 where it finds an error:

npm install --prefix PARSER @asyncapi/parser@3.6.6
.venv/bin/python -m tests.benchmarks.asyncapi PARSER
"""

import subprocess
import sys

from daemon.status import VERSION
from daemon.wire.codec import encode
from daemon.wire.schemas.asyncapi import asyncapi

CHECK = """
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const { document, diagnostics } = await new Parser().parse(readFileSync(0, "utf8"));
const severities = ["error", "warning", "information", "hint"];
for (const { severity, path, message } of diagnostics) {
  console.log(`${severities[severity]} at /${path.join("/")}: ${message}`);
}
if (!document || diagnostics.some(({ severity }) => severity === 0)) process.exit(1);
const counted = ["channels", "operations", "messages"].map((kind) => `${document[kind]().all().length} ${kind}`);
console.log(`AsyncAPI ${document.version()} is taken: ${counted.join(", ")}`);
"""


def main(parser: str) -> int:
    command = ["node", "--input-type=module", "--eval", CHECK]  # which looks for packages in the working directory
    return subprocess.run(command, cwd=parser, input=encode(asyncapi(VERSION)), check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

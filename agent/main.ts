import { runCli } from "./commands/program.ts";

const exitCode = await runCli(process.argv.slice(2), process.env, {
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
});

// Idle connections to the API server would keep the process alive.
process.exit(exitCode);

import { destination, type Logger, pino } from "pino";

/**
 * Logs one JSON object per line on standard output: `level`, `time` (RFC 3339), `node`, `msg`. The message alone says
 * what changed. Synchronous, so that the last line of an ending process is not lost; the agent writes few lines.
 */
export function createLog(verbose: boolean, nodeName: string): Logger {
  return pino(
    {
      level: verbose ? "debug" : "info",
      base: { node: nodeName },
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (level) => ({ level }) },
      serializers: { err: ({ name, code, message, exitCode }) => ({ name, code, message, exitCode }) },
    },
    destination({ fd: 1, sync: true }),
  );
}

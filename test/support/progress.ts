const HEARTBEAT_MS = 20_000;

/** What a running step may say about itself in its heartbeat lines. */
export type Note = (text: string) => void;

/** One line on stderr, so that stdout stays free for what a caller may want to read or evaluate. */
export function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** Runs one step and says what it was and how long it took; long steps give a sign of life every 20 seconds. */
export async function step<T>(what: string, work: (note: Note) => Promise<T>): Promise<T> {
  const started = performance.now();
  let note = "";
  const heartbeat = setInterval(() => say(line("…", started, what, note)), HEARTBEAT_MS);
  try {
    const result = await work((text) => {
      note = text;
    });
    say(line("✓", started, what, note));
    return result;
  } catch (error) {
    say(line("✗", started, what, note));
    throw error;
  } finally {
    clearInterval(heartbeat);
  }
}

function line(sign: string, started: number, what: string, note: string): string {
  const seconds = ((performance.now() - started) / 1000).toFixed(1).padStart(6);
  return `${sign} ${seconds} s  ${what}${note ? ` (${note})` : ""}`;
}

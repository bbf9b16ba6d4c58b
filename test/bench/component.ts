import { execa } from "execa";
import { buildPackage } from "../component/package.ts";
import { atMost, type Figure, median, withoutAim } from "./figure.ts";

/** A program that has what every Pulumi program has. Its engine is Pulumi's mock: no component's part in it is measured. */
const bare = `const pulumi = require("@pulumi/pulumi");
  await pulumi.runtime.setMocks({ newResource: ({ inputs }) => ({ id: "id", state: inputs }), call: () => ({}) });`;

/** The same with a magic IP, until its chart is what the engine was asked for. */
const withComponent = `const pulumi = require("@pulumi/pulumi");
  const asked = new Promise((resolve) => void pulumi.runtime.setMocks({
    newResource: ({ type, inputs }) => {
      if (type.endsWith(":Chart")) resolve();
      return { id: "id", state: inputs };
    },
    call: () => ({}),
  }));
  const { MagicIpAddress } = require("magic-ip-address");
  new MagicIpAddress("dd-agent", { ipAddress: "169.254.210.210", selector: "app=x", ports: [{ port: 8126 }] });
  await asked;`;

/** What the package adds to the start of a program: importing it, and constructing one component. */
export async function component(times: number): Promise<Figure[]> {
  const { directory, remove } = await buildPackage();
  try {
    const start = async (code: string) => {
      const begun = performance.now();
      const program = `(async () => {${code} })();`;
      await execa(process.execPath, ["--input-type=commonjs", "--eval", program], { cwd: directory });
      return performance.now() - begun;
    };
    // The first of each fills the file cache.
    await start(bare);
    await start(withComponent);
    const turns: { without: number; more: number }[] = [];
    for (let turn = 0; turn < times; turn++) {
      const without = await start(bare);
      turns.push({ without, more: (await start(withComponent)) - without });
    }
    const from = `median of ${times} turns`;
    return [
      atMost("a magic IP in a program's start", median(turns.map(({ more }) => more)), "ms", 300, from),
      withoutAim(
        "the start without it",
        `${Math.round(median(turns.map(({ without }) => without)))} ms`,
        from,
      ),
    ];
  } finally {
    await remove();
  }
}

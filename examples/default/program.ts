import * as pulumi from "@pulumi/pulumi";
import { type ImagePullPolicy, MagicIpAddress, type Port } from "../../component";

/** Installs one magic IP as the stack's configuration says. Every key has a default; Pulumi.yaml describes them. */
export function installFromConfig(): MagicIpAddress {
  const config = new pulumi.Config();
  const setting = (key: string) => config.get(key)?.trim() || undefined;
  return new MagicIpAddress("magic-ip", {
    ipAddress: setting("ipAddress") ?? "169.254.210.210",
    selector: setting("selector") ?? "app=dd-agent",
    namespace: setting("namespace"),
    ports: parsePorts(setting("ports") ?? '[{"port":8126}]', `${config.name}:ports`),
    agent: {
      image: setting("image"),
      // Any text may be in the configuration; the component says what would be right.
      imagePullPolicy: setting("imagePullPolicy") as ImagePullPolicy | undefined,
    },
  });
}

function parsePorts(text: string, key: string): Port[] {
  const ports = parseJson(text);
  if (Array.isArray(ports)) return ports;
  throw new pulumi.RunError(
    `the configuration ${key} is not a JSON list of ports: ${text}\n` +
      `  set it with: pulumi config set ports '[{"port":8126},{"port":8125,"protocol":"UDP"}]'`,
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

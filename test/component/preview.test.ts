import * as pulumi from "@pulumi/pulumi";
import { describe, expect, it } from "vitest";
import { MagicIpAddress, type MagicIpAddressArgs } from "../../index.ts";
import { chartOf, known, mockPulumi } from "./installation.ts";

const resources = await mockPulumi({ preview: true });

const minimal: MagicIpAddressArgs = {
  ipAddress: "169.254.210.210",
  selector: "app=dd-agent",
  ports: [{ port: 8126 }],
};

describe("what is not known at preview", () => {
  class Elsewhere extends pulumi.CustomResource {
    declare readonly ip: pulumi.Output<string>;
    constructor() {
      super("test:index:Elsewhere", "elsewhere", { ip: undefined });
    }
  }

  it("is not held against the program, and the rest is told", async () => {
    const ipAddress = new Elsewhere().ip;
    const magicIp = new MagicIpAddress("dd-agent", { ...minimal, ipAddress });
    await chartOf(resources, "dd-agent");
    expect(await known(magicIp.ipAddress)).toBeUndefined();
    expect(await known(magicIp.daemonSetName)).toBe("dd-agent");
    expect(await known(magicIp.namespace)).toBe("kube-system");
  });

  it("does not hide what is known and wrong", () => {
    const ipAddress = new Elsewhere().ip;
    expect(() => new MagicIpAddress("dd-agent", { ...minimal, ipAddress, ports: [{ port: 0 }] })).toThrow(
      'MagicIpAddress "dd-agent" cannot be installed, one argument is wrong:\n' +
        "  ports[0].port: 0 is not a port: write a whole number from 1 to 65535",
    );
  });
});

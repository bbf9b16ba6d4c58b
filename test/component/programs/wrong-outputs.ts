import * as pulumi from "@pulumi/pulumi";
import { MagicIpAddress } from "../../../component";

// Every value is known in the end, but none before the program is under way.
new MagicIpAddress("dd-agent", {
  ipAddress: pulumi.output("169.254.169.254"),
  selector: pulumi.output("app=dd-agent"),
  ports: pulumi.output([{ port: 0 }]),
  agent: { image: pulumi.output("Agent") },
});

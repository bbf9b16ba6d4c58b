"""Every node gets 169.254.210.210, and there it is the Datadog agent pod of that node."""

import pulumi
import pulumi_magic_ip_address as magic_ip_address

config = pulumi.Config()

magic_ip = magic_ip_address.MagicIpAddress(
    "dd-agent-ip",
    ip_address="169.254.210.210",
    namespace="datadog",
    selector="app=datadog",
    ports=[
        magic_ip_address.PortArgs(name="apm", port=8126),
        magic_ip_address.PortArgs(name="dogstatsd", port=8125, protocol=magic_ip_address.Protocol.UDP),
    ],
    agent=magic_ip_address.AgentArgs(image=config.get("image")),
)

pulumi.export("endpoints", magic_ip.endpoints)
pulumi.export("environment", magic_ip.environments["datadog"])

// Every node gets 169.254.210.210, and there it is the Datadog agent pod of that node.
package main

import (
	"example.com/pulumi-magic-ip-address/sdk/go/magicipaddress"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/config"
)

func main() {
	pulumi.Run(func(ctx *pulumi.Context) error {
		agent := &magicipaddress.AgentArgs{}
		if image := config.Get(ctx, "image"); image != "" {
			agent.Image = pulumi.String(image)
		}
		magicIP, err := magicipaddress.NewMagicIpAddress(ctx, "dd-agent-ip", &magicipaddress.MagicIpAddressArgs{
			IpAddress: pulumi.String("169.254.210.210"),
			Namespace: pulumi.String("datadog"),
			Selector:  pulumi.String("app=datadog"),
			Ports: magicipaddress.PortArray{
				magicipaddress.PortArgs{Name: pulumi.String("apm"), Port: pulumi.Float64(8126)},
				magicipaddress.PortArgs{
					Name:     pulumi.String("dogstatsd"),
					Port:     pulumi.Float64(8125),
					Protocol: magicipaddress.ProtocolUDP,
				},
			},
			Agent: agent,
		})
		if err != nil {
			return err
		}
		ctx.Export("endpoints", magicIP.Endpoints)
		ctx.Export("environment", magicIP.Environments.MapIndex(pulumi.String("datadog")))
		return nil
	})
}

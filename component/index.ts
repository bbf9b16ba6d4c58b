export type { AddressArgs, AgentArgs, MagicIpPortArgs, ResourcesArgs, TolerationArgs } from "./args";
export { Backend, ImagePullPolicy, Masquerade, Protocol, WhenNoTarget } from "./args";
export { MagicIpAddress, type MagicIpAddressArgs } from "./magicIpAddress";
export { MagicIpAddresses, type MagicIpAddressesArgs } from "./magicIpAddresses";

export type { Agent, Resources, Toleration, UpdateStrategy } from "./agent";
export { Backend, ImagePullPolicy, Masquerade, UpdateStrategyType } from "./agent";
export type { Address, Port } from "./args";
export { Protocol, WhenNoTarget } from "./args";
export { Client } from "./clients";
export type { EnvironmentVariable } from "./environment";
export { MagicIpAddress, type MagicIpAddressArgs } from "./magicIpAddress";
export { MagicIpAddresses, type MagicIpAddressesArgs } from "./magicIpAddresses";

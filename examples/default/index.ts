import { installFromConfig } from "./program";

export const { ipAddress, endpoint, namespace, daemonSetName } = installFromConfig();

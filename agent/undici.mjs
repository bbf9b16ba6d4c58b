// Stands in for undici in the bundle. client-node takes its HTTP client from there; the agent makes its requests itself
// (api.ts) and takes nothing but the credentials from client-node. Without it the agent needs 10 MB less.
const unused = class {
  constructor() {
    throw new Error("the agent's bundle has no undici: requests go through api.ts");
  }
};
export { unused as Agent, unused as fetch, unused as ProxyAgent };

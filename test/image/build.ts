import { mkdir, readFile, rm } from "node:fs/promises";
import { arch } from "node:os";
import { dirname, resolve } from "node:path";
import type { Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import type { Builder } from "./builder.ts";

/** The repository's root: the context of the build. */
export const REPOSITORY = fileURLToPath(new URL("../..", import.meta.url));

const LAST_LINES = 30;

export type Architecture = "amd64" | "arm64";

/** What to build and where to leave it. */
export interface ImageRequest {
  builder: Builder["name"];
  /** The docker-archive to write. */
  output: string;
  /** Default: this machine's. */
  architecture?: Architecture;
  /** What the image stands on; default: as agent/Dockerfile says. */
  baseImage?: string;
  /** What the bundle is made in; default: the base image. */
  buildImage?: string;
  /** What the netlink program is compiled in; default: the base image. */
  compilerImage?: string;
  /** More arguments of the builder's build command. */
  buildArguments?: readonly string[];
  /** Arguments that come before each of the builder's commands. */
  settings?: readonly string[];
  /** Where the builder's own output goes while it works; default: the end of it into the error if it fails. */
  progress?: Writable;
}

/** Builds agent/Dockerfile, writes the image as a docker-archive and returns its name. */
export async function buildImage(request: ImageRequest): Promise<string> {
  const name = await imageName();
  const run = runner(request);
  await run(["build", ...(await buildArguments(request)), "--tag", name, "."]);
  await mkdir(dirname(request.output), { recursive: true });
  // podman refuses to write over an archive.
  await rm(request.output, { force: true });
  if (request.builder === "docker") await run(["save", "--output", resolve(request.output), name]);
  else await run(["push", name, `docker-archive:${resolve(request.output)}:${name}`]);
  return name;
}

/** `magic-ip-address-agent:<version>`: package, chart and image have one version. */
export async function imageName(): Promise<string> {
  return `magic-ip-address-agent:${await version()}`;
}

/** This machine's architecture, as images call it. */
export function ownArchitecture(): Architecture {
  return arch() === "arm64" ? "arm64" : "amd64";
}

async function version(): Promise<string> {
  const manifest = JSON.parse(await readFile(resolve(REPOSITORY, "package.json"), "utf8")) as {
    version: string;
  };
  return manifest.version;
}

/** The commit, with `-dirty` where something is not committed; undefined where there is no git repository. */
async function revision(): Promise<string | undefined> {
  const describe = ["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"];
  const { failed, stdout } = await execa("git", describe, { cwd: REPOSITORY, reject: false });
  return failed ? undefined : stdout;
}

async function buildArguments(request: ImageRequest): Promise<string[]> {
  const variables = {
    VERSION: await version(),
    REVISION: await revision(),
    BASE_IMAGE: request.baseImage,
    BUILD_IMAGE: request.buildImage,
    COMPILER_IMAGE: request.compilerImage,
    // BuildKit knows it by itself; docker without BuildKit and older buildahs do not.
    BUILDPLATFORM: `linux/${ownArchitecture()}`,
  };
  const given = Object.entries(variables).filter(([, value]) => value !== undefined);
  return [
    "--file=agent/Dockerfile",
    `--platform=linux/${request.architecture ?? ownArchitecture()}`,
    ...given.map(([name, value]) => `--build-arg=${name}=${value}`),
    ...(request.buildArguments ?? []),
  ];
}

function runner({ builder, settings = [], output, progress }: ImageRequest) {
  return async (args: string[]) => {
    const tool = execa(builder, [...settings, ...args], { cwd: REPOSITORY, all: true, reject: false });
    if (progress) tool.all.pipe(progress, { end: false });
    const { failed, all, shortMessage } = await tool;
    if (!failed) return;
    const said = progress ? [] : all.trim().split("\n").slice(-LAST_LINES);
    throw new Error([`${output} was not written: ${shortMessage}`, ...said].join("\n"));
  };
}

import { ConsortError } from "#base/errors.ts";
import type { Image } from "#model/image.ts";
import type { ContextInputs } from "./content.ts";

const hostname = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i;
const variable = /^[A-Za-z_][A-Za-z0-9_]*$/;
const interfaceName = /^eth\d{1,2}$/;
/** "ssh-ed25519 AAAA… comment", options before it are not taken. */
const publicKey = /^(?:ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/=]+(?: [^\p{Cc}]*)?$/u;
const pathLengthMax = 4095;
const control = /\p{Cc}/u;

/**
 * Refuses what would be something else inside the guest, or on the host, than it says: whatever is told here was
 * written by users. @throws bad_input
 */
export function checkContext({ plan, hostKeys }: ContextInputs): void {
  const refuse = (what: string, wanted: string): never => {
    throw new ConsortError("bad_input", `Cannot make the context of ${plan.id}: ${what}, ${wanted}`);
  };
  const shown = (text: string): string => JSON.stringify(text.slice(0, 80));
  const { vm, files, env, command, directory, interfaces } = plan;
  if (!hostname.test(vm.hostname))
    refuse(`${shown(vm.hostname)} is no host name`, "letters, digits and dashes are wanted");
  for (const { path, mode } of files) {
    const problem = pathProblem(path);
    if (problem !== undefined) refuse(`file ${shown(path)} ${problem}`, "a plain absolute path is wanted");
    if (!Number.isInteger(mode) || mode < 0 || mode > 0o7777)
      refuse(`file ${shown(path)} has mode ${mode}`, "0 to 07777 is wanted");
  }
  const directoryProblem = directory === undefined ? undefined : pathProblem(`${directory}/x`);
  if (directoryProblem !== undefined)
    refuse(`directory ${shown(directory ?? "")} ${directoryProblem}`, "a plain absolute path is wanted");
  for (const [name, value] of Object.entries(env))
    if (!variable.test(name) || value.includes("\0"))
      refuse(
        `${shown(name)} is no variable`,
        "letters, digits and underscores, and a value without NUL are wanted",
      );
  if (command.some((word) => word.includes("\0")) || command[0]?.startsWith("-") === true)
    refuse("its command has a NUL or begins with a dash", "a program is wanted");
  for (const key of [...vm.sshKeys, ...hostKeys])
    if (!publicKey.test(key)) refuse(`${shown(key)} is no public key`, "one in OpenSSH's format is wanted");
  for (const { name } of interfaces)
    if (!interfaceName.test(name)) refuse(`${shown(name)} is no interface`, "eth0, eth1, … are wanted");
  const mounts = vm.software.map(mountName);
  const twice = mounts.find((name, index) => mounts.indexOf(name) !== index);
  if (twice !== undefined)
    refuse(`two software images are called ${shown(twice)}`, "one of each name is wanted");
}

/** Why a path inside the guest is not taken, or undefined. */
function pathProblem(path: string): string | undefined {
  if (!path.startsWith("/")) return "is not absolute";
  if (path.length > pathLengthMax) return "is too long";
  if (control.test(path)) return "has a control character";
  const parts = path.slice(1).split("/");
  if (parts.some((part) => part === "" || part === "." || part === "..")) return "has empty or dotted parts";
  return undefined;
}

/** Below /opt: the image's name, or of an address the last part of it. */
export function mountName(image: Pick<Image, "name">): string {
  const last =
    image.name
      .replace(/[?#].*$/s, "")
      .split("/")
      .at(-1) ?? "";
  const plain = last.replaceAll(/[^A-Za-z0-9._-]/g, "-").replace(/^[.-]+/, "");
  return plain === "" ? "software" : plain;
}

/**
 * Where the control groups of a machine are. Three kinds are met: all v2 (one tree), all v1 (a tree per
 * controller) and hybrid (v1 trees plus a v2 tree that carries the rest), so the question is asked per controller.
 */
export const wantedControllers = ["cpu", "cpuacct", "memory", "pids", "freezer"] as const;
export type Controller = (typeof wantedControllers)[number];

export type CgroupLayout = {
  /** Mount point of the v1 tree that carries it. */
  readonly v1: Readonly<Partial<Record<Controller, string>>>;
  /** Mount point of the v2 tree. */
  readonly v2?: string;
  /** Controllers that only the v2 tree can carry. */
  readonly v2Controllers: readonly Controller[];
};

/** From the text of /proc/self/mountinfo, and of cgroup.controllers at the v2 tree's mount point. */
export function cgroupLayout(mountinfo: string, controllersAt: (v2: string) => string): CgroupLayout {
  const v1: Partial<Record<Controller, string>> = {};
  let v2: string | undefined;
  for (const line of mountinfo.split("\n")) {
    const mount = parseMount(line);
    if (mount === undefined || mount.root !== "/") continue;
    if (mount.type === "cgroup2") v2 ??= mount.point;
    if (mount.type !== "cgroup") continue;
    for (const controller of wantedControllers) {
      if (mount.options.includes(controller)) v1[controller] ??= mount.point;
    }
  }
  if (v2 === undefined) return { v1, v2Controllers: [] };
  const carried = controllersAt(v2).trim().split(" ");
  return { v1, v2, v2Controllers: wantedControllers.filter((name) => carried.includes(name)) };
}

type Mount = { root: string; point: string; type: string; options: string[] };

function parseMount(line: string): Mount | undefined {
  const [before, after] = line.split(" - ");
  if (before === undefined || after === undefined) return undefined;
  const [, , , root, point] = before.split(" ");
  const [type, , options] = after.split(" ");
  if (root === undefined || point === undefined || type === undefined || options === undefined)
    return undefined;
  return { root, point: unescape(point), type, options: options.split(",") };
}

/** mountinfo writes a space as \040. */
function unescape(text: string): string {
  return text.replaceAll(/\\(\d{3})/g, (_, octal: string) => String.fromCodePoint(parseInt(octal, 8)));
}

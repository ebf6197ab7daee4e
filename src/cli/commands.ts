import type { Command } from "#cli/command.ts";

export type CommandEntry = {
  readonly name: string;
  /** One line for the overview. */
  readonly summary: string;
  readonly group: "Start" | "Ensembles" | "Look" | "Machine" | "Help";
  /** Loaded when it is called, so that every call starts quickly. */
  readonly load: () => Promise<{ readonly command: Command }>;
};

/** Every command, in the order the overview shows them. */
export const commands: readonly CommandEntry[] = [
  {
    name: "doctor",
    summary: "Find out what this machine can do, with a remedy for what it cannot",
    group: "Start",
    load: () => import("#cli/doctor.ts"),
  },
  {
    name: "lab",
    summary: "Hosts as network namespaces on this machine: up, down, status, power, pause, resume",
    group: "Start",
    load: () => import("#cli/lab.ts"),
  },
  {
    name: "tour",
    summary: "What npm start runs: a lab and the contention experiment, measured",
    group: "Start",
    load: () => import("#cli/tour.ts"),
  },
  {
    name: "validate",
    summary: "Check ensemble files, without any manager",
    group: "Ensembles",
    load: () => import("#cli/validate.ts"),
  },
  {
    name: "plan",
    summary: "Show what up would do, where everything would go and why",
    group: "Ensembles",
    load: () => import("#cli/plan.ts"),
  },
  {
    name: "capacity",
    summary: "How many more of an ensemble fit, also when any one host may be lost",
    group: "Ensembles",
    load: () => import("#cli/capacity.ts"),
  },
  {
    name: "up",
    summary: "Make an ensemble run as its file says",
    group: "Ensembles",
    load: () => import("#cli/up.ts"),
  },
  {
    name: "down",
    summary: "Remove an ensemble and everything of it",
    group: "Ensembles",
    load: () => import("#cli/down.ts"),
  },
  {
    name: "export",
    summary: "Print a running ensemble as the file that would make it",
    group: "Ensembles",
    load: () => import("#cli/export.ts"),
  },
  {
    name: "resize",
    summary: "Give a running appliance another size, or move some from one to another",
    group: "Ensembles",
    load: () => import("#cli/resize.ts"),
  },
  {
    name: "migrate",
    summary: "Move a virtual machine to another host while it runs",
    group: "Ensembles",
    load: () => import("#cli/migrate.ts"),
  },
  {
    name: "checkpoint",
    summary: "Keep the state of virtual machines, on other hosts or in a store",
    group: "Ensembles",
    load: () => import("#cli/checkpoint.ts"),
  },
  {
    name: "restore",
    summary: "Set a virtual machine back to a checkpoint",
    group: "Ensembles",
    load: () => import("#cli/restore.ts"),
  },
  {
    name: "suspend",
    summary: "Hold appliances where they are",
    group: "Ensembles",
    load: () => import("#cli/suspend.ts"),
  },
  {
    name: "resume",
    summary: "Let held appliances go on",
    group: "Ensembles",
    load: () => import("#cli/resume.ts"),
  },
  {
    name: "job",
    summary: "Run programs in appliances: submit, ls, status, output, cancel, rm",
    group: "Ensembles",
    load: () => import("#cli/job.ts"),
  },
  {
    name: "secret",
    summary: "Keep what servers ask of those who fetch and bring files: set, ls, rm",
    group: "Ensembles",
    load: () => import("#cli/secret.ts"),
  },
  {
    name: "ps",
    summary: "List ensembles and their appliances",
    group: "Look",
    load: () => import("#cli/ps.ts"),
  },
  {
    name: "top",
    summary: "Watch what appliances and links use",
    group: "Look",
    load: () => import("#cli/top.ts"),
  },
  {
    name: "describe",
    summary: "Everything known of an ensemble, an appliance or a host",
    group: "Look",
    load: () => import("#cli/describe.ts"),
  },
  {
    name: "explain",
    summary: "Why appliances and links are where they are",
    group: "Look",
    load: () => import("#cli/explain.ts"),
  },
  {
    name: "events",
    summary: "What happened, and what happens",
    group: "Look",
    load: () => import("#cli/events.ts"),
  },
  {
    name: "logs",
    summary: "What an appliance wrote",
    group: "Look",
    load: () => import("#cli/logs.ts"),
  },
  {
    name: "exec",
    summary: "Run a program inside an appliance",
    group: "Look",
    load: () => import("#cli/exec.ts"),
  },
  {
    name: "console",
    summary: "Look at the console of a virtual machine, and type into it",
    group: "Look",
    load: () => import("#cli/console.ts"),
  },
  {
    name: "hosts",
    summary: "List hosts with what they have and what is promised of it",
    group: "Machine",
    load: () => import("#cli/hosts.ts"),
  },
  {
    name: "image",
    summary: "The catalogue of images: ls, show, add, upload, rm, discover, gc",
    group: "Machine",
    load: () => import("#cli/image.ts"),
  },
  {
    name: "host",
    summary: "Take a host out of service and back: drain, cordon, uncordon, forget",
    group: "Machine",
    load: () => import("#cli/host.ts"),
  },
  {
    name: "operations",
    summary: "List changes asked for, running and ended",
    group: "Machine",
    load: () => import("#cli/operations.ts"),
  },
  {
    name: "snapshot",
    summary: "Print all that is desired and known as one document",
    group: "Machine",
    load: () => import("#cli/snapshot.ts"),
  },
  {
    name: "profile",
    summary: "Find out what a program needs: period, CPU time, memory, bandwidth",
    group: "Machine",
    load: () => import("#cli/profile.ts"),
  },
  {
    name: "simulate",
    summary: "Play a scenario on a cloud that never was, in virtual time",
    group: "Machine",
    load: () => import("#cli/simulate.ts"),
  },
  {
    name: "completion",
    summary: "Print completion for bash, zsh or fish",
    group: "Help",
    load: () => import("#cli/completion.ts"),
  },
  {
    name: "help",
    summary: "Explain a command",
    group: "Help",
    load: () => import("#cli/help.ts"),
  },
  {
    name: "version",
    summary: "Print the version, and the manager's",
    group: "Help",
    load: () => import("#cli/version.ts"),
  },
];

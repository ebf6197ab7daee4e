/** Serial numbers of a machine's disks: by them its guest knows which is which. At most 20 characters. */
export const diskSerials = {
  context: "cidata",
  root: "root",
  home: "home",
  swap: "swap",
  /** Of the plan's software images, in their order. */
  software: (index: number): string => `software${index}`,
} as const;

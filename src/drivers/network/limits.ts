/** Of one host; class numbers have 16 bits. docs/reference/limits.md explains them. */
export const networkLimits = {
  /** Pairs with a class of their own. */
  shapedPairsMax: 0xdff0,
  /** Appliances with a traffic class. */
  trafficClassesMax: 4096,
} as const;

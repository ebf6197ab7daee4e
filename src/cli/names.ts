/** "shop/web-1" → "web-1": where the ensemble is said already. */
export const shortName = (id: string): string => id.slice(id.indexOf("/") + 1);

/** "web-1 – db" */
export const linkName = (link: { readonly from: string; readonly to: string }): string =>
  `${shortName(link.from)} – ${shortName(link.to)}`;

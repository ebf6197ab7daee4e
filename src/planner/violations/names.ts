const namesShown = 5;

export function names(ids: readonly string[]): string {
  const shown = ids.slice(0, namesShown).join(", ");
  return ids.length > namesShown ? `${shown} and ${ids.length - namesShown} more` : shown;
}

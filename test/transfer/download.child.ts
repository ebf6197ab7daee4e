import { systemClock } from "#drivers/system/clock.ts";
import { openTransfer } from "#drivers/transfer/transfer.ts";

/** Downloads an address into a file. */
const [url = "", file = ""] = process.argv.slice(2);
const transfer = openTransfer({ clock: systemClock(), roots: [] });
await transfer.download({ url }, file, {}, () => {}, new AbortController().signal);

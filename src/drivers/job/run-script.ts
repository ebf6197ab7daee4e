import type { JobPlace, JobProgram } from "#drivers/job/port.ts";

/** Any text as one word of a shell. */
export const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

/** What it wrote is kept in so many files inside, of at most so many reads of a pipe each: eight of a MiB. */
const partsKept = 8;
const readBytes = 4096;
const readsPerPart = 256;

/**
 * The shell script that leads an attempt's session inside its appliance: it waits for the program and writes down how
 * that ended. Its pid is told before the claim is made, and the program runs only by the claim: whoever finds no pid
 * and makes the claim itself knows that the program never runs (job.sh, look).
 */
export function runScript(place: JobPlace, program: JobProgram): string {
  const work = place.directory === undefined ? '"$dir/work"' : quoted(place.directory);
  const { command, env, stdin, stdout, stderr } = program;
  return `
dir=$1
line=$(cat /proc/$$/stat)
set -- \${line##*) }
echo "$$ \${20}" >"$dir/pid.new" && mv "$dir/pid.new" "$dir/pid" || exit 70
mkdir "$dir/claim" 2>/dev/null || exit 0
keep() {
  part=0
  while dd bs=${readBytes} count=${readsPerPart} of="$dir/$1.$part" 2>/dev/null && [ -s "$dir/$1.$part" ]; do
    rm -f "$dir/$1.$((part - ${partsKept - 1}))"
    part=$((part + 1))
  done
  rm -f "$dir/$1.$part"
  : >"$dir/$1.end"
}
umask 022
mkdir -p ${work}
cd ${work} || { echo 126 >"$dir/exit.new"; mv "$dir/exit.new" "$dir/exit"; exit 0; }
${keeper("out", "o", stdout)}
${keeper("err", "e", stderr)}
(
  exec <${stdin === undefined ? "/dev/null" : quoted(asPath(stdin))} || exit 126
${Object.entries(env)
  .map(([name, value]) => `  export ${name}=${quoted(value)}\n`)
  .join("")}  exec ${command.map(quoted).join(" ")}
) >"$dir/o" 2>"$dir/e" &
wait $!
code=$?
tries=0
until [ -e "$dir/out.end" ] && [ -e "$dir/err.end" ] || [ "$tries" -ge 40 ]; do
  sleep 0.05
  tries=$((tries + 1))
done
echo "$code" >"$dir/exit.new" && mv "$dir/exit.new" "$dir/exit"
`;
}

/** Written to a file of the job's, too, where it asks for that. */
function keeper(stream: string, pipe: string, path: string | undefined): string {
  if (path === undefined) return `keep ${stream} <"$dir/${pipe}" &`;
  return `tee ${quoted(asPath(path))} <"$dir/${pipe}" | keep ${stream} &`;
}

/** A relative path that no program takes for an option. */
const asPath = (path: string): string => (path.startsWith("/") ? path : `./${path}`);

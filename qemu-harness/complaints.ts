/** What a kernel that lost its root, or nearly, says on the console; none of it may be there. */
const COMPLAINTS = [
  /I\/O error/i,
  /\bnbd\d+: (?:Receive control failed|Send control failed|Connection timed out|Dead connection)/,
  /\bnbd\d+: Possible stuck request/,
  /(?:EXT4-fs|XFS|BTRFS).*(?:error|corrupt)/i,
  /blocked for more than \d+ seconds/,
  /Kernel panic|Call Trace:|Oops:|BUG:/,
]

/** What it says where a daemon is killed; that another one comes is for the scenario to prove. */
export const DAEMON_KILLED: readonly RegExp[] = [
  /Receive control failed/,
  /Send control failed/,
  /Possible stuck request/,
  /Dead connection/,
]

/** The lines that complain of anything else than what this boot is about. */
export function complaints(
  console: readonly string[],
  expected: readonly RegExp[],
): readonly string[] {
  return console.filter(
    (line) =>
      COMPLAINTS.some((pattern) => pattern.test(line)) &&
      !expected.some((pattern) => pattern.test(line)),
  )
}

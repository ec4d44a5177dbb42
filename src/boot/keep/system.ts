/** The system that the machine is about to become. */
export interface System {
  /** Where its root is mounted. */
  readonly root: string
  /** The directory that it will have as /run. */
  readonly run: string
  /** Its first process is systemd. */
  readonly hasSystemd: boolean
}

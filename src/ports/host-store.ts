/** Machines that run tasks. Their clocks must agree to a few seconds: a beat is told in the time of the machine that made it. */
export interface HostStore {
  /** Says that the host lives. Its lease on the attempts that it has begun lasts from here on. */
  beat(host: string): Promise<void>;
}

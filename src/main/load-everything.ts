/**
 * Loads whatever a manager loads, and does nothing: Node then has it in its compile cache (lab/compile-cache.ts).
 * The programs among them run only when they are started themselves.
 */
await Promise.all([
  import("#main/lab-supervisor.ts"),
  import("#main/lab-latency.ts"),
  import("#main/cluster.ts"),
  import("#main/host.ts"),
  import("#main/job-parts.ts"),
  import("#main/machines.ts"),
  import("#drivers/image/discovery.ts"),
  import("#drivers/monitor/system-monitors.ts"),
  import("#drivers/network/host-network.ts"),
  import("#drivers/network/tunnels/tunnel-driver.ts"),
  import("#drivers/transfer/s3.ts"),
]);

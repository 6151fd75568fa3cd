import { once } from 'node:events';
import type { AddressInfo, Server } from 'node:net';

/** Starts `server` on a port of 127.0.0.1, which it returns. */
export async function serveOnLoopback(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

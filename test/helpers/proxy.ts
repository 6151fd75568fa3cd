/** An HTTP proxy as companies have them: tunnels to 443 only unless told otherwise, all names lead to this machine. */
import { once } from 'node:events';
import { createServer, request as ask } from 'node:http';
import { connect } from 'node:net';
import { serveOnLoopback } from './loopback.js';

export interface Proxy {
  readonly port: number;
  /** the request line of each, with the login where there was one */
  readonly seen: readonly string[];
  readonly close: () => Promise<void>;
}

/** `to`: the port of this machine that a host and port lead to; null: a refusal. */
export async function startProxy(to: (host: string, port: number) => number | null): Promise<Proxy> {
  const seen: string[] = [];
  const note = (line: string, login: string | undefined): void => void seen.push(login === undefined ? line : `${line} ${login}`);
  const server = createServer((request, response) => {
    note(`${request.method ?? ''} ${request.url ?? ''}`, request.headers['proxy-authorization']);
    const url = new URL(request.url ?? '', 'http://no-authority.invalid');
    const port = to(url.hostname, Number(url.port === '' ? 80 : url.port));
    if (port === null) return void response.writeHead(403).end('the proxy says no\n');
    const forwarded = ask({ port, host: '127.0.0.1', path: url.pathname + url.search, method: request.method, headers: { ...request.headers, host: url.host } }, (answer) => {
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(response);
    });
    forwarded.on('error', () => response.destroy());
    request.pipe(forwarded);
  });
  server.on('connect', (request, socket, head) => {
    note(`CONNECT ${request.url ?? ''}`, request.headers['proxy-authorization']);
    socket.on('error', () => undefined);
    const [host = '', text = ''] = (request.url ?? '').split(/:(?=\d+$)/);
    const port = to(host, Number(text));
    if (port === null) return void socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nno\n');
    const server = connect(port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\nVia: 1.1 test\r\n\r\n');
      server.write(head);
      server.pipe(socket).pipe(server);
    });
    server.on('error', () => socket.destroy());
  });
  return {
    port: await serveOnLoopback(server),
    seen,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

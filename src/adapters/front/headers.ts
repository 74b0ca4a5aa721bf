import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';

const hopByHop = [
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'upgrade',
];
/** A client must not be able to strip what frames its own message. */
const framing = new Set(['content-length', 'transfer-encoding', 'host']);

/** Removes what concerns one connection only. `transfer-encoding` stays: it frames the body that is piped on. */
export function stripHopByHop(headers: IncomingHttpHeaders): void {
  const named = (headers.connection ?? '').split(',').map((name) => name.trim().toLowerCase());
  for (const name of [...hopByHop, ...named]) if (!framing.has(name)) headers[name] = undefined;
  for (const [name, value] of Object.entries(headers)) if (value === undefined) Reflect.deleteProperty(headers, name);
}

/** Tells the application who asked, as the proxies before this one did. */
export function addForwarded(request: IncomingMessage, port: number): void {
  const { headers } = request;
  const peer = request.socket.remoteAddress; // none on the unix socket
  const chain = [headers['x-forwarded-for'], peer].flat().filter((part) => part !== undefined);
  if (chain.length > 0) headers['x-forwarded-for'] = chain.join(', ');
  headers['x-forwarded-proto'] ??= 'http';
  headers['x-forwarded-port'] ??= String(port);
  if (headers.host !== undefined) headers['x-forwarded-host'] ??= headers.host;
}

export function asksToClose(headers: IncomingHttpHeaders): boolean {
  return /(^|,)\s*close\s*($|,)/i.test(headers.connection ?? '');
}

/** Could the request be sent a second time without harm? */
export function isRepeatable(request: IncomingMessage): boolean {
  const { method = '', headers } = request;
  const hasBody = headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
  return ['GET', 'HEAD', 'OPTIONS'].includes(method) && !hasBody;
}

// What thingy answers. No network in here, so it is tested without one.

/**
 * @param {{ greeting: string, release: string, version: string }} settings
 * @param {string} method
 * @param {string} path
 * @returns {{ status: number, body: object }}
 */
export function answer(settings, method, path) {
  if (method !== 'GET' && method !== 'HEAD') return { status: 405, body: { error: 'method not allowed' } };
  if (path === '/health') return { status: 200, body: { status: 'ok' } };
  if (path === '/') return { status: 200, body: { ...settings } };
  return { status: 404, body: { error: 'not found' } };
}

/** Reads the settings that Loam gives to every release: `config` of loam.yaml, and LOAM_RELEASE. */
export function readSettings(env, version) {
  return {
    greeting: env.GREETING ?? 'hi',
    release: env.LOAM_RELEASE ?? 'none',
    version,
  };
}

export function readPort(text = '8080') {
  const port = Number(text);
  if (text.trim() === '' || !Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new Error(`PORT must be a number from 0 to 65535, not "${text}"`);
  }
  return port;
}

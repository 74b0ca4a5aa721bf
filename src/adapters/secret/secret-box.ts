import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { DomainError } from '../../core/errors.ts';
import { Secret, type SecretBox } from '../../ports/secret.ts';
import { keyBytes } from './key-file.ts';
import type { KeyFile, Keys } from './key-file.ts';

// Envelope encryption: each secret has a data key of its own, and the master key seals only that one. A sealed text is
// `v1.<key id>.<sealed data key>.<sealed secret>`, each sealed part nonce, ciphertext and tag together.

const version = 'v1';
const nonceBytes = 12;
const tagBytes = 16;

/** Names the key without telling anything about it. */
function keyId(key: Uint8Array): string {
  return createHash('sha256').update('loam key id\0').update(key).digest('hex').slice(0, 16);
}

function encrypt(key: Uint8Array, plain: Uint8Array, context: string): string {
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes }).setAAD(Buffer.from(context));
  return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]).toString('base64url');
}

function decrypt(key: Uint8Array, sealed: string, context: string): Buffer {
  const bytes = Buffer.from(sealed, 'base64url');
  const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, nonceBytes), { authTagLength: tagBytes });
  decipher.setAAD(Buffer.from(context)).setAuthTag(bytes.subarray(-tagBytes));
  return Buffer.concat([decipher.update(bytes.subarray(nonceBytes, -tagBytes)), decipher.final()]);
}

function checkKey(key: Uint8Array): void {
  if (key.length === keyBytes) return;
  throw new DomainError('configuration-invalid', `a key has ${keyBytes} bytes, this one ${key.length}`);
}

class AesSecretBox implements SecretBox {
  readonly #current: () => Keys;

  constructor(current: () => Keys) {
    this.#current = current;
    current().forEach(checkKey);
  }

  isCurrent(sealed: string): boolean {
    return sealed.startsWith(`${version}.${keyId(this.#current()[0])}.`);
  }

  seal(plain: string, context: string): string {
    const [key] = this.#current();
    const dataKey = randomBytes(keyBytes);
    return [version, keyId(key), encrypt(key, dataKey, context), encrypt(dataKey, Buffer.from(plain), context)].join(
      '.',
    );
  }

  open(sealed: string, context: string): Secret {
    const [written, id, sealedKey, sealedSecret, ...rest] = sealed.split('.');
    if (
      written !== version ||
      id === undefined ||
      sealedKey === undefined ||
      sealedSecret === undefined ||
      rest.length > 0
    ) {
      throw new DomainError('internal', `the sealed text of ${context} is damaged`);
    }
    const key = this.#current().find((one) => keyId(one) === id);
    if (key === undefined) {
      throw new DomainError(
        'internal',
        `the key ${id} that sealed ${context} is missing; give it to Loam as a further key`,
      );
    }
    try {
      return new Secret(decrypt(decrypt(key, sealedKey, context), sealedSecret, context).toString('utf8'));
    } catch {
      // Without the cause: it adds nothing, and must not carry any of the text along.
      throw new DomainError('internal', `the sealed text of ${context} was changed or belongs to another row`);
    }
  }
}

/** The first key seals, all of them open. `current` is asked each time. */
export function createSecretBox(
  options: { readonly key: Uint8Array } | { readonly keys: Keys } | Pick<KeyFile, 'current'>,
): SecretBox {
  if ('current' in options) return new AesSecretBox(() => options.current());
  const keys: Keys = 'keys' in options ? options.keys : [options.key];
  return new AesSecretBox(() => keys);
}

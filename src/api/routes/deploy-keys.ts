import { z } from 'zod';
import { DomainError } from '../../core/errors.ts';
import { Secret } from '../../ports/secret.ts';
import type { RouteDependencies } from '../dependencies.ts';
import { defineRoute } from '../route.ts';
import type { Route } from '../route.ts';
import { ApplicationNameText, text } from '../fields.ts';
import { ApplicationView } from '../schema.ts';
import { viewApplication } from '../view.ts';
import { requireApplication } from './applications.ts';

const maxFileLength = 20_000;

const PrivateKey = text(maxFileLength)
  .refine(isPrivateKey, 'a private key, as ssh-keygen writes it')
  .refine((key) => !hasPassphrase(key), 'a key without a passphrase: there is nobody to type it (ssh-keygen -p -N "")');

const KnownHosts = text(maxFileLength).refine(
  (file) =>
    file.split('\n').some((line) => /^(@cert-authority )?[^#@\s]\S* [a-z0-9@.-]+ [A-Za-z0-9+/=]{30,}/.test(line)),
  'at least one line of a file known_hosts: host, type and key',
);

const DeployKeyBody = z.union([
  z.strictObject({ key: PrivateKey, knownHosts: KnownHosts }),
  z.strictObject({ key: z.null() }),
]);

export function deployKeyRoutes(dependencies: RouteDependencies): readonly Route[] {
  const { store, links } = dependencies;
  return [
    defineRoute({
      method: 'put',
      path: '/v1/applications/{application}/deploy-key',
      access: 'admin',
      scope: 'application',
      summary:
        'Sets key and host keys that a private repository is read with by ssh; null takes them away. No answer shows them',
      params: z.object({ application: ApplicationNameText }),
      body: DeployKeyBody,
      answer: ApplicationView,
      handle: async ({ params, body }) => {
        const { name, repositoryUrl } = await requireApplication(dependencies, params.application);
        if (body.key === null) return viewApplication(links, await store.applications.setDeployKey(name, undefined));
        if (!/^ssh:\/\/|^[^/:]+@[^/:]+:/.test(repositoryUrl))
          throw new DomainError(
            'input-invalid',
            `A key is only for ssh, and the repository of ${name} is ${repositoryUrl}`,
          );
        const { key, knownHosts } = body;
        return viewApplication(
          links,
          await store.applications.setDeployKey(name, { key: new Secret(key), knownHosts }),
        );
      },
    }),
  ];
}

function isPrivateKey(key: string): boolean {
  return /^-----BEGIN ([A-Z0-9]+ )?PRIVATE KEY-----\r?\n[A-Za-z0-9+/=:,\s-]+-----END ([A-Z0-9]+ )?PRIVATE KEY-----\s*$/.test(
    key,
  );
}

/** The older formats say it; OpenSSH's own names its cipher right after a mark. */
function hasPassphrase(key: string): boolean {
  if (key.includes('ENCRYPTED')) return true;
  const [, , body = ''] = key.split('-----');
  const bytes = Buffer.from(body, 'base64');
  const mark = 'openssh-key-v1\0';
  return (
    bytes.subarray(0, mark.length).toString('latin1') === mark && !bytes.subarray(mark.length, 40).includes('none')
  );
}

import type { KeyRotation } from '../../api/routes/keys.ts';
import { addCommand, addGroup } from '../command.ts';
import type { Registry } from '../command.ts';
import { exitCodes } from '../failure.ts';

export function keyCommands(registry: Registry): void {
  const group = addGroup(registry, 'key', 'the master key that secrets are sealed with');
  addCommand(
    registry,
    group,
    {
      usage: 'rotate',
      summary: 'make a new key and seal all secrets with it, while Loam runs',
      examples: ['loam key rotate', 'loam key rotate --no-new-key'],
      more: 'The old key stays in the key file: deployed processes have files that it has sealed, until their next deploy.',
    },
    async ({ client, show }, _args, options) => {
      const newKey = options['newKey'] !== false;
      const answer = await client.request<KeyRotation>('POST', '/v1/keys/rotate', { newKey });
      show(answer, () => `${answer.resealed} sealed anew.\n`);
      return exitCodes.ok;
    },
  ).option('--no-new-key', 'it is in front of the key file of every host already');
}

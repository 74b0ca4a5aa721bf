import type { DeliveryView } from '../../api/delivery-view.ts';
import { addCommand, addGroup, segment } from '../command.ts';
import type { Registry } from '../command.ts';
import { exitCodes } from '../failure.ts';
import { oneLine, table } from '../text.ts';

export function deliveryCommands(registry: Registry): void {
  const group = addGroup(registry, 'delivery', 'deliveries: webhooks and other trigger calls as they came in');
  addCommand(
    registry,
    group,
    {
      usage: 'show <delivery>',
      summary: 'show what became of a delivery, by the id that Loam or its relay answered with',
      examples: ['loam delivery show 0b5e3f0c-5c1e-4d55-9a53-2b1f6f0a8d11'],
      more: 'A delivery that a relay has not brought yet is unknown here: "loam relay list" shows it where the relay runs.',
    },
    async ({ client, show }, [delivery]) => {
      const one = await client.request<DeliveryView>('GET', `/v1/deliveries/${segment(delivery)}`);
      show(one, () => drawDelivery(one));
      return exitCodes.ok;
    },
  );
}

function drawDelivery(one: DeliveryView): string {
  const rows: readonly (readonly [string, string | null])[] = [
    ['delivery', one.delivery],
    ['application', one.application],
    ['result', one.result],
    ['reason', one.reason],
    ['run', one.run],
    ['url', one.url],
    ['ref', one.ref],
    ['commit', one.after],
    ['source', one.source],
    ["source's id", one.sourceDelivery],
    ['received', one.receivedAt],
  ];
  return table(rows.flatMap(([name, value]) => (value === null ? [] : [[name, oneLine(value)]])));
}

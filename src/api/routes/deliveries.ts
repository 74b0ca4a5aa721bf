import { z } from 'zod';
import { DomainError } from '../../core/errors.ts';
import { mayAct } from '../../core/model/access.ts';
import { DeliveryView, viewDelivery } from '../delivery-view.ts';
import type { RouteDependencies } from '../dependencies.ts';
import { defineRoute } from '../route.ts';
import type { Route } from '../route.ts';
import { text } from '../fields.ts';

export function deliveryRoutes({ store, links }: RouteDependencies): readonly Route[] {
  return [
    defineRoute({
      method: 'get',
      path: '/v1/deliveries/{delivery}',
      access: 'viewer',
      scope: 'seen',
      summary: 'Tells what became of a delivery, by the id that the door or the relay answered with',
      params: z.object({ delivery: text(100) }),
      answer: DeliveryView,
      handle: async ({ params: { delivery }, caller }) => {
        const row = await store.deliveries.get(delivery);
        if (row !== undefined && mayAct(caller().grants, 'viewer', { application: row.application }))
          return viewDelivery(links, row);
        const message = `There is no delivery "${delivery}" here; a relay may still keep it`;
        throw new DomainError('delivery-unknown', message);
      },
    }),
  ];
}

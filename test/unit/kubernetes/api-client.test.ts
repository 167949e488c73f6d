import { Agent } from 'node:http';
import { expect, test } from 'vitest';
import { apiClient } from '../../../functions/kubernetes/api-client.ts';
import { describeError, NoAnswerError } from '../../../functions/platform/errors.ts';

test('says of each address of a host why it did not answer', async () => {
  // An endpoint of EKS has an address in each of several zones.
  const addresses = ['127.0.0.1', '127.0.0.2'].map((address) => ({ address, family: 4 }));
  const agent = new Agent({ lookup: (_, __, found) => found(null, addresses) });
  const client = apiClient({ server: 'http://several.example:1', agent, headers: async () => ({}) }, 5_000);
  const error = await client.send({ path: '/version' }).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(NoAnswerError);
  expect(describeError(error)).toBe(
    'no whole answer from several.example:1: connect ECONNREFUSED 127.0.0.1:1; connect ECONNREFUSED 127.0.0.2:1',
  );
});

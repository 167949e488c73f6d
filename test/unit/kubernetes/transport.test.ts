import { Agent } from 'node:http';
import { HttpMethod, RequestContext } from '@kubernetes/client-node/dist/gen/http/http.js';
import { expect, test } from 'vitest';
import { httpTransport } from '../../../functions/kubernetes/transport.ts';
import { describeError, NoAnswerError } from '../../../functions/platform/errors.ts';

test('says of each address of a host why it did not answer', async () => {
  // An endpoint of EKS has an address in each of several zones.
  const addresses = ['127.0.0.1', '127.0.0.2'].map((address) => ({ address, family: 4 }));
  const agent = new Agent({ lookup: (_, __, found) => found(null, addresses) });
  const context = new RequestContext('http://several.example:1/version', HttpMethod.GET);
  const error = await httpTransport(agent, 5_000)(context).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(NoAnswerError);
  expect(describeError(error)).toBe(
    'no whole answer from several.example:1: connect ECONNREFUSED 127.0.0.1:1; connect ECONNREFUSED 127.0.0.2:1',
  );
});

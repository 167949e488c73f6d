import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import * as z from 'zod/mini';
import { judge } from '../../../functions/judgement/judge.ts';
import { objectKey } from '../../../functions/judgement/kubernetes-objects.ts';
import { snapshotOfList } from '../../../functions/kubernetes/cluster-list.ts';

/** Real cluster states, and what Envoy Gateway itself did not make again when it was asked. A new folder is a new test. */
const CASES = new URL('../../cases/', import.meta.url);
const cases = readdirSync(CASES, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name);

const expectedSchema = z.strictObject({
  envoyGateway: z.string(),
  delete: z.array(z.string()),
  keep: z.array(z.string()),
});
const jsonOf = (path: string): unknown => JSON.parse(readFileSync(new URL(path, CASES), 'utf8'));

test('there are cases, of HPAs that must go and of HPAs that must stay', () => {
  const expectations = cases.map((name) => expectedSchema.parse(jsonOf(`${name}/expected.json`)));
  expect(expectations.flatMap((expected) => expected.delete)).not.toEqual([]);
  expect(expectations.flatMap((expected) => expected.keep)).not.toEqual([]);
});

test.each(cases)('%s: deletes exactly the listed HPAs, and keeps the others', (name) => {
  const expected = expectedSchema.parse(jsonOf(`${name}/expected.json`));
  const verdicts = judge(snapshotOfList(jsonOf(`${name}/cluster.json`), true));
  const judged = (action: 'delete' | 'keep') =>
    verdicts.filter((verdict) => verdict.action === action).map(({ hpa }) => objectKey(hpa.metadata));
  expect(judged('delete').toSorted()).toEqual(expected.delete.toSorted());
  expect(judged('keep')).toEqual(expect.arrayContaining(expected.keep));
});

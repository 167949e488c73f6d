import { describe, expect, test, vi } from 'vitest';
import { digestReportSchema } from '../../functions/events/digest.ts';
import { changeBy, missingHpa, problemLogged, sweepLogged, sweptHpa } from '../builders/outcomes.ts';
import { digest, digestSurroundings, LOG_GROUP, TOPIC_ARN, writeOutcomes } from './digest-harness.ts';

const self = digestSurroundings();

const NOW = new Date('2026-11-25T00:15:02.345Z');
const atNow = () => vi.useFakeTimers({ now: NOW, toFake: ['Date'] });

const [before, first, last, after] = [
  '2026-11-23T23:59:59.999Z',
  '2026-11-24T00:00:00.000Z',
  '2026-11-24T23:59:59.999Z',
  '2026-11-25T00:00:00.000Z',
].map((time) => problemLogged('bank', time)[0] as string) as [string, string, string, string];

const LEFT_BEHIND = sweptHpa('shop/web', 'Deleted', {
  changes: [changeBy('jane@example.com', '2026-11-24T07:58:03.196000Z')],
  manifest: { kind: 'HorizontalPodAutoscaler', metadata: { annotations: { note: 'a manifest' } } },
});

describe('the digest of a day', () => {
  test('is what was told from midnight to midnight (UTC), in one message', async () => {
    atNow();
    writeOutcomes(self.logs, [before, first, ...sweepLogged({}, '2026-11-24T08:00:00Z', [LEFT_BEHIND]), last, after]);
    const report = await digest({});
    const { subject, text, ...others } = report;
    expect(digestReportSchema.parse(report)).toEqual(report);
    expect(others).toEqual({
      ...{ schemaVersion: 1, since: '2026-11-24T00:00:00.000Z', until: '2026-11-25T00:00:00.000Z' },
      ...{ events: 3, notUnderstood: 0, totals: { 'Cluster Unreachable': 1, 'HPA Deleted': 1 } },
      ...{ result: 'published', messageId: 'message-1' },
    });
    expect(subject).toBe('envoy-hpa-reaper eu-central-1: 1 unreachable, 1 deleted');
    expect(text).toContain('\n  - 2 times from 00:00 to 23:59\n');
    expect(text).toContain('Changed by jane@example.com at 2026-11-24T07:58:03.196000Z');
    expect(text).not.toContain('a manifest');
    expect(self.sns.requests).toEqual([
      { Action: 'Publish', Version: '2010-03-31', TopicArn: TOPIC_ARN, Subject: subject, Message: text },
    ]);
    const range = { startTime: Date.parse('2026-11-24T00:00:00Z'), endTime: Date.parse('2026-11-24T23:59:59.999Z') };
    // Each page of the double looks at one event.
    expect(self.logs.requests).toEqual(
      [{}, { nextToken: '1' }, { nextToken: '2' }, { nextToken: '3' }, { nextToken: '4' }].map((token) => ({
        ...{ logGroupName: LOG_GROUP, ...range },
        ...token,
      })),
    );
  });

  test('tells of what is wanted and missing before all else, once for each HPA, with its remedy', async () => {
    atNow();
    const missing = missingHpa('shop/web');
    const told = ['07', '08'].flatMap((hour) =>
      sweepLogged({ sweep: true }, `2026-11-24T${hour}:00:00Z`, hour === '07' ? [LEFT_BEHIND] : [], [missing]),
    );
    writeOutcomes(self.logs, told);
    const { subject, text, totals } = await digest({});
    expect(totals).toEqual({ 'HPA Missing': 1, 'HPA Deleted': 1 });
    expect(subject).toBe('envoy-hpa-reaper eu-central-1: 1 missing, 1 deleted');
    expect(text).toContain(
      [
        '  Wanted, and missing (1)',
        `  - ${missing.namespace}/${missing.name} 2 times from 07:00 to 08:00`,
        `    WantedButMissing: ${missing.explanation}`,
        `    Remedy: ${missing.remedy}`,
      ].join('\n'),
    );
    expect(text).toContain('\n- Missing: follow the remedy; docs/runbook.md, "A wanted HPA is missing".');
  });

  test('understands a sweep of an earlier release, which counted no missing HPAs', async () => {
    atNow();
    const [line = ''] = sweepLogged({ sweep: true }, '2026-11-24T08:00:00Z');
    const event = JSON.parse(line);
    Reflect.deleteProperty(event.detail, 'missing');
    writeOutcomes(self.logs, [JSON.stringify(event)]);
    expect(await digest({})).toMatchObject({ events: 1, notUnderstood: 0, result: 'nothing to say' });
  });

  test('is logged and counted, and its text is in no log', async () => {
    atNow();
    writeOutcomes(self.logs, [first, '{"time":"2026-11-24T01:00:00Z"}']);
    const { text: _text, ...report } = await digest({});
    expect(self.output.logged()).toEqual([
      expect.objectContaining({ level: 'INFO', message: 'digest finished', ...report }),
    ]);
    expect(self.output.text).not.toContain('What to do');
    expect([self.output.counted('DigestsPublished'), self.output.counted('OutcomesNotUnderstood')]).toEqual([1, 1]);
  });

  test('is no message where there is nothing to say', async () => {
    atNow();
    writeOutcomes(self.logs, [before, ...sweepLogged({ sweep: true }, '2026-11-24T08:00:00Z'), after]);
    expect(await digest({})).toEqual({
      ...{ schemaVersion: 1, since: '2026-11-24T00:00:00.000Z', until: '2026-11-25T00:00:00.000Z' },
      ...{ events: 1, notUnderstood: 0, totals: {}, result: 'nothing to say' },
    });
    expect(self.sns.requests).toEqual([]);
    expect(self.output.counted('DigestsPublished')).toBe(0);
  });

  test('is no message where it is a dry run, and its text is the answer', async () => {
    atNow();
    writeOutcomes(self.logs, [first]);
    expect(await digest({ dryRun: true })).toMatchObject({
      ...{ result: 'dry run', totals: { 'Cluster Unreachable': 1 } },
      ...{ subject: 'envoy-hpa-reaper eu-central-1: 1 unreachable', text: expect.stringContaining('What to do') },
    });
    expect(self.sns.requests).toEqual([]);
    expect(self.output.counted('DigestsPublished')).toBe(0);
  });
});

test.each<[object, string, string]>([
  [{ hours: 6 }, '2026-11-24T18:15:02.345Z', NOW.toISOString()],
  [{ since: '2026-11-24T22:00:00Z' }, '2026-11-24T22:00:00.000Z', NOW.toISOString()],
  [{ until: '2026-11-20T12:00:00Z' }, '2026-11-19T12:00:00.000Z', '2026-11-20T12:00:00.000Z'],
  [{ hours: 744, until: '2026-11-20T12:00:00Z' }, '2026-10-20T12:00:00.000Z', '2026-11-20T12:00:00.000Z'],
  [
    { since: '2026-11-20T00:00:00Z', until: '2026-11-21T00:00:00.5Z' },
    '2026-11-20T00:00:00.000Z',
    '2026-11-21T00:00:00.500Z',
  ],
])('%j is from %s to %s', async (request, since, until) => {
  atNow();
  writeOutcomes(self.logs, []);
  expect(await digest({ ...request, dryRun: true })).toMatchObject({ since, until });
  const range = { startTime: Date.parse(since), endTime: Date.parse(until) - 1 };
  expect(self.logs.requests).toEqual([{ logGroupName: LOG_GROUP, ...range }]);
});

const KEYS = 'it may have hours, since, until, dryRun';
test.each<[unknown, string]>([
  [null, `the payload does not fit: (the payload): expected an object; ${KEYS}`],
  [
    { hours: 0, since: 'yesterday', until: 5, dryRun: 'yes', day: 1 },
    'the payload does not fit: hours: expected a whole number from 1 to 744; ' +
      'since: expected a time such as 2026-11-24T06:00:00Z; until: expected a time such as 2026-11-24T06:00:00Z; ' +
      `dryRun: expected true or false; unknown day; ${KEYS}`,
  ],
  [{ hours: 1, since: '2026-11-24T00:00:00Z' }, 'refused: give hours or since, not both'],
  [{ since: '2026-11-26T00:00:00Z' }, 'refused: since must be before until, by 31 days at most'],
  [
    { since: '2026-10-01T00:00:00Z', until: '2026-11-01T00:00:00.1Z' },
    'refused: since must be before until, by 31 days at most',
  ],
])('%j is refused', async (payload, message) => {
  atNow();
  await expect(digest(payload)).rejects.toMatchObject({ name: 'MalformedInputError', message });
  expect([self.logs.requests, self.sns.requests]).toEqual([[], []]);
  expect(self.output.logged()).toMatchObject([{ level: 'ERROR', message: 'digest failed', reason: message }]);
});

test('the environment is named where it does not fit, fault by fault', async () => {
  vi.stubEnv('OUTCOME_LOG_GROUP', undefined);
  vi.stubEnv('TOPIC_ARN', 'sre@example.com');
  await expect(digest({})).rejects.toMatchObject({
    faults: ['OUTCOME_LOG_GROUP is missing', 'TOPIC_ARN: expected the ARN of an SNS topic'],
  });
});

describe('an invocation fails, so that Lambda tries again,', () => {
  test.each<[string, number, string, () => void, number]>([
    [
      'where there is no such log group',
      900_000,
      'RetryableError: CloudWatch Logs could not search /aws/events/envoy-hpa-reaper-outcomes in eu-central-1',
      () => void self.logs.groups.clear(),
      0,
    ],
    [
      'where the log may not be read',
      900_000,
      'AwsAccessError: CloudWatch Logs could not search /aws/events/envoy-hpa-reaper-outcomes in eu-central-1',
      () => self.logs.failRequests(1, 400, 'AccessDeniedException'),
      0,
    ],
    [
      'where the time does not suffice for another page and for publishing',
      190_000,
      'RetryableError: 1 outcomes read, and no time is left for the rest: ask for a shorter time with since and until',
      () => {},
      0,
    ],
    [
      'where the topic does not take the message',
      900_000,
      `AwsAccessError: SNS did not take the message for ${TOPIC_ARN}`,
      () => self.sns.failRequests(1, 403, 'AccessDenied'),
      1,
    ],
    [
      'where the topic is not there to answer',
      900_000,
      `RetryableError: SNS did not take the message for ${TOPIC_ARN}`,
      () => self.sns.failRequests(1, 500, 'InternalError'),
      1,
    ],
  ])('%s', async (_, remaining, message, prepare, published) => {
    atNow();
    writeOutcomes(self.logs, [first]);
    prepare();
    const error = await digest({}, remaining).then(
      () => undefined,
      (thrown) => thrown,
    );
    expect(`${error?.name}: ${error?.message}`).toMatch(new RegExp(message.replaceAll(/[./]/g, '\\$&')));
    expect(self.sns.requests).toHaveLength(published);
    expect(self.output.logged()).toMatchObject([{ level: 'ERROR', message: 'digest failed', error: error.name }]);
    expect(self.output.counted('DigestsPublished')).toBe(0);
  });
});

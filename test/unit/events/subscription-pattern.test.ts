import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { mayAffectHpa, readAuditEvent } from '../../../functions/events/audit-event.ts';
import { SUBSCRIPTION_PATTERN } from '../../../functions/events/subscription-pattern.ts';
import { auditEventNames, auditEvents, auditLine } from '../../doubles/cloudwatch-logs.ts';
import { parseFilterPattern } from '../../doubles/filter-pattern.ts';

const delivers = parseFilterPattern(SUBSCRIPTION_PATTERN);

function keeps(line: string): boolean {
  const read = readAuditEvent(line);
  return 'event' in read && mayAffectHpa(read.event);
}

describe('the subscription pattern', () => {
  test('has a length that CloudWatch Logs takes, on one line', () => {
    expect(SUBSCRIPTION_PATTERN.length).toBeLessThanOrEqual(1_024);
    expect(SUBSCRIPTION_PATTERN).not.toMatch(/\n/);
  });

  test.each(auditEventNames)('delivers %s exactly if forward keeps it', (name) => {
    expect(delivers(auditLine(name))).toBe(keeps(auditLine(name)));
  });

  test('delivers exactly what forward keeps, whatever is written', async () => {
    const seen = { kept: 0, dropped: 0 };
    await fc.assert(
      fc.property(auditEvents, (event) => {
        const line = JSON.stringify(event);
        expect(delivers(line)).toBe(keeps(line));
        seen[keeps(line) ? 'kept' : 'dropped'] += 1;
      }),
      { numRuns: 5_000 },
    );
    // The agreement means little unless both answers are common.
    expect(seen.kept).toBeGreaterThan(500);
    expect(seen.dropped).toBeGreaterThan(2_000);
  });
});

describe('the evaluator of patterns', () => {
  const matches = (pattern: string, json: unknown) => parseFilterPattern(pattern)(JSON.stringify(json));

  test.each<[string, unknown, boolean]>([
    ['{ $.a = "x" }', { a: 'x' }, true],
    ['{ $.a = "x" }', { a: 'X' }, false],
    ['{ $.a = "x" }', {}, false],
    ['{ $.a != "x" }', {}, false],
    ['{ $.a != "*x*" }', { a: 'oxo' }, false],
    ['{ $.a = "de*" }', { a: 'delete' }, true],
    ['{ $.a = "de*" }', { a: 'undelete' }, false],
    ['{ $.a = "a.c" }', { a: 'abc' }, false],
    ['{ $.a.b >= 200 && $.a.b < 300 }', { a: { b: 299 } }, true],
    ['{ $.a.b >= 200 && $.a.b < 300 }', { a: { b: 300 } }, false],
    ['{ $.a.b >= 200 }', { a: { b: '200' } }, false],
    ['{ $.a.b NOT EXISTS }', { a: {} }, true],
    ['{ $.a.b NOT EXISTS }', {}, true],
    ['{ $.a.b NOT EXISTS }', { a: { b: null } }, false],
    ['{ $.a = 1 || $.a = 2 && $.b = 3 }', { a: 1 }, true],
    ['{ ($.a = 1 || $.a = 2) && $.b = 3 }', { a: 1 }, false],
  ])('%s on %j: %s', (pattern, json, outcome) => {
    expect(matches(pattern, json)).toBe(outcome);
  });

  test.each(['{ $.a = }', '{ $.a = "x" ', '{ $.a ~ "x" }', '$.a = "x"', '{ $.a = "x" } }', '{ a = "x" }'])(
    'refuses %s',
    (pattern) => {
      expect(() => parseFilterPattern(pattern)).toThrow(SyntaxError);
    },
  );

  test('matches no line that is not JSON', () => {
    expect(parseFilterPattern('{ $.a NOT EXISTS }')('no JSON')).toBe(false);
  });
});

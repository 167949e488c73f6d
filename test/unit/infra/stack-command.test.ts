import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { afterAll, expect, it } from 'vitest';

const home = mkdtempSync(join(tmpdir(), 'no-region-'));
afterAll(() => rmSync(home, { recursive: true }));
writeFileSync(join(home, 'template.json'), '{}');

it.each([
  ['deploy', ['--bucket', 'any', '--from', home]],
  ['remove', []],
])('npm run %s without a Region says so as the command line does, and asks AWS nothing', (script, args) => {
  const env = { PATH: process.env.PATH, HOME: home, AWS_EC2_METADATA_DISABLED: 'true' };
  const { status, stdout, stderr } = spawnSync(process.execPath, [`infra/${script}.ts`, ...args], {
    ...{ env, encoding: 'utf8' },
  });
  expect({ status, stdout, stderr }).toEqual({
    status: 1,
    stdout: '',
    stderr: 'no AWS Region: give --region, set AWS_REGION, or put it into the profile: Region is missing\n',
  });
});

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

const build = join(import.meta.dirname, 'control-plane/build.sh');
/** The path of kubectl, which is built once. */
export const kubectl = join(execFileSync('bash', [build, 'kubectl'], { encoding: 'utf8' }).trim(), 'kubectl');

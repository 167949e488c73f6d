import process from 'node:process';
import { setImmediate } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import { describeError } from '../../functions/platform/errors.ts';
import { yamlDocuments } from '../../functions/platform/yaml.ts';
import { isSecret } from './mutate.ts';
import { print, resetWorld, world } from './surroundings.ts';
import { Finding, isExpected, type Parts, RefusedConfiguration, type Target } from './target.ts';

/** What is wrong, in words that are the same for all inputs with the same fault, and the facts of this one. */
interface Found {
  readonly kind: string;
  readonly detail: string;
}
type Checked = { readonly outcome: 'accepted' | 'refused'; readonly finding?: Found };

/** Milliseconds for each MiB of input that is begun. */
const MAX_TIME = 1_000;
/** Characters of a message. */
const MAX_MESSAGE = 4_000;
/** Bytes of a line in CloudWatch Logs, which cuts longer ones. */
const MAX_LOG_LINE = 256 * 1024;
/** Control characters, line separators, halves of characters, and characters that turn the direction of text. */
const UNPRINTABLE = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u202A-\u202E\u2066-\u2069]/u;

const stray: unknown[] = [];
/** Ends the process, except while an input is checked. */
const endProcess = (error: unknown): void => {
  print.stderr(`${(error as Error).stack}\n`);
  process.exit(1);
};
let onCrash: (error: unknown) => void = endProcess;

/** Collects what no promise of a target tells. */
export function watchProcess(): void {
  process.on('unhandledRejection', (error) => stray.push(error));
  process.on('uncaughtException', (error) => onCrash(error));
}

const BUILT_IN = [Object, Array, Function, String, Number, Boolean, Map, Set, Promise, Error].map(
  ({ prototype }) => prototype as object,
);
const keysOf = () => BUILT_IN.map((prototype) => Reflect.ownKeys(prototype).length).join();
const untouched = keysOf();

/** Runs a target on an input, and judges everything that it did. */
export async function checked(target: Target, parts: Parts): Promise<Checked> {
  const result = await checkedOnce(target, parts, () => performance.now());
  // The machine may have been busy with something else, and that clock alone takes a fifth of a millisecond.
  return result.finding?.kind === SLOW ? await checkedOnce(target, parts, processorTime) : result;
}

/** Milliseconds of work of this process. */
function processorTime(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}

const SLOW = 'takes more than a second';

async function checkedOnce(target: Target, parts: Parts, clock: () => number): Promise<Checked> {
  resetWorld();
  stray.length = 0;
  process.exitCode = undefined;
  let error: unknown;
  let isAccepted = false;
  const started = clock();
  try {
    // What throws in a callback reaches no promise of the target.
    const crash = new Promise<never>((_, reject) => {
      onCrash = reject;
    });
    await Promise.race([target.run(parts), crash]);
    isAccepted = true;
  } catch (thrown) {
    error = thrown;
  } finally {
    onCrash = endProcess;
  }
  const time = clock() - started;
  // Node reports a rejection that nobody handles only now.
  await setImmediate();
  const isFailed = process.exitCode !== undefined && process.exitCode !== 0;
  process.exitCode = undefined;
  const finding = findingOf(isAccepted, error, time, parts);
  return { outcome: isAccepted && !isFailed ? 'accepted' : 'refused', finding };
}

function findingOf(isAccepted: boolean, error: unknown, time: number, parts: Parts): Found | undefined {
  const stack = (one: unknown) => (one instanceof Error ? (one.stack ?? one.message) : String(one)).slice(0, 3_000);
  const first = (one: unknown) => String(one).split('\n')[0]?.slice(0, 60);
  if (error instanceof Finding) return { kind: error.message, detail: '' };
  if (!isAccepted && !isExpected(error))
    return { kind: `throws ${(error as Error)?.name} ${place(error)}`, detail: stack(error) };
  if (stray.length > 0) return { kind: `leaves a rejection ${first(stray[0])}`, detail: stack(stray[0]) };
  const bytes = Object.values(parts).reduce<number>((sum, part) => sum + Buffer.byteLength(part ?? ''), 0);
  if (time > MAX_TIME * Math.max(1, Math.ceil(bytes / 2 ** 20)))
    return { kind: SLOW, detail: `${Math.round(time)} ms` };
  if (keysOf() !== untouched) return { kind: 'changes a prototype', detail: '' };
  const isHarmless = (write: string) => /^POST .*\/(events|horizontalpodautoscalers)$|^PATCH .*\/events\//.test(write);
  const write = world.writes.find((one) => !isHarmless(one) && !(restores(parts) && one.startsWith('PATCH ')));
  if (write !== undefined) return { kind: `writes to the cluster: ${write.split(' ')[0]}`, detail: write };
  if (world.warnings.length > 0)
    return { kind: `a warning of Node ${world.warnings[0]?.split(':')[0]}`, detail: String(world.warnings[0]) };
  return findingInTexts(error, parts);
}

const restores = ({ arguments: text = '' }: Parts) =>
  String(text).startsWith('restore ') && !String(text).includes('--dry-run');

/** Where in the product an error was thrown. */
const place = (error: unknown) => /functions\/[^\s)]+/.exec((error as Error)?.stack ?? '')?.[0] ?? '';

function findingInTexts(error: unknown, parts: Parts): Found | undefined {
  const lines = [...world.stdout.split('\n'), ...world.stderr.split('\n')];
  const message = error === undefined || error instanceof RefusedConfiguration ? '' : describeError(error);
  for (const text of [message, world.stdout, world.stderr]) {
    if (isSecret(text) && !isMisplaced(parts))
      return { kind: 'prints a secret', detail: excerpt(text, text.indexOf('zqxj9')) };
    const fault = text.indexOf('InternalError');
    const blame = fault === -1 ? text.indexOf('bug in this program') : fault;
    if (blame !== -1) return { kind: 'reports a fault of this program', detail: excerpt(text, blame) };
  }
  const isLog = parts.arguments === undefined;
  // Lambda logs the message of an error itself.
  const messages = [
    message,
    message && (error as Error).message,
    ...(isLog ? lines.flatMap(messagesOf) : world.stderr.split('\n')),
  ];
  for (const one of messages) {
    const at = one.search(UNPRINTABLE);
    if (at !== -1)
      return { kind: `a message that cannot be printed: ${shape(one)}`, detail: excerpt(JSON.stringify(one), at) };
    if (one.length > MAX_MESSAGE)
      return {
        kind: `a message without bound: ${shape(one)}`,
        detail: `${one.length} characters: ${one.slice(0, 300)}`,
      };
  }
  const long = isLog && lines.find((line) => line.length > MAX_LOG_LINE);
  if (long) return { kind: 'a log line that is cut off', detail: `${long.length} characters: ${long.slice(0, 300)}` };
  return undefined;
}

const shape = (message: string) => message.replaceAll(/[^A-Za-z]+/g, ' ').slice(0, 24);
const excerpt = (text: string, at: number) => text.slice(Math.max(0, at - 200), at + 200);

/** The texts for people in a line of a log. The other attributes are data, escaped in JSON. */
function messagesOf(line: string): string[] {
  if (line === '' || line.includes('"_aws":')) return [];
  const { reason, fault, remedy } = JSON.parse(line) as Record<string, unknown>;
  return [reason, fault, remedy].filter((text) => typeof text === 'string');
}

/** Where a secret belongs in a file. In a URL it has to come before the host. */
const PLACES = /^(token|password|client-key-data|value|id-token|client-secret|proxy-url|data|secret)$/;

/** Whether a change of the text of a file has put its secret where none belongs: then it is right to print it. */
function isMisplaced({ config, second, changes }: Parts): boolean {
  let found = false;
  for (const part of [config, second, changes]) {
    if (part === undefined) continue;
    const bytes = Buffer.from(part as Buffer);
    const text = new TextDecoder().decode(bytes[0] === 0x1f && bytes[1] === 0x8b ? gunzipSync(bytes) : bytes);
    for (const { value } of yamlDocuments(text)) {
      JSON.stringify(value ?? null, (key: string, child: unknown) => {
        const isInUrl = key === 'server' && String(child).includes('@');
        if (isSecret(key) || (isSecret(child) && !PLACES.test(key) && !isInUrl)) found = true;
        return child;
      });
    }
  }
  return found;
}

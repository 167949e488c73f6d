import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Metafile } from 'esbuild';

/** The bytes of each module in a bundle: an installed package (`node_modules/zod`), or a folder or file of ours (`functions/reap`). */
export function bytesByModule({ outputs }: Metafile): Map<string, number> {
  const modules = new Map<string, number>();
  for (const [input, { bytesInOutput }] of Object.values(outputs).flatMap(({ inputs }) => Object.entries(inputs))) {
    const module = /^(.*node_modules\/(@[^/]+\/)?[^/]+|functions\/[^/]+|\w+(?=:))/.exec(input)?.[0] ?? input;
    if (bytesInOutput > 0) modules.set(module, (modules.get(module) ?? 0) + bytesInOutput);
  }
  return modules;
}

/** The names and license texts of the packages in a bundle. Most licenses allow passing on the code only with these. */
export function licenses(metafile: Metafile): string {
  const packagesByText = new Map<string, string[]>();
  for (const folder of [...bytesByModule(metafile).keys()].filter((module) => module.includes('node_modules/'))) {
    const { name, version, license, author } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    const files = readdirSync(folder).filter((file) => /^(licen[cs]e|notice|copying)/i.test(file));
    const text = files.toSorted().map((file) => readFileSync(join(folder, file), 'utf8').trim());
    if (text.length === 0)
      text.push(`License ${license}, by ${author?.name ?? author}. The package has no license text.`);
    const whole = text.join('\n\n');
    packagesByText.set(whole, [...(packagesByText.get(whole) ?? []), `${name} ${version}`]);
  }
  const sections = [...packagesByText].map(([text, packages]) => `${packages.toSorted().join('\n')}\n\n${text}\n`);
  return sections.toSorted().join(`\n${'-'.repeat(80)}\n\n`);
}

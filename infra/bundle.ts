import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { chmod, readFile } from 'node:fs/promises';
import { builtinModules } from 'node:module';
import { dirname, resolve } from 'node:path';
import { type BuildOptions, build, type Metafile, type Plugin } from 'esbuild';
import { licenses } from './modules.ts';

/**
 * An ESM `import` of a built-in module evaluates every export, including lazy ones: `node:http` alone loads undici for its WebSocket
 * export. `process.getBuiltinModule` does not, which saves an eighth of a cold start of `reap` (test/bench). bundle.test.ts fails
 * for an import that bypasses it.
 */
const builtinsUntouched: Plugin = {
  name: 'builtins-untouched',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^(node:)?[a-z_/]+$/ }, ({ path }) => {
      const name = path.replace(/^node:/, '');
      return builtinModules.includes(name) ? { path: name, namespace: 'builtin' } : undefined;
    });
    onLoad({ filter: /.*/, namespace: 'builtin' }, ({ path }) => ({
      contents: `module.exports = process.getBuiltinModule('node:${path}')`,
    }));
  },
};

/** The command line tool is one file: what it reads from the repository is in it as text. */
const filesAsText: Plugin = {
  name: 'files-as-text',
  setup({ onLoad }) {
    onLoad({ filter: /\/functions\/cli\/.*\.ts$/ }, async ({ path }) => {
      const source = await readFile(path, 'utf8');
      const contents = source.replaceAll(
        /readFileSync\(new URL\('([^']+)', import\.meta\.url\), 'utf8'\)/g,
        (_, file) => JSON.stringify(readFileSync(resolve(dirname(path), file), 'utf8')),
      );
      return { contents, loader: 'ts' };
    });
  },
};

/** The folders of functions/ that contain a Lambda function. */
export const functionNames = (): string[] =>
  readdirSync('functions').filter((room) => readdirSync(`functions/${room}`).includes('handler.ts'));

/** A function becomes `<outdir>/<name>/handler.mjs`, with the chunks that it loads on demand beside it. */
const functionOptions = (name: string, outdir: string): BuildOptions => ({
  entryPoints: { handler: `functions/${name}/handler.ts` },
  outdir: `${outdir}/${name}`,
  outExtension: { '.js': '.mjs' },
  splitting: true,
  mainFields: ['module', 'main'], // ES modules of the SDK, since CommonJS cannot be tree-shaken.
  target: 'node24',
  plugins: [builtinsUntouched],
});

/**
 * The library that reads a kubeconfig can also create clients of the whole Kubernetes API, and send with undici, which does not run
 * on Node 20.19. Without both the tool has less than half of its size; `npm run sizes` fails if a new version brings them back.
 */
const kubeconfigWithoutApi: Plugin = {
  name: 'kubeconfig-without-api',
  setup({ onResolve, onLoad }) {
    const absent = (path: string) => ({ path, namespace: 'absent' });
    onResolve({ filter: /\/gen\/index\.js$/ }, ({ importer }) =>
      importer.endsWith('client-node/dist/config.js') ? absent('gen') : undefined,
    );
    onResolve({ filter: /^undici$/ }, () => absent('undici'));
    onLoad({ filter: /.*/, namespace: 'absent' }, () => ({ contents: 'module.exports = {}' }));
  },
};

/**
 * The command line tool, for the Node that a person has: 20.19 and later, which the client's undici is not. It becomes
 * `<outdir>/reaper.mjs`, and in `<outdir>/reaper/` the parts that a command loads only when it needs them.
 */
const cliOptions = (outdir: string): BuildOptions => ({
  entryPoints: { reaper: 'functions/cli/reaper.ts' },
  outdir,
  outExtension: { '.js': '.mjs' },
  chunkNames: 'reaper/[name]-[hash]',
  splitting: true,
  mainFields: ['module', 'main'],
  target: 'node20.19',
  plugins: [builtinsUntouched, kubeconfigWithoutApi, filesAsText],
  banner: {
    js: [
      "import { createRequire as createBundleRequire } from 'node:module';",
      'const require = createBundleRequire(import.meta.url);',
    ].join('\n'),
  },
});

const COMMON = { bundle: true, minify: true, format: 'esm', platform: 'node', metafile: true } as const;

/** Bundles the command line tool as `<outdir>/reaper.mjs` and `<outdir>/reaper/`. */
export async function bundleCli(outdir: string): Promise<Metafile> {
  rmSync(`${outdir}/reaper`, { recursive: true, force: true });
  const { metafile } = await build({ ...cliOptions(outdir), ...COMMON });
  await chmod(`${outdir}/reaper.mjs`, 0o755);
  writeFileSync(`${outdir}/reaper/THIRD-PARTY-LICENSES`, licenses(metafile));
  return metafile;
}

/**
 * Bundles every function.
 *
 * @returns the metafile of each, by name
 */
export async function bundleFunctions(outdir: string): Promise<Map<string, Metafile>> {
  const bundled = await Promise.all(
    functionNames().map(async (name) => {
      rmSync(`${outdir}/${name}`, { recursive: true, force: true }); // A chunk's name changes with its content.
      const { metafile } = await build({ ...functionOptions(name, outdir), ...COMMON });
      writeFileSync(`${outdir}/${name}/THIRD-PARTY-LICENSES`, licenses(metafile));
      return [name, metafile] as const;
    }),
  );
  return new Map(bundled);
}

/**
 * Bundles every function and the command line tool.
 *
 * @param outdir from the working directory, which is the repository's root
 * @returns the metafile of each function, by name
 */
export async function bundle(outdir = 'dist'): Promise<Map<string, Metafile>> {
  const [functions] = await Promise.all([bundleFunctions(outdir), bundleCli(outdir)]);
  return functions;
}

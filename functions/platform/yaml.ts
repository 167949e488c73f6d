import { type Document, isAlias, isCollection, isNode, isScalar, parseAllDocuments, visit, YAMLParseError } from 'yaml';

type Options = Parameters<typeof parseAllDocuments>[1];

interface YamlDocument {
  /** The line in which its value begins. */
  readonly line: number;
  readonly value?: unknown;
  /** What is wrong with it, and where. It quotes nothing of the text, which may hold a secret. */
  readonly fault?: string;
  /** The same in one word. */
  readonly code?: string;
}

/**
 * Parses every document of a text in YAML, in a time that grows with its length only. Never throws, and prints no warning.
 *
 * With the log level `silent`, the parser would ignore a syntax error and return half a document.
 */
export function yamlDocuments(text: string, options?: Options): YamlDocument[] {
  let documents: Document.Parsed[];
  try {
    // To find a key that is there twice, the parser compares each key of a map with all others; to describe one of many errors, it
    // reads the whole line.
    const linear = { uniqueKeys: false, prettyErrors: false, logLevel: 'error' } as const;
    documents = [...parseAllDocuments(text, { ...options, ...linear })];
  } catch (error) {
    return [{ line: 1, ...faultOf(error as Error, 'line 1') }];
  }
  let [line, counted] = [1, 0];
  const lineAt = (offset: number): number => {
    line += text.slice(counted, offset).split('\n').length - 1;
    counted = Math.max(counted, offset);
    return line;
  };
  const faultAt = (offset: number, error: Error) => {
    const at = lineAt(offset);
    return { line: at, ...faultOf(error, `line ${at}, column ${offset - text.lastIndexOf('\n', offset - 1)}`) };
  };
  return documents.map((document) => {
    const [error] = document.errors;
    if (error) return faultAt(error.pos[0], error);
    const start = document.contents?.range?.[0] ?? counted;
    try {
      const fault = badKey(document);
      if (fault) return faultAt(fault.pos[0], fault);
      return { line: lineAt(start), value: document.toJS() as unknown };
    } catch (thrown) {
      return faultAt(start, thrown as Error);
    }
  });
}

/** @throws {Error} with a message that quotes nothing of the text, unless it is one document in YAML */
export function parseYaml(text: string, options?: Options): unknown {
  const [document, second] = yamlDocuments(text, options);
  if (document?.fault !== undefined) throw new Error(document.fault);
  if (second !== undefined) throw new Error('it contains more than one document');
  return document?.value ?? null;
}

/**
 * A key that its map has before, or that is no scalar: Kubernetes knows none, and the parser takes more than cubic time for maps
 * within keys.
 */
function badKey(document: Document): YAMLParseError | undefined {
  let found: YAMLParseError | undefined;
  visit(document, {
    Map(_, { items }) {
      const keys = new Set<unknown>();
      for (const { key } of items) {
        const [at = 0] = (isNode(key) && key.range) || [];
        const value = isScalar(key) ? key.value : key;
        if (isCollection(key) || isAlias(key)) {
          found = new YAMLParseError([at, at], 'UNEXPECTED_TOKEN', 'Map keys must be scalars');
        } else if (keys.has(value)) {
          found = new YAMLParseError([at, at], 'DUPLICATE_KEY', 'Map keys must be unique');
        }
        if (found) return visit.BREAK;
        keys.add(value);
      }
      return undefined;
    },
  });
  return found;
}

const TOO_DEEP = 'RESOURCE_EXHAUSTION';

/** Without what the message quotes after a colon. */
function faultOf(error: Error & { readonly code?: string }, where: string): Pick<YamlDocument, 'fault' | 'code'> {
  // The stack has overflowed.
  if (error instanceof RangeError || error.code === TOO_DEEP)
    return { fault: 'it is nested too deeply', code: TOO_DEEP };
  const [what = ''] = error.message.split(/(?<! ): |\n/);
  return { fault: `${what} at ${where}`, code: error.code ?? 'BAD_ALIAS' };
}

import type { DocumentOptions, ParseOptions, SchemaOptions } from 'yaml';

/** The parser would take the name `e5` for a number. */
const EXPONENT = /^[-+]?(?:\d[\d_]*(?:\.[\d_]*)?|\.[\d_]+)[eE][-+]?\d+$/;

/**
 * How kubectl and Envoy Gateway read YAML: as version 1.1, where `yes` is a boolean, but what looks like a time stays text. With
 * the log level `silent` a syntax error would be swallowed, and half a document taken for the whole.
 */
export const KUBERNETES_YAML: ParseOptions & DocumentOptions & SchemaOptions = {
  version: '1.1',
  logLevel: 'error',
  customTags: (tags) =>
    tags
      .filter((tag) => typeof tag === 'string' || !tag.tag.endsWith(':timestamp'))
      .map((tag) =>
        typeof tag === 'object' && 'format' in tag && tag.format === 'EXP'
          ? ({ ...tag, test: EXPONENT } as typeof tag)
          : tag,
      ),
};

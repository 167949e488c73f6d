import { DeleteObjectCommand, PutObjectCommand, paginateListObjectsV2, type S3Client } from '@aws-sdk/client-s3';
import { awsError } from '../functions/aws/access-error.ts';

/** What a deployment puts into a bucket: the zip files and the template, each named by its SHA-256. */
const ARTIFACT = /^[\w-]+-[0-9a-f]{64}\.(zip|json)$/;

/** The S3 bucket that CloudFormation takes code and template from. */
export class ArtifactBucket {
  readonly #client: S3Client;
  readonly #name: string;

  constructor(client: S3Client, name: string) {
    this.#client = client;
    this.#name = name;
  }

  /** @returns the URL of the object, as CloudFormation takes it */
  async put(key: string, content: Buffer): Promise<string> {
    const command = new PutObjectCommand({ Bucket: this.#name, Key: key, Body: content });
    let url = '';
    // Only the SDK knows the host of a bucket in every partition.
    command.middlewareStack.add(
      (next) => (args) => {
        const { protocol, hostname, port, path } = args.request as Record<string, string | undefined>;
        url = `${protocol}//${hostname}${port === undefined ? '' : `:${port}`}${path}`;
        return next(args);
      },
      { step: 'build' },
    );
    try {
      await this.#client.send(command);
    } catch (error) {
      const elsewhere = ['PermanentRedirect', 'AuthorizationHeaderMalformed'].includes((error as Error).name);
      const hint = elsewhere ? ' (the bucket must be in the Region of the stack)' : '';
      throw awsError(`S3 did not take s3://${this.#name}/${key}${hint}`, error);
    }
    return url;
  }

  /**
   * Deletes every artifact that has this prefix, and nothing else.
   *
   * @returns the keys
   */
  async empty(prefix: string): Promise<string[]> {
    const deleted: string[] = [];
    const pages = paginateListObjectsV2({ client: this.#client }, { Bucket: this.#name, Prefix: prefix });
    for await (const { Contents = [] } of pages) {
      for (const { Key = '' } of Contents.filter((object) => ARTIFACT.test(object.Key?.slice(prefix.length) ?? ''))) {
        await this.#client.send(new DeleteObjectCommand({ Bucket: this.#name, Key }));
        deleted.push(Key);
      }
    }
    return deleted;
  }
}
